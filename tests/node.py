"""A whole node as a user runs it, and the ways to look at it from outside."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from service.commands import inspect
from service.commands.archive import AE_TITLE, free_port
from service.core.errors import TryAgain
from service.edge.storage_scu import Remote, echo
from service.settings import Settings, load

SENDER = "SENDER"
ROLES = ("receiver", "dispatcher", "worker")


def configure(
    folder: Path,
    archive_port: int,
    rules: Sequence[dict[str, Any]],
    profile: str = "usual",
    destination: Mapping[str, Any] | None = None,
    more: Sequence[Mapping[str, Any]] = (),
    **node: dict[str, Any],
) -> Settings:
    """A configuration that closes Series quickly; `node` and `destination` add to the sections of the files."""
    folder.mkdir(parents=True, exist_ok=True)
    receiving = {
        "port": free_port(),
        "peers": [{"ae_title": SENDER, "host": "127.0.0.1"}, {"ae_title": AE_TITLE, "host": "127.0.0.1"}],
        "refuse_below_free": 0.001,
    }
    sections: dict[str, dict[str, Any]] = {
        "receiving": receiving,
        "assembling": {"quiet_seconds_when_gapless": 0.5, "quiet_seconds_otherwise": 4},
    }
    for name, values in node.items():
        sections[name] = sections.get(name, {}) | values
    pacs = {"name": "pacs", "ae_title": AE_TITLE, "host": "127.0.0.1", "port": archive_port, "profile": profile}
    pacs["proof"] = ["query"]  # an Orthanc takes requests for storage commitment also of a node that it cannot reach
    for name, content in {
        "node.yaml": sections,
        "destinations.yaml": {"destinations": [pacs | dict(destination or {}), *map(dict, more)]},
        "rules.yaml": {"rules": list(rules)},
    }.items():
        (folder / name).write_text(yaml.safe_dump(content), encoding="utf-8")
    return load(folder)


def rule(model: str, **when: object) -> dict[str, Any]:
    """A rule for a model, sent to the archive."""
    return {"name": f"to {model}", "model": model, "destinations": ["pacs"], "when": when}


@dataclass(frozen=True, slots=True)
class Node:
    """A running node."""

    settings: Settings
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def remote(self) -> Remote:
        """The node as its sender calls it."""
        return node_of(self.settings)

    def jobs(self) -> list[dict[str, Any]]:
        """What `isocenter jobs` shows."""
        return inspect.job_rows(self.settings)

    def series(self) -> list[dict[str, Any]]:
        """The Series that `isocenter status` shows, one row for each stack or refusal."""
        return inspect.status(self.settings).series

    def storescu(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """DCMTK's storescu towards this node."""
        receiving = self.settings.node.receiving
        line = [program, "-aet", SENDER, "-aec", receiving.ae_title, "127.0.0.1", str(receiving.port), *arguments]
        return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)

    def kill(self, role: str) -> None:
        """SIGKILL to a role; the node starts it again."""
        for pid in self.pids(role):
            os.kill(pid, signal.SIGKILL)

    def pids(self, role: str) -> list[int]:
        """The processes of a role that this node started."""
        found = subprocess.run(
            ["pgrep", "-P", str(self.process.pid), "-f", f"service.roles.{role} "],
            capture_output=True,
            text=True,
            check=False,
        )
        return [int(line) for line in found.stdout.split()]

    def events(self) -> list[dict[str, Any]]:
        """The log so far, parsed; a line that is no JSON fails the test."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def run_command(*words: str) -> subprocess.CompletedProcess[str]:
    """`isocenter ...`, run to its end."""
    return subprocess.run(
        [sys.executable, "-m", "service", *words], capture_output=True, text=True, timeout=120, check=False
    )


@contextmanager
def running(settings: Settings) -> Iterator[Node]:
    """A node that answers C-ECHO, stopped by SIGTERM at the end; a node that does not stop fails the test."""
    log = settings.folder / "node.log"
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "serve", "--config", str(settings.folder)], stdout=stream, stderr=stream
        )
    node = Node(settings, process, log)
    try:
        until(lambda: answers(node.remote), "the node answers C-ECHO", seconds=60)
        yield node
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def node_of(settings: Settings) -> Remote:
    """A node as its sender calls it."""
    receiving = settings.node.receiving
    return Remote(SENDER, receiving.ae_title, "127.0.0.1", receiving.port)


def answers(remote: Remote) -> bool:
    """True when a node answers C-ECHO."""
    try:
        echo(remote)
    except TryAgain:
        return False
    return True


def until(holds: Callable[[], object], what: str, seconds: float = 120, pause: float = 0.2) -> None:
    """Wait until something holds, and fail with its name when it does not in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return
        time.sleep(pause)
    raise AssertionError(f"not within {seconds:g} s: {what}")


def all_ended(node: Node, jobs: int) -> bool:
    """True when there are that many jobs, and each is delivered, declined or failed."""
    states = [job["state"] for job in node.jobs()]
    return len(states) == jobs and set(states) <= {"DELIVERED", "DECLINED", "FAILED"}
