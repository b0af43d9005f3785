"""Command sets of C-STORE and C-ECHO (PS3.7 9.3, E.1), read and written without objects between."""

import struct
from dataclasses import dataclass

from service.edge.intake import Answer

C_STORE_RQ, C_ECHO_RQ = 0x0001, 0x0030
_RESPONSE = 0x8000  # the bit that makes a request's Command Field that of its response
_DATA_SET, _NO_DATA_SET = 0x0001, 0x0101
_MEDIUM_PRIORITY = 0x0000
_VERIFICATION = "1.2.840.10008.1.1"

_GROUP_LENGTH = 0x0000
_SOP_CLASS, _COMMAND_FIELD, _MESSAGE_ID, _RESPONDED_TO = 0x0002, 0x0100, 0x0110, 0x0120
_PRIORITY, _DATA_SET_TYPE, _STATUS, _COMMENT, _SOP_INSTANCE = 0x0700, 0x0800, 0x0900, 0x0902, 0x1000
_LONGEST_COMMENT = 64


class NotACommandSet(Exception):  # noqa: N818 - said of the bytes
    """The bytes are no command set; the message says why."""


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """A C-STORE-RQ, its UIDs as they came."""

    message_id: int
    sop_class_uid: str
    sop_instance_uid: str


def elements(command: bytes) -> dict[int, bytes]:
    """The values of a command set by element number. Raises NotACommandSet."""
    found: dict[int, bytes] = {}
    position = 0
    while position < len(command):
        if position + 8 > len(command):
            raise NotACommandSet("it ends within an element")
        group, element, length = struct.unpack_from("<HHL", command, position)
        position += 8 + length
        if group != 0 or position > len(command):
            raise NotACommandSet(f"element ({group:04X},{element:04X}) does not belong there or is too long")
        found[element] = command[position - length : position]
    return found


def command_field(found: dict[int, bytes]) -> int:
    """Which command it is. Raises NotACommandSet."""
    return _number(found, _COMMAND_FIELD)


def has_data_set(found: dict[int, bytes]) -> bool:
    """True when a data set follows. Raises NotACommandSet."""
    return _number(found, _DATA_SET_TYPE) != _NO_DATA_SET


def store_request(found: dict[int, bytes]) -> StoreRequest:
    """The request in a C-STORE-RQ. Raises NotACommandSet."""
    return StoreRequest(_number(found, _MESSAGE_ID), _text(found, _SOP_CLASS), _text(found, _SOP_INSTANCE))


def store_response(request: StoreRequest, context_id: int, answer: Answer) -> bytes:
    """A P-DATA-TF with the C-STORE-RSP."""
    comment = answer.comment[:_LONGEST_COMMENT].encode("ascii", "replace")
    body = b"".join(
        (
            _uid(_SOP_CLASS, request.sop_class_uid),
            _short(_COMMAND_FIELD, C_STORE_RQ | _RESPONSE),
            _short(_RESPONDED_TO, request.message_id),
            _short(_DATA_SET_TYPE, _NO_DATA_SET),
            _short(_STATUS, answer.status),
            _element(_COMMENT, _padded(comment, b" ")) if comment else b"",
            _uid(_SOP_INSTANCE, request.sop_instance_uid),
        )
    )
    command = _with_length(body)
    last_command_fragment = 0x03
    return struct.pack(">BxLLBB", 0x04, len(command) + 6, len(command) + 2, context_id, last_command_fragment) + command


def encode_store_request(request: StoreRequest) -> bytes:
    """The command set of a C-STORE-RQ; a data set is to follow."""
    return _with_length(
        b"".join(
            (
                _uid(_SOP_CLASS, request.sop_class_uid),
                _short(_COMMAND_FIELD, C_STORE_RQ),
                _short(_MESSAGE_ID, request.message_id),
                _short(_PRIORITY, _MEDIUM_PRIORITY),
                _short(_DATA_SET_TYPE, _DATA_SET),
                _uid(_SOP_INSTANCE, request.sop_instance_uid),
            )
        )
    )


def encode_echo_request(message_id: int) -> bytes:
    """The command set of a C-ECHO-RQ."""
    field, message = _short(_COMMAND_FIELD, C_ECHO_RQ), _short(_MESSAGE_ID, message_id)
    return _with_length(_uid(_SOP_CLASS, _VERIFICATION) + field + message + _short(_DATA_SET_TYPE, _NO_DATA_SET))


def status(command: bytes, request_field: int, message_id: int) -> int:
    """The status in the response to a request. Raises NotACommandSet when the bytes are no response to it."""
    found = elements(command)
    field, responded_to = _number(found, _COMMAND_FIELD), _number(found, _RESPONDED_TO)
    if field != request_field | _RESPONSE or responded_to != message_id:
        raise NotACommandSet(f"command {field:04X} answers message {responded_to}, and {message_id} was asked")
    return _number(found, _STATUS)


def _with_length(body: bytes) -> bytes:
    return _element(_GROUP_LENGTH, struct.pack("<L", len(body))) + body


def _uid(element: int, value: str) -> bytes:
    return _element(element, _padded(value.encode("ascii", "replace"), b"\0"))


def _short(element: int, value: int) -> bytes:
    return _element(element, struct.pack("<H", value))


def _element(element: int, value: bytes) -> bytes:
    return struct.pack("<HHL", 0x0000, element, len(value)) + value


def _padded(value: bytes, pad: bytes) -> bytes:
    return value + pad * (len(value) % 2)


def _number(found: dict[int, bytes], element: int) -> int:
    value = found.get(element, b"")
    if len(value) != 2:
        raise NotACommandSet(f"element (0000,{element:04X}) is absent or not one unsigned short")
    return int.from_bytes(value, "little")


def _text(found: dict[int, bytes], element: int) -> str:
    return found.get(element, b"").rstrip(b"\0 ").decode("ascii", "replace")
