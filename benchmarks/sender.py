"""The senders: ours in C, and DCMTK's storescu as it comes."""

import json
import os
import select
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from benchmarks.cost import Peak
from benchmarks.images import Kind, synthesise
from benchmarks.machine import BenchmarkError, compile_c, program
from benchmarks.server import Server, bare_environment
from benchmarks.subjects import SENDER

_PATIENCE_SECONDS = 300.0


class Way(Enum):
    """How instances are sent."""

    OURS = "our sender"
    ONCE = "our sender, one association per instance"
    STOCK = "stock storescu"


@dataclass(frozen=True, slots=True)
class Load:
    """What one sending brings; `run` makes its UIDs new."""

    way: Way
    kind: Kind
    associations: int
    instances: int
    run: int


@dataclass(frozen=True, slots=True)
class Sending:
    """A load made ready: the programs to start, and what their end means."""

    lines: Sequence[list[str]]
    seconds: Callable[[Sequence[str], float], float]  # (what each program said, wall time) -> seconds


class Sender:
    """Both senders, with what they send in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._program = folder / "sender"
        compile_c(self._program, ("sender.c", "association.c"), "-pthread", "-lm")
        for kind in Kind:
            self._pack(kind).write_bytes(synthesise(kind).pack())

    def prepare(self, server: Server, load: Load) -> Sending:
        """Everything that shall not be measured."""
        if load.way is Way.STOCK:
            return Sending(self._stock_lines(server, load), lambda _said, wall: wall)
        return Sending([self._our_line(server, load)], lambda said, _wall: _our_seconds(said[0], load))

    def send(self, sending: Sending, peak: Peak) -> float:
        """Seconds until the last answer. Raises BenchmarkError unless every instance was acknowledged with success."""
        begin = time.monotonic()
        processes = [_start(line) for line in sending.lines]
        try:
            _await(processes, peak)
            wall = time.monotonic() - begin
            return sending.seconds([_outcome(process) for process in processes], wall)
        finally:
            for process in processes:
                process.kill()
                process.wait()

    def _our_line(self, server: Server, load: Load) -> list[str]:
        images = synthesise(load.kind)
        peer = [str(server.port), SENDER, server.ae_title, images.sop_class_uid]
        numbers = (images.length, images.sop_at, images.series_at, load.run, load.associations, load.instances)
        once = str(int(load.way is Way.ONCE))
        return [str(self._program), *peer, str(self._pack(load.kind)), *map(str, numbers), once]

    def _stock_lines(self, server: Server, load: Load) -> list[list[str]]:
        peer = ["-aet", SENDER, "-aec", server.ae_title, "127.0.0.1", str(server.port)]
        storescu = program("storescu")
        return [[storescu, *peer, *self._files(load, sender)] for sender in range(load.associations)]

    def _files(self, load: Load, sender: int) -> list[str]:
        folder = self._folder / f"{load.run}_{sender}"
        folder.mkdir()
        images = synthesise(load.kind)
        paths = [folder / f"{number}.dcm" for number in range(load.instances // load.associations)]
        for number, path in enumerate(paths):
            path.write_bytes(images.file(load.run, sender, number))
        return [str(path) for path in paths]

    def _pack(self, kind: Kind) -> Path:
        return self._folder / f"{kind.name}.pack"


def _start(line: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        line,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=bare_environment(),
    )


def _await(processes: Sequence[subprocess.Popen[str]], peak: Peak) -> None:
    """Return at the moment the last one ends; Popen.wait would sleep up to 50 ms too long."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    poll = select.poll()
    running = {os.pidfd_open(process.pid) for process in processes}
    try:
        for descriptor in running:
            poll.register(descriptor, select.POLLIN)
        left = len(running)
        while left:
            peak.look()
            for descriptor, _ in poll.poll(50):
                poll.unregister(descriptor)
                left -= 1
            if time.monotonic() > deadline:
                raise BenchmarkError(f"a sender has not ended within {_PATIENCE_SECONDS:g} s")
    finally:
        for descriptor in running:
            os.close(descriptor)


def _outcome(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate()
    if process.returncode:
        raise BenchmarkError(f"the sender failed ({process.returncode}): {said[-500:].strip()}")
    return said


def _our_seconds(said: str, load: Load) -> float:
    outcome = json.loads(said)
    if outcome["acknowledged"] != load.instances or outcome["refused"]:
        raise BenchmarkError(f"{load.instances} instances were sent, and the answers were {outcome}")
    return float(outcome["seconds"])
