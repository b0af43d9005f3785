"""Ways in which a disk, or what a process may open, gives out under a running receiver, and comes back."""

import resource
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path

from tests.durability.disks import Tmpfs
from tests.durability.receiving import RunningReceiver

Fault = Callable[[], AbstractContextManager[None]]


def full(disk: Tmpfs, left_bytes: int) -> Fault:
    """A disk with room for so many bytes more."""

    @contextmanager
    def fault() -> Iterator[None]:
        filler = disk.root / "filler"
        with filler.open("wb") as stream:
            stream.write(bytes(disk.free_bytes() - left_bytes))
        yield
        filler.unlink()

    return fault


def out_of_inodes(disk: Tmpfs, left: int) -> Fault:
    """A disk on which so many more files can be made; in tmpfs each link counts as one."""

    @contextmanager
    def fault() -> Iterator[None]:
        fillers = [disk.root / f"filler{number}" for number in range(disk.free_inodes() - left)]
        for filler in fillers:
            filler.touch()
        yield
        for filler in fillers:
            filler.unlink()

    return fault


def read_only(disk: Tmpfs) -> Fault:
    """A disk that can no longer be written to."""

    @contextmanager
    def fault() -> Iterator[None]:
        disk.remount("ro")
        yield
        disk.remount("rw")

    return fault


def out_of_descriptors(receiver: RunningReceiver) -> Fault:
    """No process of the receiver may open one file or socket more."""

    @contextmanager
    def fault() -> Iterator[None]:
        before = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in receiver.pids()}
        for pid, (_soft, hard) in before.items():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (_lowest_free_descriptor(pid), hard))
        yield
        for pid in set(receiver.pids()) & before.keys():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before[pid])

    return fault


def failing(receiver: RunningReceiver, call: str, every: int = 1) -> Fault:
    """A call that ends in EIO, each time or every so often."""

    @contextmanager
    def fault() -> Iterator[None]:
        receiver.faults.on(call, every)
        yield
        receiver.faults.off(call)

    return fault


def _lowest_free_descriptor(pid: int) -> int:
    taken = {int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    return next(number for number in count() if number not in taken)
