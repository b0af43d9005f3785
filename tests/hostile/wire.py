"""The upper layer and DIMSE as bytes (PS3.8 9.3, PS3.7 9.3): whatever a test wants to send, right or wrong."""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
COMMAND, LAST = 0x01, 0x02  # the bits of a fragment's message control header (PS3.8 E.2)
GREATEST = 0xFFFFFFFF
FRAGMENT_BYTES = 16 * 1024  # every receiver takes PDUs of this size

VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"

C_STORE, C_ECHO = 0x0001, 0x0030
_NO_DATA_SET, _DATA_SET = 0x0101, 0x0001


@dataclass(frozen=True, slots=True)
class Context:
    """A presentation context as it is proposed."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a command set; all are of group 0000."""

    element: int
    content: bytes


ECHO = Context(1, VERIFICATION, (IMPLICIT_LITTLE_ENDIAN,))
STORE = Context(3, CT, (EXPLICIT_LITTLE_ENDIAN,))


def pdu(kind: int, body: bytes, length: int | None = None) -> bytes:
    """A PDU; `length` is what its header says where that is not the truth."""
    return struct.pack(">BxI", kind, len(body) if length is None else length) + body


def associate_rq(calling: str, contexts: Iterable[Context] = (ECHO, STORE), called: str = "ISOCENTER") -> bytes:
    """An A-ASSOCIATE-RQ."""
    titles = called.ljust(16).encode() + calling.ljust(16).encode()
    proposed = b"".join(_proposal(context) for context in contexts)
    maximum_length = _item(0x51, struct.pack(">I", FRAGMENT_BYTES))
    user = _item(0x50, maximum_length + _item(0x52, b"1.2.3.4"))
    return pdu(
        ASSOCIATE_RQ,
        struct.pack(">Hxx", 1) + titles + bytes(32) + _item(0x10, _APPLICATION_CONTEXT.encode()) + proposed + user,
    )


def accepted_contexts(body: bytes) -> set[int]:
    """The ids of the presentation contexts that an A-ASSOCIATE-AC accepts."""
    accepted, offset = set(), 68
    while offset + 4 <= len(body):
        kind, length = struct.unpack_from(">BxH", body, offset)
        if kind == 0x21 and body[offset + 6] == 0:
            accepted.add(body[offset + 4])
        offset += 4 + length
    return accepted


def p_data(context_id: int, control: int, content: bytes, length: int | None = None) -> bytes:
    """A P-DATA-TF with one fragment; `length` is what the fragment says of itself where that is not the truth."""
    said = len(content) + 2 if length is None else length
    return pdu(P_DATA, struct.pack(">IBB", said, context_id, control) + content)


def message(context_id: int, control: int, content: bytes) -> bytes:
    """A whole command set or data set in as many P-DATA-TF as it takes."""
    pieces = [content[start : start + FRAGMENT_BYTES] for start in range(0, max(1, len(content)), FRAGMENT_BYTES)]
    first = [p_data(context_id, control, piece) for piece in pieces[:-1]]
    return b"".join([*first, p_data(context_id, control | LAST, pieces[-1])])


def command_set(elements: Sequence[Element]) -> bytes:
    """Elements in Implicit VR Little Endian behind their group length."""
    content = b"".join(struct.pack("<HHI", 0, each.element, len(each.content)) + each.content for each in elements)
    return struct.pack("<HHII", 0, 0, 4, len(content)) + content


def echo_elements(message_id: int = 1) -> list[Element]:
    """The command set of a C-ECHO-RQ."""
    return [_text(0x0002, VERIFICATION), _us(0x0100, C_ECHO), _us(0x0110, message_id), _us(0x0800, _NO_DATA_SET)]


def store_elements(sop_instance_uid: str, message_id: int = 1) -> list[Element]:
    """The command set of a C-STORE-RQ for a CT."""
    return [
        _text(0x0002, CT),
        _us(0x0100, C_STORE),
        _us(0x0110, message_id),
        _us(0x0700, 0),
        _us(0x0800, _DATA_SET),
        _text(0x1000, sop_instance_uid),
    ]


def echo_request(message_id: int = 1) -> bytes:
    """A C-ECHO-RQ as it goes over the network."""
    return message(ECHO.context_id, COMMAND, command_set(echo_elements(message_id)))


def store_command(sop_instance_uid: str, message_id: int = 1) -> bytes:
    """The command of a C-STORE-RQ as it goes over the network; its data set is to follow."""
    return message(STORE.context_id, COMMAND, command_set(store_elements(sop_instance_uid, message_id)))


def store_request(sop_instance_uid: str, data_set: bytes, message_id: int = 1) -> bytes:
    """A C-STORE-RQ with its data set."""
    return store_command(sop_instance_uid, message_id) + message(STORE.context_id, 0, data_set)


def status(body: bytes) -> int:
    """The status in the body of a P-DATA-TF with a whole response. Raises ValueError where there is none."""
    offset = 6
    while offset + 8 <= len(body):
        group, element, length = struct.unpack_from("<HHI", body, offset)
        if (group, element) == (0x0000, 0x0900):
            return int(struct.unpack_from("<H", body, offset + 8)[0])
        offset += 8 + length
    raise ValueError(f"no status in an answer of {len(body)} bytes")


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(body)) + body


def _proposal(context: Context) -> bytes:
    syntaxes = b"".join(_item(0x40, uid.encode()) for uid in context.transfer_syntaxes)
    abstract = _item(0x30, context.abstract_syntax.encode())
    return _item(0x20, struct.pack(">Bxxx", context.context_id) + abstract + syntaxes)


def _us(element: int, value: int) -> Element:
    return Element(element, struct.pack("<H", value))


def _text(element: int, value: str) -> Element:
    return Element(element, value.encode() + b"\0" * (len(value) % 2))
