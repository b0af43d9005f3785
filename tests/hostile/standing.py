"""What holds for a receiver whatever is done to it."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from socket import socket
from statistics import median

from tests.hostile.client import GOOD_ADDRESS, dial
from tests.hostile.footprint import MEBIBYTE, Footprint, Watch, settled
from tests.hostile.good_peer import GoodPeer
from tests.hostile.receiver import Receiver, receiving
from tests.node import until

ECHO_SECONDS = 1.0
_PEAK_BYTES, _AFTERWARDS_BYTES = 64 * MEBIBYTE, 16 * MEBIBYTE
_BACK_SECONDS = 8.0
_WARM_UP_CALLS = 8


def warm(receiver: Receiver) -> Receiver:
    """The receiver after a few calls, so that each of its processes has done once what it does for every peer."""
    peer = GoodPeer(lambda: dial(receiver.port, GOOD_ADDRESS))
    for _ in range(_WARM_UP_CALLS):
        peer.call()
    assert peer.failures == [], "the receiver does not serve a good peer even when it is left alone"
    return receiver


@contextmanager
def withstanding(
    receiver: Receiver, cap_bytes: int = 0, good_dial: Callable[[], socket] | None = None
) -> Iterator[GoodPeer]:
    """A good peer calls while the body attacks; then it was served all along, and nothing of the attack is left.

    `cap_bytes` is what the limits allow the attack to take in memory.
    """
    before = settled(receiver.process.pid)
    with Watch(receiver.footprint) as watch, GoodPeer(good_dial or (lambda: dial(receiver.port, GOOD_ADDRESS))) as peer:
        yield peer
    was_served(receiver, peer)
    stayed_small(receiver, before, watch.peak, cap_bytes)
    came_back(receiver, before)


def was_served(receiver: Receiver, peer: GoodPeer) -> None:
    """Fails when one call of the good peer was not answered, or slowly, or its image is not there."""
    calls = 2 * len(peer.echo_seconds)
    assert not peer.failures, f"{len(peer.failures)} of {calls} good calls failed: {set(peer.failures)}"
    usual = median(peer.echo_seconds)  # the slowest one says what else the machine did
    assert usual < ECHO_SECONDS, f"C-ECHO took {usual:.2f} s, at most {max(peer.echo_seconds):.2f} s"
    assert peer.stored <= receiver.kept(), f"{len(peer.stored - receiver.kept())} acknowledged images are not there"


def stayed_small(receiver: Receiver, before: Footprint, peak: Footprint, cap_bytes: int = 0) -> None:
    """Fails when memory, threads or files went beyond what the limits allow."""
    grown = peak.memory_bytes - before.memory_bytes
    assert grown <= _PEAK_BYTES + cap_bytes, f"memory grew by {grown // MEBIBYTE} MiB"
    limits = receiver.limits
    connections = limits["associations"] + limits["strangers"] + 2 * limits["reserved_per_peer"]
    allowed = 2 * connections + 16  # a socket and a file each, and a few that are being closed
    assert peak.files - before.files <= allowed, f"{peak.files - before.files} more files were open"
    assert peak.threads - before.threads <= allowed, f"{peak.threads - before.threads} more threads ran"


def came_back(receiver: Receiver, before: Footprint) -> None:
    """Fails when a process, a thread, a file, memory or something half-written is there that was not before."""
    until(lambda: not receiver.half_written(), f"tmp/ is empty of {receiver.half_written()[:3]}", _BACK_SECONDS)
    deadline = time.monotonic() + _BACK_SECONDS
    while not _is_back(now := receiver.footprint(), before):
        assert time.monotonic() < deadline, f"the receiver takes {now}, and took {before}"
        time.sleep(0.1)
    assert not receiver.unhandled(), f"logged as unforeseen: {receiver.unhandled()[:3]}"


def _is_back(now: Footprint, before: Footprint) -> bool:
    grown = now.memory_bytes - before.memory_bytes
    return now.without_memory() == before.without_memory() and grown <= _AFTERWARDS_BYTES


class Shared:
    """One receiver for many tests, replaced by a fresh one after a test that it failed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._running: AbstractContextManager[Receiver] | None = None
        self._receiver: Receiver | None = None

    @contextmanager
    def lent(self) -> Iterator[Receiver]:
        """The receiver, warm."""
        try:
            yield self._receiver or self._start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop it, if it runs."""
        running, self._running, self._receiver = self._running, None, None
        if running:
            running.__exit__(None, None, None)

    def _start(self) -> Receiver:
        self._number += 1
        self._running = receiving(self._folder / str(self._number))
        self._receiver = warm(self._running.__enter__())
        return self._receiver
