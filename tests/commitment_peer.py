"""A modality: it asks for storage commitment over a bare socket, and hears reports at home by pynetdicom."""

import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import StorageCommitmentPushModel

from service.core.commitment import Referenced
from service.core.outbox import CommitmentReport
from service.edge.commitment_content import SOP_CLASS, SOP_INSTANCE, read_report, request_content
from tests.hostile import wire
from tests.hostile.client import GOOD_ADDRESS, Client, dial

CONTEXT = wire.Context(5, SOP_CLASS, (wire.IMPLICIT_LITTLE_ENDIAN,))
N_EVENT_REPORT, N_ACTION = 0x0100, 0x0130
_RESPONSE = 0x8000


@dataclass(frozen=True, slots=True)
class Message:
    """A message that came: its command set by element number, and its data set."""

    command: dict[int, bytes]
    content: bytes

    def number(self, element: int) -> int:
        """An unsigned short of the command set."""
        return int.from_bytes(self.command[element], "little")

    @property
    def status(self) -> int:
        """Of a response."""
        return self.number(0x0900)


class Modality:
    """The requestor's side of an association in which commitment is asked for."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def asks(self, content: bytes, sop_instance_uid: str = SOP_INSTANCE, action: int = 1) -> int:
        """The status of an N-ACTION with these bytes."""
        elements = [(0x0003, _text(SOP_CLASS)), (0x0100, _us(N_ACTION)), (0x0110, _us(1)), (0x0800, _us(1))]
        self._send([*elements, (0x1001, _text(sop_instance_uid)), (0x1008, _us(action))], content)
        return self.next().status

    def tells(self, content: bytes, event: int = 1) -> int:
        """The status of an N-EVENT-REPORT with these bytes."""
        elements = [(0x0002, _text(SOP_CLASS)), (0x0100, _us(N_EVENT_REPORT)), (0x0110, _us(1)), (0x0800, _us(1))]
        self._send([*elements, (0x1000, _text(SOP_INSTANCE)), (0x1002, _us(event))], content)
        return self.next().status

    def hears(self, status: int = 0x0000) -> Message:
        """The N-EVENT-REPORT that comes, answered."""
        message = self.next()
        assert message.number(0x0100) == N_EVENT_REPORT
        answer = [
            wire.Element(0x0100, _us(N_EVENT_REPORT | _RESPONSE)),
            wire.Element(0x0120, message.command[0x0110]),
            wire.Element(0x0800, _us(0x0101)),
            wire.Element(0x0900, _us(status)),
        ]
        self.client.send(wire.message(CONTEXT.context_id, wire.COMMAND, wire.command_set(answer)))
        return message

    def next(self) -> Message:
        """The next message."""
        command = self._part(wire.COMMAND)
        found = dict(_elements(command))
        has_content = int.from_bytes(found[0x0800], "little") != 0x0101
        return Message(found, self._part(0) if has_content else b"")

    def _send(self, elements: Iterable[tuple[int, bytes]], content: bytes) -> None:
        command = wire.command_set([wire.Element(*element) for element in elements])
        context_id = CONTEXT.context_id
        self.client.send(wire.message(context_id, wire.COMMAND, command) + wire.message(context_id, 0, content))

    def _part(self, kind: int) -> bytes:
        """A command set or a data set, which may come in several P-DATA-TF of one fragment each."""
        content, is_last = b"", False
        while not is_last:
            body = self.client.expect(wire.P_DATA)
            length, _, control = struct.unpack_from(">IBB", body)
            assert (length, control & wire.COMMAND) == (len(body) - 4, kind)
            content += body[6:]
            is_last = bool(control & wire.LAST)
        return content


@contextmanager
def modality(port: int, calling_ae_title: str) -> Iterator[Modality]:
    """An association, released at the end."""
    with dial(port, GOOD_ADDRESS) as connection:
        client = Client(connection)
        assert client.associate(calling_ae_title, [wire.STORE, CONTEXT]) >= {CONTEXT.context_id}
        yield Modality(client)
        client.release()


@dataclass
class Listener:
    """Where a modality that uses pynetdicom hears reports: from whom, as whom, of which event type, and what."""

    ae_title: str
    port: int
    status: int = 0x0000
    heard: list[tuple[str, str, int, CommitmentReport]] = field(default_factory=list)

    def hear(self, event: Any) -> tuple[int, None]:
        """An N-EVENT-REPORT."""
        content = event.request.EventInformation.getvalue()
        calling, called = event.assoc.requestor.ae_title, event.assoc.acceptor.ae_title
        report = read_report(content, event.context.transfer_syntax)
        self.heard.append((calling, called, event.request.EventTypeID, report))
        return self.status, None


@contextmanager
def at_home(listener: Listener) -> Iterator[None]:
    """The modality listens."""
    entity = AE(listener.ae_title)
    entity.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    handlers = [(evt.EVT_N_EVENT_REPORT, listener.hear)]
    server = entity.start_server(("127.0.0.1", listener.port), block=False, evt_handlers=handlers)
    try:
        yield
    finally:
        server.shutdown()


def request(transaction_uid: str, references: Iterable[Referenced]) -> bytes:
    """Action Information as bytes."""
    return content_bytes(request_content(transaction_uid, references))


def content_bytes(content: Dataset) -> bytes:
    """A data set in the syntax of the association."""
    encoded = encode(content, is_implicit_vr=True, is_little_endian=True)
    assert encoded is not None
    return bytes(encoded)


def _elements(command: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset < len(command):
        _, element, length = struct.unpack_from("<HHI", command, offset)
        yield element, command[offset + 8 : offset + 8 + length]
        offset += 8 + length


def _us(value: int) -> bytes:
    return struct.pack("<H", value)


def _text(value: str) -> bytes:
    return value.encode() + b"\0" * (len(value) % 2)
