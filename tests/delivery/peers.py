"""Peers that accept a connection and then do what a test says, right or wrong, byte by byte."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tests.hostile import wire
from tests.hostile.client import is_closed
from tests.hostile.wire import COMMAND, LAST, Element

_APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)
LOCAL_LIMIT_EXCEEDED = (2, 3, 2)  # result, source and reason of an A-ASSOCIATE-RJ (PS3.8 9.3.4)
CALLING_TITLE_UNKNOWN = (1, 1, 3)


@dataclass(frozen=True, slots=True)
class Request:
    """A command as it came, its data set read and thrown away."""

    context_id: int
    message_id: int
    field: int
    data_set_bytes: int


class Gone(Exception):  # noqa: N818 - an outcome
    """The one who called closed the connection."""


class Visit:
    """One connection as a peer sees it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def pdu(self) -> tuple[int, bytes]:
        """Type and body of the next PDU."""
        kind, length = struct.unpack(">BxI", self._read(6))
        return kind, self._read(length)

    def accept(self, maximum_length: int = 16384, contexts: Sequence[tuple[int, int, bytes]] | None = None) -> None:
        """Read an A-ASSOCIATE-RQ, and accept all of it, or contexts of (id, result, transfer syntax)."""
        _, body = self.pdu()
        chosen = [(number, 0, syntax) for number, syntax in _proposed(body)] if contexts is None else contexts
        items = b"".join(
            _item(0x21, struct.pack(">BxBx", number, result) + _item(0x40, syntax)) for number, result, syntax in chosen
        )
        user = _item(0x50, _item(0x51, struct.pack(">I", maximum_length)) + _item(0x52, b"1.2.3.4"))
        head = struct.pack(">Hxx", 1) + body[4:68]
        self.say(wire.pdu(wire.ASSOCIATE_AC, head + _item(0x10, _APPLICATION_CONTEXT) + items + user))

    def reject(self, answer: tuple[int, int, int]) -> None:
        """Read an A-ASSOCIATE-RQ, and reject it."""
        self.pdu()
        self.say(wire.pdu(wire.ASSOCIATE_RJ, bytes((0, *answer))))

    def request(self) -> Request:
        """The next request with its data set, whole. Raises Gone when it is released, aborted or closed instead."""
        command, size, context_id = b"", 0, 0
        while not command or _short(command, 0x0800) != 0x0101:
            kind, body = self.pdu()
            if kind == wire.RELEASE_RQ:
                self.say(wire.pdu(wire.RELEASE_RP, bytes(4)))
            if kind != wire.P_DATA:
                raise Gone
            (context_id, control, content) = _fragment(body)
            command += content if control & COMMAND else b""
            size += 0 if control & COMMAND else len(content)
            if control == LAST:
                break
        return Request(context_id, _short(command, 0x0110), _short(command, 0x0100), size)

    def answer(self, request: Request, status: int = 0x0000, message_id: int | None = None) -> None:
        """The response to a request."""
        self.say(wire.message(request.context_id, COMMAND, response(request, status, message_id)))

    def say(self, content: bytes) -> None:
        """Send. Raises Gone when nobody takes it."""
        try:
            self.connection.sendall(content)
        except OSError as error:
            raise Gone from error

    def reset(self) -> None:
        """Close with RST."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        self.connection.close()

    def wait(self) -> None:
        """Do nothing until the one who called gives up, without reading."""
        while self.connection.fileno() >= 0 and not is_closed(self.connection):
            threading.Event().wait(0.02)

    def _read(self, count: int) -> bytes:
        content = bytearray()
        while len(content) < count:
            try:
                piece = self.connection.recv(min(count - len(content), 65536))
            except OSError as error:
                raise Gone from error
            if not piece:
                raise Gone
            content += piece
        return bytes(content)


Script = Callable[[Visit], None]


@contextmanager
def peer(*scripts: Script, receive_buffer: int = 0) -> Iterator[int]:
    """A peer that does one script for each connection in turn, the last one for ever; its port."""
    with socket.socket() as listener:
        if receive_buffer:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        visits: list[tuple[threading.Thread, Visit]] = []

        def accept() -> None:
            with suppress(OSError):  # closed: the test is over
                while True:
                    connection, _ = listener.accept()
                    script = scripts[min(len(visits), len(scripts) - 1)]
                    visit = Visit(connection)
                    thread = threading.Thread(target=_run, args=(script, visit))
                    visits.append((thread, visit))
                    thread.start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread, visit in visits:
                with suppress(OSError):
                    visit.connection.shutdown(socket.SHUT_RDWR)
                thread.join()


def storing(*statuses: int) -> Script:
    """A script: accept everything, and answer with the statuses in turn, the last one for ever."""

    def serve(visit: Visit) -> None:
        visit.accept()
        for number in range(1 << 20):
            visit.answer(visit.request(), statuses[min(number, len(statuses) - 1)])

    return serve


def response(request: Request, status: int, message_id: int | None = None) -> bytes:
    """The command set of a response to a request, or to another message."""
    values = (
        (0x0100, request.field | 0x8000),
        (0x0120, request.message_id if message_id is None else message_id),
        (0x0800, 0x0101),
        (0x0900, status),
    )
    return wire.command_set([Element(element, struct.pack("<H", value)) for element, value in values])


def _run(script: Script, visit: Visit) -> None:
    with suppress(Gone, OSError):  # scripts also read for themselves
        script(visit)
    visit.connection.close()


def _proposed(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Identifier and first transfer syntax of each presentation context in an A-ASSOCIATE-RQ."""
    for kind, content in _items(body[68:]):
        if kind == 0x20:
            yield content[0], next(syntax for inner, syntax in _items(content[4:]) if inner == 0x40)


def _items(content: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(content):
        kind, length = struct.unpack_from(">BxH", content, position)
        yield kind, content[position + 4 : position + 4 + length]
        position += 4 + length


def _item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(content)) + content


def _fragment(body: bytes) -> tuple[int, int, bytes]:
    """Presentation context, control header and content of a P-DATA-TF with one fragment, as ours have."""
    length, context_id, control = struct.unpack_from(">IBB", body)
    assert length == len(body) - 4
    return context_id, control, body[6:]


def _short(command: bytes, wanted: int) -> int:
    position = 0
    while position < len(command):
        _, element, length = struct.unpack_from("<HHI", command, position)
        if element == wanted:
            return int(struct.unpack_from("<H", command, position + 8)[0])
        position += 8 + length
    raise ValueError(f"no element {wanted:04X}")
