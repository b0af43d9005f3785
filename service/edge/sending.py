"""An association as requestor (PS3.8) for C-ECHO and C-STORE (PS3.7 9.1), in the thread that calls.

pynetdicom polls in two threads for each association and copies a data set six times; its timers follow the wall clock,
and none of them ends a send that the peer does not take. Here a data set goes from the file's bytes to the socket.
"""

import ssl
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from service.core.errors import Unreached
from service.core.outbox import Trouble
from service.edge import command_set, negotiation
from service.edge.command_set import NotACommandSet, StoreRequest
from service.edge.dialing import Deadlines, Remote, dial, secured
from service.edge.negotiation import Agreement, Kind
from service.edge.outgoing import Content, Outgoing
from service.edge.tls_failures import unreached
from service.edge.upper_layer import A_ABORT, ConnectionEnded, violation
from service.edge.wire import Piece, Wire

VERIFICATION = Kind("1.2.840.10008.1.1", "1.2.840.10008.1.2")

_P_DATA_TF, _A_RELEASE_RQ, _A_RELEASE_RP, _A_ABORT = 0x04, 0x05, 0x06, 0x07
_RELEASE_REQUEST, _RELEASE_RESPONSE = (struct.pack(">BxL4x", kind, 4) for kind in (_A_RELEASE_RQ, _A_RELEASE_RP))
_COMMAND, _LAST = 0x01, 0x02  # PS3.8 E.2
_PENDING = {0xFF00, 0xFF01}
_CHUNK_BYTES = 1024 * 1024  # read and sent at once
_LONGEST_COMMAND = 16 * 1024


@dataclass(frozen=True, slots=True)
class Parcel:
    """An object ready to be sent: its first chunk has been read."""

    outgoing: Outgoing
    context_id: int
    content: Content
    first: bytes


