"""Listening sockets, and an SCP that listens in its own process, for stand-ins."""

import socket
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from service.core.errors import TryAgain

_BACKLOG = 512  # connections that come at once wait here; the kernel's own limit may be lower

_LOCAL_LIMIT_EXCEEDED = b"\x03\x00\x00\x00\x00\x04\x00\x02\x03\x02"
_LINGER_SECONDS = 0.5
_MOST_LEAVING = 32


class Serves(Protocol):
    """What serves connections."""

    def serve(self, connection: socket.socket, address: str) -> None:
        """Serve one."""

    def stop(self) -> None:
        """End what is served."""


def listen(bind: str, port: int) -> socket.socket:
    """A socket that listens. Raises TryAgain when the port is taken."""
    try:
        family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        return socket.create_server((bind, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise TryAgain(f"cannot listen on {bind} port {port}: {error.strerror}") from error


class TurningAway:
    """Tells peers that there is no place, in words their software knows, without keeping a thread for them."""

    def __init__(self) -> None:
        self._leaving: deque[tuple[float, socket.socket]] = deque()

    def turn_away(self, connection: socket.socket, now: float) -> None:
        """A-ASSOCIATE-RJ, transient, local limit exceeded (PS3.8 9.3.4); the connection is closed a little later."""
        with suppress(OSError):
            connection.setblocking(False)
            connection.send(_LOCAL_LIMIT_EXCEEDED)
            connection.shutdown(socket.SHUT_WR)
        self._leaving.append((now + _LINGER_SECONDS, connection))
        while len(self._leaving) > _MOST_LEAVING:
            self._leaving.popleft()[1].close()

    def close_due(self, now: float) -> None:
        """Close whoever had time to read it: closed at once, what they were sending would discard it."""
        while self._leaving and self._leaving[0][0] <= now:
            self._leaving.popleft()[1].close()

    def close(self) -> None:
        """Close all."""
        self.close_due(float("inf"))


@contextmanager
def listening(scp: Serves, bind: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Serve whoever connects, until the context ends; gives the port."""
    listener = listen(bind, port)

    def accept() -> None:
        while True:
            try:
                connection, address = listener.accept()
            except OSError:  # closed
                return
            scp.serve(connection, address[0])

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        scp.stop()
