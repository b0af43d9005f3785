"""What a tree of processes takes of the machine, read from /proc (Linux)."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

_PROC = Path("/proc")
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Footprint:
    """Processes by id, and what they take together; memory is the sum of their resident sets."""

    pids: frozenset[int]
    threads: int
    files: int
    memory_bytes: int

    def without_memory(self) -> "Footprint":
        """The part that comes back exactly."""
        return replace(self, memory_bytes=0)


def tree(root: int) -> set[int]:
    """The ids of a process and of all below it."""
    parents = _parents()
    found = {root} & parents.keys()
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def look(root: int) -> Footprint:
    """What a process and all below it take now."""
    seen = {pid: one for pid in tree(root) if (one := _one(pid)) is not None}
    return Footprint(
        frozenset(seen),
        sum(one.threads for one in seen.values()),
        sum(one.files for one in seen.values()),
        sum(one.memory_bytes for one in seen.values()),
    )


def settled(root: int, seconds: float = 10.0) -> Footprint:
    """What it takes once threads and files have stayed the same for half a second, or after `seconds`."""
    deadline = time.monotonic() + seconds
    seen, same = look(root), 0
    while same < 5 and time.monotonic() < deadline:
        time.sleep(0.1)
        now = look(root)
        same = same + 1 if now.without_memory() == seen.without_memory() else 0
        seen = now
    return seen


class Watch:
    """Looks every 50 ms while its `with` block runs, and keeps the greatest of each figure."""

    def __init__(self, look: Callable[[], Footprint]) -> None:
        self._look = look
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.peak = look()

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ending.wait(0.05):
            now = self._look()
            self.peak = Footprint(
                self.peak.pids | now.pids,
                max(self.peak.threads, now.threads),
                max(self.peak.files, now.files),
                max(self.peak.memory_bytes, now.memory_bytes),
            )


def _parents() -> dict[int, int]:
    parents = {}
    for folder in _PROC.glob("[0-9]*"):
        try:
            after_name = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if after_name[0] not in "ZX":
            parents[int(folder.name)] = int(after_name[1])
    return parents


def _one(pid: int) -> Footprint | None:
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
        files = sum(1 for _ in (_PROC / str(pid) / "fd").iterdir())
    except OSError:  # it ended meanwhile
        return None
    figures = dict(line.split(":", 1) for line in lines)
    if "VmRSS" not in figures:
        return None
    return Footprint(frozenset({pid}), int(figures["Threads"]), files, int(figures["VmRSS"].split()[0]) * 1024)
