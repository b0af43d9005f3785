"""What an association of ours may carry (PS3.8 9.3.2 to 9.3.4): proposed, and read from the peer's answer."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pynetdicom import build_context
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
)

from service.core.errors import Unreached
from service.core.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION
from service.core.outbox import Trouble
from service.edge.dialing import Remote
from service.edge.upper_layer import ConnectionEnded, violation

MOST_CONTEXTS = 128  # their identifiers are the odd numbers up to 255
PERMANENT = 1  # result of an A-ASSOCIATE-RJ
_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
_LONGEST_ANSWER = 16 * 1024  # the PDUs that come to a requestor of C-STORE are short
_LEAST_PDU, _BEST_PDU = 128, 128 * 1024  # what anybody may ask of us, and what we send to whoever takes any length
_A_ASSOCIATE_AC, _A_ASSOCIATE_RJ, _A_ABORT = 0x02, 0x03, 0x07


@dataclass(frozen=True, slots=True)
class Kind:
    """What a presentation context is for."""

    sop_class_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the peer accepts: presentation context identifiers by kind, and the length of a PDU that it takes."""

    contexts: Mapping[Kind, int]
    pdu_bytes: int


def request(remote: Remote, kinds: Sequence[Kind]) -> bytes:
    """An A-ASSOCIATE-RQ with a presentation context for each kind: so the peer cannot choose between syntaxes."""
    proposed = []
    for context_id, kind in _numbered(kinds):
        context = build_context(kind.sop_class_uid, kind.transfer_syntax_uid)
        context.context_id = context_id
        proposed.append(context)
    primitive = A_ASSOCIATE()
    primitive.application_context_name = _APPLICATION_CONTEXT
    primitive.calling_ae_title = remote.calling_ae_title
    primitive.called_ae_title = remote.called_ae_title
    primitive.presentation_context_definition_list = proposed
    primitive.user_information = _user_information()
    return bytes(A_ASSOCIATE_RQ(primitive).encode())


def agreement(remote: Remote, kinds: Sequence[Kind], pdu_type: int, body: bytes) -> Agreement:
    """What the answer to a request says. Raises Unreached when it says no, or cannot be understood."""
    if pdu_type == _A_ABORT:
        raise ConnectionEnded("aborted", "it aborted the association before accepting it")
    pdu = _decoded(pdu_type, body)
    if pdu_type == _A_ASSOCIATE_RJ:
        raise _rejected(remote, pdu)
    contexts = _accepted(kinds, pdu)
    if not contexts:
        raise Unreached(Trouble.CONFIGURATION, f"{remote} accepts nothing of what was offered")
    return Agreement(contexts, _pdu_bytes(pdu))


def _numbered(kinds: Sequence[Kind]) -> list[tuple[int, Kind]]:
    return [(2 * number + 1, kind) for number, kind in enumerate(kinds)]


def _user_information() -> list[Any]:
    longest, implementation, version = (
        MaximumLengthNotification(),
        ImplementationClassUIDNotification(),
        ImplementationVersionNameNotification(),
    )
    longest.maximum_length_received = _LONGEST_ANSWER
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version.implementation_version_name = IMPLEMENTATION_VERSION
    return [longest, implementation, version]


def _decoded(pdu_type: int, body: bytes) -> Any:
    if pdu_type not in (_A_ASSOCIATE_AC, _A_ASSOCIATE_RJ):
        raise violation(f"it answered the request for an association with a PDU of type {pdu_type}")
    pdu = A_ASSOCIATE_AC() if pdu_type == _A_ASSOCIATE_AC else A_ASSOCIATE_RJ()
    try:
        pdu.decode(struct.pack(">BxL", pdu_type, len(body)) + body)
    except Exception as error:  # the decoder raises anything on hostile bytes
        raise violation(f"its answer cannot be understood ({type(error).__name__})") from error
    return pdu


def _rejected(remote: Remote, pdu: Any) -> Unreached:
    trouble = Trouble.CONFIGURATION if pdu.result == PERMANENT else Trouble.BUSY
    try:
        why = f"{pdu.reason_str} (source: {pdu.source_str})"
    except ValueError:
        why = f"source {pdu.source}, reason {pdu.reason_diagnostic}"
    return Unreached(trouble, f"{remote} rejected the association: {why}")


def _accepted(kinds: Sequence[Kind], pdu: Any) -> dict[Kind, int]:
    """What was proposed and is accepted; what is accepted without having been proposed counts for nothing."""
    proposed = dict(_numbered(kinds))
    contexts = {}
    for item in pdu.presentation_context:
        kind = proposed.get(item.presentation_context_id)
        if kind and item.result == 0 and item.transfer_syntax == kind.transfer_syntax_uid:
            contexts[kind] = int(item.presentation_context_id)
    return contexts


def _pdu_bytes(pdu: Any) -> int:
    """The length of the PDUs that the peer gets; it says 0, or nothing, when it takes any."""
    longest = int(getattr(pdu.user_information, "maximum_length", None) or _BEST_PDU)
    if longest < _LEAST_PDU:
        raise violation(f"it takes PDUs of {longest} bytes alone")
    return min(longest, _BEST_PDU)
