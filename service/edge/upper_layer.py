"""PDUs off a connection (PS3.8 9.3): bounded in size and in time, in one buffer, without copies of what streams.

Time is monotonic: nothing here hears of a change of the wall clock.
"""

import mmap
import socket
import ssl
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

A_ABORT = b"\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00"  # PS3.8 9.3.8, source: service user
LONGEST_NEGOTIATION = 128 * 1024  # 128 presentation contexts with thirty syntaxes each take 100 KiB

_P_DATA = 0x04
_TICK_SECONDS = 0.5  # how late a deadline may be noticed
_LINGER_BYTES = 1024 * 1024
_QUICK_ACKNOWLEDGEMENT = getattr(socket, "TCP_QUICKACK", None)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one connection may take; each a site's decision, with its default in Settings."""

    handshake_seconds: float = 5.0  # TLS, and again A-ASSOCIATE-RQ
    idle_seconds: float = 60.0  # between two PDUs
    pdu_seconds: float = 10.0  # from the first byte of a PDU to its last
    pdu_bytes: int = 128 * 1024  # of a P-DATA-TF, as negotiated; measured fastest
    command_bytes: int = 16 * 1024
    instance_bytes: int = 2 * 1024**3
    bytes_per_second: float = 1024.0  # that a message must come with after its first `pdu_seconds`


DEFAULT_LIMITS = Limits()


class ConnectionEnded(Exception):  # noqa: N818 - an outcome, not always an error
    """There is nothing more to read; `how` names the outcome in one word, the message says it in a sentence."""

    def __init__(self, how: str, sentence: str) -> None:
        super().__init__(sentence)
        self.how = how


def wait_in_kernel(connection: socket.socket, receive_seconds: float, send_seconds: float) -> None:
    """Let each call wait no longer than this, without a poll before it (socket(7), SO_RCVTIMEO)."""
    if isinstance(connection, ssl.SSLSocket):  # its own calls are several
        connection.settimeout(min(receive_seconds, send_seconds))
        return
    connection.settimeout(None)
    for option, seconds in ((socket.SO_RCVTIMEO, receive_seconds), (socket.SO_SNDTIMEO, send_seconds)):
        whole = int(seconds)
        connection.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", whole, int((seconds - whole) * 1e6)))


def closed() -> ConnectionEnded:
    """The peer has closed the connection."""
    return ConnectionEnded("closed", "the peer closed the connection")


def violation(sentence: str) -> ConnectionEnded:
    """The peer does what the Standard or a limit forbids."""
    return ConnectionEnded("violation", sentence)


