"""strace on a receiver that already runs: which system calls it makes, and SIGKILL before the n-th of a kind."""

import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

OPENING = ("open", "openat")
WRITING = ("write", "writev", "pwrite64", "pwritev", "copy_file_range", "sendfile")
FLUSHING = ("fsync", "fdatasync")
PLACING = ("link", "linkat", "rename", "renameat", "renameat2")
TIDYING = ("unlink", "unlinkat", "close")
ANSWERING = ("sendto", "sendmsg")
CALLS = (*OPENING, *WRITING, *FLUSHING, *PLACING, *TIDYING, *ANSWERING)

_CALL = re.compile(r"^(\d+) +(\w+)\(", re.MULTILINE)
_ATTACH_SECONDS, _DETACH_SECONDS = 10.0, 1.0


class TracingRefusedError(Exception):
    """strace may not attach here; says why."""


@dataclass(frozen=True, slots=True, order=True)
class KillPoint:
    """Just before the n-th call of a kind in one thread, counted from when the association stood."""

    call: str
    nth: int


@dataclass(frozen=True, slots=True)
class Trace:
    """What strace wrote."""

    log: Path

    def kill_points(self) -> list[KillPoint]:
        """Every call seen, by kind and number."""
        counts = Counter(_CALL.findall(self.log.read_text(errors="replace")))
        most: dict[str, int] = {}
        for (_thread, call), count in counts.items():
            most[call] = max(count, most.get(call, 0))
        return [KillPoint(call, nth) for call in sorted(most) for nth in range(1, most[call] + 1)]

    def killed(self, within_seconds: float) -> bool:
        """True when the kill point was reached."""
        deadline = time.monotonic() + within_seconds
        while "killed by SIGKILL" not in self.log.read_text(errors="replace"):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True


@contextmanager
def tracing(strace: str, pids: Sequence[int], log: Path, kill_at: KillPoint | None = None) -> Iterator[Trace]:
    """Trace the processes with all their threads, and kill whichever comes to `kill_at` first.

    Raises TracingRefusedError.
    """
    trace = ",".join(f"?{call}" for call in CALLS)  # "?": not every machine has every call
    inject = ["-e", f"inject={kill_at.call}:signal=SIGKILL:when={kill_at.nth}"] if kill_at else []
    attach = [word for pid in pids for word in ("-p", str(pid))]
    line = [strace, "-f", "-q", "-s", "0", "-o", str(log), "-e", f"trace={trace}", *inject, *attach]
    with log.with_suffix(".strace").open("wb") as stream:
        tracer = subprocess.Popen(line, stdout=stream, stderr=stream)
    try:
        if not _attaches(tracer, pids):
            raise TracingRefusedError(f"strace cannot attach: {log.with_suffix('.strace').read_text().strip()}")
        yield Trace(log)
    finally:
        _detach(tracer)


def require_tracing(strace: str, log: Path) -> None:
    """Raises TracingRefusedError where even a child of ours that asks for it may not be traced."""
    program = "import ctypes,time; ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_long(-1), 0, 0, 0); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-I", "-c", program])
    try:
        time.sleep(0.3)
        with tracing(strace, [child.pid], log):
            pass
    finally:
        child.kill()
        child.wait()


def _detach(tracer: subprocess.Popen[bytes]) -> None:
    tracer.send_signal(signal.SIGINT)
    try:
        tracer.wait(_DETACH_SECONDS)
    except subprocess.TimeoutExpired:  # it can wait for ever for a thread that it has just killed
        tracer.kill()
        tracer.wait()


def _attaches(tracer: subprocess.Popen[bytes], pids: Sequence[int]) -> bool:
    deadline = time.monotonic() + _ATTACH_SECONDS
    while tracer.poll() is None and time.monotonic() < deadline:
        if all(_traced_by(tracer.pid, pid) for pid in pids):
            return True
        time.sleep(0.01)
    return False


def _traced_by(tracer: int, pid: int) -> bool:
    try:
        states = [(thread / "status").read_text() for thread in Path(f"/proc/{pid}/task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):  # a thread that has just ended
        return False
    return all(f"TracerPid:\t{tracer}\n" in state for state in states)
