"""Attackers' connections: opened by the dozen, asked whether the receiver has had enough, closed at the end."""

import socket
import time
from types import TracebackType

from tests.hostile.client import EVIL, EVIL_ADDRESS, Client, NotServedError, dial, is_closed


class Crowd:
    """Connections of one `with` block, all of which are closed at its end."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.members: list[socket.socket] = []

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.leave()

    def leave(self) -> None:
        """Close every connection."""
        while self.members:
            self.members.pop().close()

    def connect(self, source: str = EVIL_ADDRESS, receive_buffer: int = 0) -> socket.socket:
        """A connection, whatever the receiver will do with it."""
        member = dial(self.port, source, receive_buffer)
        self.members.append(member)
        return member

    def say(self, content: bytes, connections: int) -> None:
        """The same bytes over as many new connections."""
        for _ in range(connections):
            offer(self.connect(), content)

    def associated(self, connections: int, receive_buffer: int = 0) -> list[socket.socket]:
        """As many new associations; the receiver is to accept them, since nothing is wrong with them yet."""
        members = [self.connect(receive_buffer=receive_buffer) for _ in range(connections)]
        for member in members:
            Client(member).associate(EVIL)
        return members

    def still_open(self) -> list[socket.socket]:
        """The connections that the receiver has not closed; those it has closed leave the crowd."""
        staying = []
        for member in self.members:
            if is_closed(member):
                member.close()
            else:
                staying.append(member)
        self.members = staying
        return list(staying)

    def await_end(self, seconds: float, at_most: int = 0) -> None:
        """Wait until the receiver has left no more than `at_most` open; fails the test when it has not in `seconds`."""
        deadline = time.monotonic() + seconds
        while len(left := self.still_open()) > at_most:
            assert time.monotonic() < deadline, f"{len(left)} connections are open after {seconds:g} s"
            time.sleep(0.05)

    def flood(self, content: bytes, at_most: int, seconds: float) -> None:
        """Send over every connection as fast as it goes, reading nothing, until the receiver has closed them all.

        It fails the test when it takes more than `at_most` bytes from one, or leaves one open after `seconds`.
        """
        deadline = time.monotonic() + seconds
        taken = dict.fromkeys(self.members, 0)
        while left := self.still_open():
            assert time.monotonic() < deadline, f"{len(left)} connections are open after {seconds:g} s"
            before = sum(taken.values())
            for member in left:
                taken[member] += _push(member, memoryview(content)[taken[member] % len(content) :])
            assert max(taken.values()) <= at_most, f"the receiver took {max(taken.values())} bytes"
            time.sleep(0.01 if sum(taken.values()) == before else 0)

    def drip(self, content: bytes, pause: float, seconds: float) -> None:
        """Feed every connection `content` again and again, and fail when one is open after `seconds`."""
        deadline = time.monotonic() + seconds
        while left := self.still_open():
            assert time.monotonic() < deadline, f"{len(left)} connections are open after {seconds:g} s"
            for member in left:
                offer(member, content)
            time.sleep(pause)


def offer(connection: socket.socket, content: bytes) -> bool:
    """Send it; False when the receiver has closed."""
    try:
        Client(connection).send(content)
    except NotServedError:
        return False
    return True


def _push(connection: socket.socket, content: memoryview) -> int:
    try:
        return connection.send(content, socket.MSG_DONTWAIT)
    except OSError:  # it takes nothing now, or never will again
        return 0