class PduStream:
    """Reads PDUs from a connection. Every method raises ConnectionEnded when the peer is gone, slow or wrong."""

    def __init__(self, connection: socket.socket, limits: Limits) -> None:
        self._connection = connection
        self._limits = limits
        size = max(limits.pdu_bytes, LONGEST_NEGOTIATION) + 64
        self._buffer = memoryview(mmap.mmap(-1, size))  # given back to the system when the connection ends
        self._start = self._end = 0
        self._deadline = time.monotonic() + limits.handshake_seconds
        self._waits_for = "an A-ASSOCIATE-RQ"
        self._message_began = 0.0
        self._message_bytes = 0
        self._stopped = False
        self.before_refill: Callable[[], None] = _nothing
        wait_in_kernel(connection, _TICK_SECONDS, limits.pdu_seconds)

    def first_header(self) -> tuple[int, int]:
        """Type and length of the PDU that must come within `handshake_seconds` as a whole."""
        pdu_type, length = struct.unpack(">BxL", self._take(6))
        if length > LONGEST_NEGOTIATION:
            raise violation(f"the first PDU announces {length} bytes; at most {LONGEST_NEGOTIATION} are read")
        return pdu_type, length

    def header(self) -> tuple[int, int]:
        """Type and length of the next PDU, which may be `idle_seconds` away."""
        now = time.monotonic()
        if self._start == self._end:
            self._deadline, self._waits_for = now + self._limits.idle_seconds, "a PDU"
            self._receive()
            now = time.monotonic()
        self._deadline, self._waits_for = now + self._limits.pdu_seconds, "the rest of a PDU"
        pdu_type, length = struct.unpack(">BxL", self._take(6))
        longest = self._limits.pdu_bytes if pdu_type == _P_DATA else LONGEST_NEGOTIATION
        if length > longest:
            raise violation(f"a PDU of type {pdu_type} announces {length} bytes; at most {longest} are read")
        return pdu_type, length

    def read(self, count: int) -> bytes:
        """The next `count` bytes."""
        return bytes(self._take(count))

    def stream(self, count: int, pieces: list[memoryview]) -> None:
        """Append views of the next `count` bytes; they are valid until `before_refill` is called."""
        while count:
            if self._start == self._end:
                self._receive()
            size = min(count, self._end - self._start)
            pieces.append(self._buffer[self._start : self._start + size])
            self._start += size
            self._message_bytes += size
            count -= size

    def message_begins(self) -> None:
        """From here on `bytes_per_second` of content is asked of the peer, until `message_ends`."""
        self._message_began = time.monotonic()
        self._message_bytes = 0

    def message_ends(self) -> None:
        """The peer may be idle again."""
        self._message_began = 0.0

    def stop(self) -> None:
        """From another thread: whoever reads here hears within a tick that the node stops."""
        self._stopped = True

    def send(self, content: bytes) -> None:
        """Send; a peer that takes nothing for `pdu_seconds` is gone."""
        try:
            if isinstance(self._connection, ssl.SSLSocket):
                self._connection.settimeout(self._limits.pdu_seconds)
            self._connection.sendall(content)
            if isinstance(self._connection, ssl.SSLSocket):
                self._connection.settimeout(_TICK_SECONDS)
        except OSError as error:
            raise ConnectionEnded("closed", "the peer did not take the answer") from error

    def linger(self, seconds: float) -> None:
        """Take what still comes until the peer closes: a close with unread bytes would discard our last answer."""
        deadline, most = time.monotonic() + seconds, _LINGER_BYTES
        try:
            self._connection.shutdown(socket.SHUT_WR)
            self._connection.settimeout(seconds)
            while most > 0 and time.monotonic() < deadline:
                count = self._connection.recv_into(self._buffer)
                most = most - count if count else 0
        except OSError:
            return

    def _take(self, count: int) -> memoryview:
        """The next `count` bytes, in one piece."""
        if self._end - self._start < count:
            self._gather(count)
        taken = self._buffer[self._start : self._start + count]
        self._start += count
        return taken

    def _gather(self, count: int) -> None:
        self._give_away()
        rest = self._end - self._start
        self._buffer[:rest] = self._buffer[self._start : self._end]
        self._start, self._end = 0, rest
        while self._end < count:
            self._receive_more()

    def _receive(self) -> None:
        self._give_away()
        self._start = self._end = 0
        while not self._end:
            self._receive_more()

    def _give_away(self) -> None:
        """What our own disk takes is not the peer's delay."""
        began = time.monotonic()
        self.before_refill()
        spent = time.monotonic() - began
        self._deadline += spent
        if self._message_began:
            self._message_began += spent

    def _receive_more(self) -> None:
        """What comes within a tick, which may be nothing."""
        self._require_pace(time.monotonic())
        if self._stopped:
            raise ConnectionEnded("stopped", "the node stops")
        try:
            if _QUICK_ACKNOWLEDGEMENT is not None:  # a sender with Nagle's algorithm waits for it; it does not stick
                self._connection.setsockopt(socket.IPPROTO_TCP, _QUICK_ACKNOWLEDGEMENT, 1)
            count = self._connection.recv_into(self._buffer[self._end :])
        except (BlockingIOError, TimeoutError):
            count = -1
        except OSError as error:
            raise closed() from error
        if not count:
            raise closed()
        if time.monotonic() > self._deadline:
            raise self._late()
        self._end += max(count, 0)

    def _late(self) -> ConnectionEnded:
        how = "idle" if self._waits_for == "a PDU" else "slow"
        return ConnectionEnded(how, f"waited in vain for {self._waits_for}")

    def _require_pace(self, now: float) -> None:
        if not self._message_began:
            return
        seconds = now - self._message_began - self._limits.pdu_seconds
        if seconds > 0 and self._message_bytes < seconds * self._limits.bytes_per_second:
            sentence = f"a message comes with less than {self._limits.bytes_per_second:g} bytes per second"
            raise ConnectionEnded("slow", sentence)


def _nothing() -> None:
    return None
