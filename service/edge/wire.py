"""PDUs over a connection of ours, in the thread that calls: nothing waits without a deadline (PS3.8 9.3).

Progress counts, not time in all: as long as the peer's machine acknowledges what was sent it may be slow, and the time
for an answer begins when it has taken everything.
"""

import errno
import fcntl
import socket
import ssl
import struct
import termios
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice

from service.edge.dialing import Deadlines
from service.edge.upper_layer import LONGEST_NEGOTIATION, ConnectionEnded, closed, violation, wait_in_kernel

Piece = bytes | memoryview

_TICK_SECONDS = 0.25  # how late a deadline may be noticed
_LEAST_BYTES_PER_SECOND = 1024.0  # as is asked of whoever sends to us
_MOST_PIECES = 1000  # in one call: IOV_MAX is 1024
_RECORD_BYTES = 16 * 1024  # of TLS
_RECEIVE_BYTES = 64 * 1024
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class Wire:
    """A connection. Every method raises ConnectionEnded when the peer is gone, slow or wrong."""

    def __init__(self, connection: socket.socket, deadlines: Deadlines) -> None:
        self._connection = connection
        self._is_tls = isinstance(connection, ssl.SSLSocket)
        self._deadlines = deadlines
        self._received = bytearray()
        self._handed = 0  # bytes that the kernel took from us
        self._mark_bytes, self._mark_at = -1, 0.0  # how far the peer was, and when
        self._whole = True  # False: it ended within what was to be sent
        tick = min(_TICK_SECONDS, deadlines.stall_seconds / 4)
        wait_in_kernel(connection, tick, tick)

    def send(self, pieces: Sequence[Piece]) -> None:
        """Send whole PDUs, as long as the peer takes them."""
        self._whole = False
        self._mark_bytes, self._mark_at = -1, time.monotonic()
        left = list(pieces)
        while left:
            count = self._push(left)
            self._handed += count
            left = _behind(left, count)
            if left:
                self._require_progress()
        self._whole = True

    def answer_deadline(self, seconds: float) -> float:
        """Wait for the first byte of an answer; the moment at which all of it has to be there.

        It is `seconds` after the peer's machine took the last of what was sent.
        """
        deadline = time.monotonic() + seconds
        while not (self._received or self._pull()):
            if self._waiting_to_leave():
                self._require_progress()
                deadline = time.monotonic() + seconds
            else:
                _require_time(deadline)
        return deadline

    def pdu(self, deadline: float) -> tuple[int, bytes]:
        """Type and body of the next PDU, which has to be there at `deadline` (monotonic)."""
        _require_time(deadline)  # also when it sends faster than is read
        pdu_type, length = struct.unpack(">BxL", self._take(6, deadline))
        if length > LONGEST_NEGOTIATION:
            raise violation(
                f"a PDU of type {pdu_type} announces {length} bytes; at most {LONGEST_NEGOTIATION} are read"
            )
        return pdu_type, self._take(length, deadline)

    def close(self, last_words: bytes = b"") -> None:
        """Close at once; in the middle of a PDU by RST, else the last words are said before."""
        with suppress(OSError):  # it is gone already
            if not self._whole:
                self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
            elif last_words:
                self._connection.send(last_words)
        self._connection.close()

    def _push(self, pieces: list[Piece]) -> int:
        """How many bytes the kernel took within a tick."""
        try:
            if self._is_tls:
                return self._connection.send(_record(pieces))
            return self._connection.sendmsg(pieces[:_MOST_PIECES])
        except (BlockingIOError, TimeoutError):
            return 0
        except OSError as error:
            if self._is_tls:  # what refuses us is read, and it came before the connection was reset
                self._pull()
            raise _ended(error) from error

    def _pull(self) -> bool:
        """True when something came within a tick."""
        try:
            # A peer with Nagle's algorithm holds back the rest of its answer until its beginning is acknowledged.
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            came = self._connection.recv(_RECEIVE_BYTES)
        except (BlockingIOError, TimeoutError):
            return False
        except OSError as error:
            raise _ended(error) from error
        if not came:
            raise closed()
        self._received += came
        return True

    def _take(self, count: int, deadline: float) -> bytes:
        while len(self._received) < count:
            self._pull()
            _require_time(deadline)
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken

    def _waiting_to_leave(self) -> int:
        """Bytes that the peer's machine has not acknowledged."""
        (count,) = struct.unpack("i", fcntl.ioctl(self._connection.fileno(), termios.TIOCOUTQ, bytes(4)))
        return int(count)

    def _require_progress(self) -> None:
        now, taken = time.monotonic(), self._handed - self._waiting_to_leave()
        seconds = self._deadlines.stall_seconds
        if self._mark_bytes < 0:
            self._mark_bytes = taken
        if taken - self._mark_bytes >= _LEAST_BYTES_PER_SECOND * seconds:
            self._mark_bytes, self._mark_at = taken, now
        elif now - self._mark_at > seconds:
            raise ConnectionEnded("slow", f"it took next to nothing of what was sent for {seconds:g} s")


def _record(pieces: list[Piece]) -> bytes:
    """What one TLS record holds of the pieces; the same again for the same pieces, as OpenSSL asks."""
    taken, size = 0, 0
    while size < _RECORD_BYTES and taken < len(pieces):
        size += len(pieces[taken])
        taken += 1
    return b"".join(memoryview(piece)[:_RECORD_BYTES] for piece in islice(pieces, taken))[:_RECORD_BYTES]


def _behind(pieces: list[Piece], count: int) -> list[Piece]:
    """What is left of the pieces behind their first `count` bytes."""
    for number, piece in enumerate(pieces):
        if count < len(piece):
            return [memoryview(piece)[count:], *pieces[number + 1 :]]
        count -= len(piece)
    return []


def _ended(error: OSError) -> ConnectionEnded:
    if error.errno == errno.ETIMEDOUT:  # TCP_USER_TIMEOUT, or keepalive
        return ConnectionEnded("gone", "its machine no longer answers")
    return closed()


def _require_time(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise ConnectionEnded("slow", "it did not answer in time")
