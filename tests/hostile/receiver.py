"""The receiver as a process of its own, and what can be seen of it from outside."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from service.commands.archive import free_port
from tests.hostile.client import EVIL, EVIL_ADDRESS, GOOD, GOOD_ADDRESS, NotServedError, association
from tests.hostile.footprint import Footprint, look, tree
from tests.node import until

HANDSHAKE_SECONDS, PDU_SECONDS, IDLE_SECONDS = 1.0, 1.0, 3.0
INSTANCE_BYTES = 8 * 1024 * 1024
QUICK: dict[str, float] = {
    "associations": 40,
    "associations_per_address": 16,
    "reserved_per_peer": 2,
    "strangers": 4,
    "handshake_seconds": HANDSHAKE_SECONDS,
    "pdu_seconds": PDU_SECONDS,
    "idle_seconds": IDLE_SECONDS,
    "pdu_bytes": 131072,
    "command_bytes": 16384,
    "instance_bytes": INSTANCE_BYTES,
    "bytes_per_second": 1024,
}
PEERS = ({"ae_title": GOOD, "host": GOOD_ADDRESS}, {"ae_title": EVIL, "host": EVIL_ADDRESS})
_START_SECONDS, _STOP_SECONDS = 20.0, 20.0
_UNHANDLED_EVENTS = {"association failed"}
_UNHANDLED_WORDS = ("traceback", "unhandled")


@dataclass(frozen=True, slots=True)
class Receiver:
    """A running receiver."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    tls_port: int = 0
    limits: Mapping[str, float] = field(default_factory=dict)

    def answers(self) -> bool:
        """True when the good peer is answered C-ECHO."""
        try:
            with association(self.port, GOOD, GOOD_ADDRESS) as client:
                return client.echo() == 0
        except (NotServedError, OSError):
            return False

    def footprint(self) -> Footprint:
        """What all its processes take now."""
        return look(self.process.pid)

    def half_written(self) -> list[str]:
        """The names of the files in tmp/."""
        return sorted(path.name for path in (self.folder / "spool" / "tmp").iterdir())

    def kept(self) -> set[str]:
        """The SOP Instance UIDs in incoming/."""
        return {path.stem.partition("_")[2] for path in (self.folder / "spool" / "incoming").iterdir()}

    def reasons(self) -> list[str]:
        """Why it refused, as far as it logged that."""
        lines = (self.folder / "receiver.log").read_text().splitlines()
        return [str(event["reason"]) for event in map(json.loads, lines) if "reason" in event]

    def unhandled(self) -> list[str]:
        """What it logged that nobody had foreseen: no JSON, a traceback, or an association that failed by our error."""
        return [line for line in (self.folder / "receiver.log").read_text().splitlines() if _is_unhandled(line)]


def _is_unhandled(line: str) -> bool:
    try:
        event = json.loads(line)
    except ValueError:
        return True
    return (
        event.get("event") in _UNHANDLED_EVENTS
        or event.get("level") == "critical"
        or "exception" in event
        or any(word in line.lower() for word in _UNHANDLED_WORDS)
    )


@contextmanager
def receiving(
    folder: Path,
    limits: Mapping[str, float] | None = None,
    tls: Mapping[str, Any] | None = None,
    metrics_port: int | None = None,
    peers: Sequence[Mapping[str, Any]] = (),
) -> Iterator[Receiver]:
    """A receiver that answers; one that does not stop at SIGTERM, or leaves a process behind, fails the test."""
    folder.mkdir(parents=True, exist_ok=True)
    port, effective = free_port(), QUICK | dict(limits or {})
    _configure(folder, port, effective, {"tls": tls, "metrics_port": metrics_port, "peers": [*PEERS, *peers]})
    with (folder / "receiver.log").open("ab") as log:
        line = [sys.executable, "-P", "-m", "service.roles.receiver", str(folder)]
        process = subprocess.Popen(line, stdout=log, stderr=log)
    receiver = Receiver(folder, port, process, int((tls or {}).get("port", 0)), effective)
    try:
        until(lambda: _is_up(receiver), "the receiver answers C-ECHO", _START_SECONDS, pause=0.05)
        yield receiver
    finally:
        _stop(process)


def _is_up(receiver: Receiver) -> bool:
    if receiver.process.poll() is not None:
        raise AssertionError(f"the receiver ended: {(receiver.folder / 'receiver.log').read_text()[-2000:]}")
    return receiver.answers()


def _configure(folder: Path, port: int, limits: Mapping[str, float], more: Mapping[str, Any]) -> None:
    section: dict[str, Any] = {
        "ae_title": "ISOCENTER",
        "bind": "127.0.0.1",
        "port": port,
        "refuse_below_free": 0.001,
        "engine": "fast",
        "processes": 2,
        "limits": dict(limits),
    }
    section |= {name: value for name, value in more.items() if value}
    for name, content in {
        "node.yaml": {"receiving": section},
        "destinations.yaml": {"destinations": []},
        "rules.yaml": {"rules": []},
    }.items():
        (folder / name).write_text(yaml.safe_dump(content), encoding="utf-8")


def _stop(process: subprocess.Popen[bytes]) -> None:
    pids = tree(process.pid)
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
        _await_end(pids)
    finally:
        for pid in _alive(pids):
            os.kill(pid, signal.SIGKILL)
        process.wait(_STOP_SECONDS)


def _await_end(pids: set[int]) -> None:
    deadline = time.monotonic() + _STOP_SECONDS
    while _alive(pids):
        assert time.monotonic() < deadline, f"processes {_alive(pids)} outlived the receiver"
        time.sleep(0.05)


def _alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if Path(f"/proc/{pid}/cmdline").is_file() and _has_command_line(pid)}


def _has_command_line(pid: int) -> bool:
    try:
        return b"service.roles.receiver" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
