"""What a program and everything it started cost: processor time and memory, as /proc tells."""

import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_SAMPLE_SECONDS = 0.05
_STATE, _UTIME, _CSTIME = 0, 11, 14  # fields of /proc/<pid>/stat, counted behind the program's name
_ENDING_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Tree:
    """The processes of one session: a program that was started in its own, and what it forked."""

    leader: int

    def members(self) -> Iterator[int]:
        """Process identifiers, also of those that ended and were not waited for."""
        for name in (entry.name for entry in os.scandir(_PROC)):
            with suppress(OSError):  # it has just ended
                if name.isdecimal() and os.getsid(int(name)) == self.leader:
                    yield int(name)

    def cpu_seconds(self) -> float:
        """User and system time of all members, and of their children that ended and were waited for."""
        return sum(sum(map(int, _stat(pid)[_UTIME : _CSTIME + 1])) for pid in self.members()) / _TICKS

    def memory_mb(self) -> float:
        """The peaks of the members that live now, added up; pages they share count for each."""
        return sum(_peak_kib(pid) for pid in self.members()) / 1024

    def end(self) -> None:
        """Ask the first member to stop, and kill whoever is still there some time later."""
        deadline = time.monotonic() + _ENDING_SECONDS
        with suppress(ProcessLookupError):
            os.kill(self.leader, signal.SIGTERM)
        while self._living() and time.monotonic() < deadline:
            time.sleep(0.05)
        while self._living():
            for pid in self._living():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def _living(self) -> list[int]:
        return [pid for pid in self.members() if _stat(pid)[_STATE] not in "ZX"]


class Peak:
    """The highest memory seen of a tree, looked at now and then."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._due = 0.0
        self.memory_mb = 0.0

    def look(self) -> None:
        """Look again if it is time."""
        if time.monotonic() >= self._due:
            self.memory_mb = max(self.memory_mb, self._tree.memory_mb())
            self._due = time.monotonic() + _SAMPLE_SECONDS


def peak_mb() -> float:
    """The peak of this process since it began, or of a program it called; getrusage would count its parent in."""
    return max(_peak_kib(os.getpid()), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def _stat(pid: int) -> list[str]:
    with suppress(OSError):
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return ["X", *["0"] * _CSTIME]


def _peak_kib(pid: int) -> int:
    with suppress(OSError):
        for line in (_PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0
