"""One association as seen from a socket: no threads, no timers, nothing sent that the caller did not ask for."""

import socket
import ssl
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tests.hostile import wire

GOOD, GOOD_ADDRESS = "GOOD", "127.0.0.1"
EVIL, EVIL_ADDRESS = "EVIL", "127.0.0.66"
STRANGER_ADDRESS = "127.0.0.77"
ANSWER_SECONDS = 10.0
_ESTABLISHED = 1  # the first byte of Linux's struct tcp_info
_DISCARD_AT_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: close sends RST


class NotServedError(Exception):
    """The receiver refused, aborted or closed where a peer that does nothing wrong expects an answer."""


def dial(port: int, source: str, receive_buffer: int = 0) -> socket.socket:
    """A connection to the receiver that comes from `source`."""
    connection = socket.socket()
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(ANSWER_SECONDS)
        connection.bind((source, 0))
        connection.connect(("127.0.0.1", port))
    except OSError:
        connection.close()
        raise
    return connection


def dial_secured(port: int, source: str, context: ssl.SSLContext) -> ssl.SSLSocket:
    """A connection with TLS to the receiver that comes from `source`."""
    plain = dial(port, source)
    try:
        return context.wrap_socket(plain, server_hostname="127.0.0.1")
    except OSError:
        plain.close()
        raise


class Client:
    """The requestor's side of an association over a connection that is open."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def associate(self, calling: str, contexts: Iterable[wire.Context] = (wire.ECHO, wire.STORE)) -> set[int]:
        """The ids of the accepted presentation contexts. Raises NotServedError when the association is not accepted."""
        self.send(wire.associate_rq(calling, contexts))
        return wire.accepted_contexts(self.expect(wire.ASSOCIATE_AC))

    def echo(self) -> int:
        """The status of a C-ECHO."""
        self.send(wire.echo_request())
        return wire.status(self.expect(wire.P_DATA))

    def store(self, sop_instance_uid: str, data_set: bytes) -> int:
        """The status of a C-STORE."""
        self.send(wire.store_request(sop_instance_uid, data_set))
        return wire.status(self.expect(wire.P_DATA))

    def release(self) -> None:
        """A-RELEASE, answered."""
        self.send(wire.pdu(wire.RELEASE_RQ, bytes(4)))
        self.expect(wire.RELEASE_RP)

    def abort(self) -> None:
        """A-ABORT; no answer comes."""
        self.send(wire.pdu(wire.ABORT, bytes(4)))

    def reset(self) -> None:
        """Close with RST, as a crashed sender's machine does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DISCARD_AT_CLOSE)
        self.connection.close()

    def send(self, content: bytes) -> None:
        """Send all of it. Raises NotServedError when the receiver has closed."""
        try:
            self.connection.sendall(content)
        except OSError as error:
            raise NotServedError(f"sending failed: {error}") from error

    def expect(self, kind: int) -> bytes:
        """The body of the next PDU. Raises NotServedError when it is of another kind, or none comes."""
        seen, length = struct.unpack(">BxI", self._receive(6))
        body = self._receive(length)
        if seen != kind:
            raise NotServedError(f"PDU type {seen} {body[:4].hex()} came instead of type {kind}")
        return body

    def _receive(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            try:
                piece = self.connection.recv(size - len(received))
            except OSError as error:
                raise NotServedError(f"no answer: {error}") from error
            if not piece:
                raise NotServedError("closed instead of an answer")
            received += piece
        return received


@contextmanager
def association(port: int, calling: str, source: str) -> Iterator[Client]:
    """An association that is released at the end, or closed when its body raises."""
    with dial(port, source) as connection:
        client = Client(connection)
        client.associate(calling)
        yield client
        client.release()


def is_closed(connection: socket.socket) -> bool:
    """True when the receiver has closed or reset a connection; answers that wait in it stay unread (Linux)."""
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _ESTABLISHED