class Association:
    """An association that is there. Methods raise ConnectionEnded when the peer is gone, slow or wrong."""

    def __init__(self, wire: Wire, agreed: Agreement, answer_seconds: float) -> None:
        self._wire = wire
        self._agreed = agreed
        self._answer_seconds = answer_seconds
        self._fragment_bytes = (agreed.pdu_bytes - 6) & ~1  # PS3.8 E.2: even
        self._chunk_bytes = self._fragment_bytes * max(1, _CHUNK_BYTES // self._fragment_bytes)
        self._message_id = 0

    def echo(self) -> int:
        """C-ECHO; its status."""
        context_id = self._agreed.contexts[VERIFICATION]
        command = command_set.encode_echo_request(self._next_message())
        self._wire.send(self._fragments(command, context_id, _COMMAND | _LAST))
        return self._status(context_id, command_set.C_ECHO_RQ)

    def packed(self, outgoing: Outgoing) -> Parcel | None:
        """An object made ready; None where the peer accepts no presentation context for it. Raises Unreadable."""
        kind = next((kind for kind in outgoing.kinds if kind in self._agreed.contexts), None)
        if kind is None:
            return None
        content = Content(outgoing, kind.transfer_syntax_uid)
        try:
            return Parcel(outgoing, self._agreed.contexts[kind], content, content.read(self._chunk_bytes))
        except BaseException:
            content.close()
            raise

    def send(self, parcel: Parcel) -> None:
        """C-STORE without its answer. Raises Unreadable when the file changes: the association is to be aborted."""
        outgoing, content = parcel.outgoing, parcel.content
        request = StoreRequest(self._next_message(), outgoing.kind.sop_class_uid, outgoing.sop_instance_uid)
        pieces = self._fragments(command_set.encode_store_request(request), parcel.context_id, _COMMAND | _LAST)
        chunk = parcel.first
        try:
            while True:
                pieces += self._fragments(chunk, parcel.context_id, _LAST if content.is_read else 0)
                self._wire.send(pieces)
                if content.is_read:
                    return
                chunk, pieces = content.read(self._chunk_bytes), []
        finally:
            content.close()

    def store_status(self, parcel: Parcel) -> int:
        """The answer to what was sent last."""
        return self._status(parcel.context_id, command_set.C_STORE_RQ)

    def release(self, seconds: float) -> None:
        """A-RELEASE; a peer that does not answer it has all the same had everything."""
        deadline = time.monotonic() + seconds
        with suppress(ConnectionEnded):
            self._wire.send([_RELEASE_REQUEST])
            kind = 0
            while kind not in (_A_RELEASE_RP, _A_ABORT):
                kind, _ = self._wire.pdu(deadline)
                if kind == _A_RELEASE_RQ:  # it released at the same time
                    self._wire.send([_RELEASE_RESPONSE])

    def _next_message(self) -> int:
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    def _fragments(self, content: bytes, context_id: int, control: int) -> list[Piece]:
        """P-DATA-TF PDUs of one fragment each; `control` is that of the last one."""
        view, size = memoryview(content), self._fragment_bytes
        full = _header(size, context_id, control & ~_LAST)
        last = (len(content) - 1) // size * size
        pieces: list[Piece] = []
        for start in range(0, last, size):
            pieces += (full, view[start : start + size])
        return [*pieces, _header(len(content) - last, context_id, control), view[last:]]

    def _status(self, context_id: int, request_field: int) -> int:
        deadline = self._wire.answer_deadline(self._answer_seconds)
        command, is_whole = b"", False
        while not is_whole:
            for found, control, content in _pdvs(self._p_data(deadline)):
                if is_whole or found != context_id or not control & _COMMAND:
                    raise violation("what it sends is not the answer to what was asked")
                command, is_whole = command + content, bool(control & _LAST)
            if len(command) > _LONGEST_COMMAND:
                raise violation(f"its answer has more than {_LONGEST_COMMAND} bytes")
        return self._status_in(command, request_field)

    def _status_in(self, command: bytes, request_field: int) -> int:
        try:
            status = command_set.status(command, request_field, self._message_id)
        except NotACommandSet as error:
            raise violation(f"its answer is none to what was asked: {error}") from error
        if status in _PENDING:
            raise violation(f"it answers with status 0x{status:04X}, which means that there is more to come")
        return status

    def _p_data(self, deadline: float) -> bytes:
        pdu_type, body = self._wire.pdu(deadline)
        if pdu_type == _P_DATA_TF:
            return body
        if pdu_type == _A_RELEASE_RQ:
            self._wire.send([_RELEASE_RESPONSE])
            raise ConnectionEnded("released", "it released the association instead of an answer")
        if pdu_type == _A_ABORT:
            raise ConnectionEnded("aborted", "it aborted the association")
        raise violation(f"it sent a PDU of type {pdu_type} instead of an answer")


@contextmanager
def established(remote: Remote, kinds: Sequence[Kind], deadlines: Deadlines) -> Iterator[Association]:
    """An association, released at the end and aborted when its body raises. Raises Unreached when none can be made."""
    connection = dial(remote, deadlines)
    until = time.monotonic() + deadlines.negotiation_seconds
    try:
        connection = secured(connection, remote, until)
        wire = Wire(connection, deadlines)
    except BaseException:
        connection.close()
        raise
    try:
        made = Association(wire, _negotiated(wire, remote, kinds, until), remote.answer_seconds)
        yield made
        made.release(deadlines.release_seconds)
    except BaseException:
        wire.close(A_ABORT)
        raise
    wire.close()


def _negotiated(wire: Wire, remote: Remote, kinds: Sequence[Kind], until: float) -> Agreement:
    try:
        wire.send([negotiation.request(remote, kinds)])
        return negotiation.agreement(remote, kinds, *wire.pdu(until))
    except ConnectionEnded as ended:
        if isinstance(ended.__cause__, ssl.SSLError):  # under TLS 1.3 a refusal is the first answer
            raise unreached(remote, ended.__cause__) from ended
        hint = ": it may not accept our certificate" if remote.tls and ended.how == "closed" else ""
        raise Unreached(Trouble.NETWORK, f"{remote} gave no association: {ended}{hint}") from ended


def _header(size: int, context_id: int, control: int) -> bytes:
    return struct.pack(">BxLLBB", _P_DATA_TF, size + 6, size + 2, context_id, control)


def _pdvs(body: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Presentation context, message control header and content of each fragment in a P-DATA-TF."""
    position = 0
    if not body:
        raise violation("it sent an empty P-DATA-TF")
    while position < len(body):
        if len(body) - position < 6:
            raise violation("its P-DATA-TF ends within the header of a fragment")
        length, context_id, control = struct.unpack_from(">LBB", body, position)
        end = position + 4 + length
        if length < 2 or end > len(body):
            raise violation(f"its fragment announces {length} bytes, which its P-DATA-TF does not have")
        yield context_id, control, body[position + 6 : end]
        position = end
