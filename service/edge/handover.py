"""Connections from the process that accepts them to a process that serves them, and word of their end back.

One message is one packet (SOCK_SEQPACKET): a connection's number and address with its descriptor, or a number.
"""

import json
import socket
from array import array
from dataclasses import asdict, dataclass

from service.core.errors import TryAgain

_LONGEST = 1024


@dataclass(frozen=True, slots=True)
class Handed:
    """A connection that was accepted and is to be served."""

    number: int
    address: str
    secured: bool  # it came to the TLS port


def channel() -> tuple[socket.socket, socket.socket]:
    """Both ends of a channel."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def hand_over(channel: socket.socket, handed: Handed, connection: socket.socket) -> None:
    """Give a connection away; our own copy stays open. Raises TryAgain when the other side takes none."""
    try:
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [connection.fileno()]))
        channel.sendmsg([json.dumps(asdict(handed)).encode()], [rights], socket.MSG_DONTWAIT)
    except OSError as error:
        raise TryAgain(f"a connection cannot be handed over: {error.strerror}") from error


def take_over(channel: socket.socket) -> tuple[Handed, socket.socket | None] | None:
    """The next connection, without its socket where no descriptor was left for it; None once there will be none."""
    try:
        message, descriptors, _, _ = socket.recv_fds(channel, _LONGEST, 1)
    except ConnectionResetError:
        return None
    if not message:
        return None
    handed = Handed(**json.loads(message))
    return handed, socket.socket(fileno=descriptors[0]) if descriptors else None


def tell_end(channel: socket.socket, number: int) -> None:
    """Say that a connection is over; nobody may be there to hear it."""
    try:
        channel.send(str(number).encode())
    except OSError:
        return


def hear_end(channel: socket.socket) -> int | None:
    """The number of a connection that is over; None when the other side is gone."""
    try:
        message = channel.recv(_LONGEST)
    except ConnectionResetError:
        return None
    return int(message) if message else None
