"""An end to every conversation, however slowly a peer drips it."""

import socket
import threading
from contextlib import suppress


class Watchdog:
    """Ends a connection after some seconds, unless it is called off: whoever waits on it then sees it closed."""

    def __init__(self, seconds: float, connection: socket.socket) -> None:
        self.has_cut = False
        self._connection = connection
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def call_off(self) -> None:
        """The conversation has ended in time."""
        self._timer.cancel()

    def _cut(self) -> None:
        self.has_cut = True
        with suppress(OSError):  # it is closed
            socket.socket.shutdown(self._connection, socket.SHUT_RDWR)  # TLS's own would wait for the peer
