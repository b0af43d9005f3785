"""The data path of C-STORE without pynetdicom's threads and objects: from the connection's buffer into an intake.

The seam. pynetdicom keeps negotiation, release, abort, its state machine (PS3.8 9.2) and every service but C-STORE.
Replaced are its two polling threads per association, by the connection's own thread, and the way of a C-STORE data
set, whose fragments go piece by piece to the intake. On this path EVT_C_STORE, EVT_DIMSE_RECV, EVT_PDU_RECV and
EVT_DATA_RECV do not fire. It relies on the names in `_RELIED_ON`, which were read in pynetdicom 3.0.4; when one is
gone `missing_names` says so, and the site falls back to `engine: stock`.
"""

import socket
from contextlib import suppress
from functools import cached_property

import structlog
from pynetdicom import AE
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.association import Association
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AssociationSocket

from service.core.errors import whereabouts
from service.core.identity import is_uid
from service.edge import command_set
from service.edge.command_set import StoreRequest
from service.edge.committing import CommittingAssociation
from service.edge.file_meta import Offer, Provenance
from service.edge.intake import (
    CANNOT_UNDERSTAND,
    MISMATCH,
    Answer,
    AssociationRecord,
    Intake,
    OnEnd,
    OnStore,
    Refused,
    refusal,
)
from service.edge.messages import Messages, Other, Store
from service.edge.synchronous_dul import SynchronousDul
from service.edge.upper_layer import A_ABORT, ConnectionEnded, Limits, PduStream, violation

_RELIED_ON = {
    Association: ("run_reactor", "_run_reactor", "_serve_request", "set_socket", "kill"),
    DULServiceProvider: ("_decode_pdu", "_process_recv_primitive", "_send", "send_pdu", "receive_pdu"),
    AssociationSocket: ("send", "_shutdown_socket"),
}
_P_DATA_TF = 0x04
_LAST_PDU_TYPE = 0x07
_LINGER_SECONDS = 1.0


def missing_names() -> list[str]:
    """What this module relies on and the installed pynetdicom does not have."""
    return [
        f"{owner.__name__}.{name}" for owner, names in _RELIED_ON.items() for name in names if not hasattr(owner, name)
    ]


class FastAssociation(CommittingAssociation):
    """One association, from accepted connection to its end, in the thread that calls `run`."""

    def __init__(
        self, entity: AE, connection: socket.socket, record: AssociationRecord, limits: Limits, on_store: OnStore
    ) -> None:
        super().__init__(entity, MODE_ACCEPTOR)
        self.record = record
        self.on_end: OnEnd = lambda _: None
        self._connection = connection
        self._negotiated = False
        self._on_store = on_store
        self._stream = PduStream(connection, limits)
        self._messages = Messages(self._stream, limits, self)
        self.dul = SynchronousDul(self, self._stream)
        self.set_socket(AssociationSocket(self, client_socket=connection))

    def run_reactor(self) -> None:
        """Serve the peer until the association ends, however it ends."""
        try:
            super().run_reactor()
        except ConnectionEnded as ended:
            self._break_off(ended.how, str(ended))
        except Exception as error:
            self._fail(error)
        finally:
            self._messages.give_up()
            self._stream.linger(_LINGER_SECONDS)
            self._connection.close()
            self._end("aborted" if self.is_aborted else "closed")

    def _fail(self, error: Exception) -> None:
        if not self._negotiated:  # pynetdicom raises anything on a hostile A-ASSOCIATE-RQ
            self._break_off("violation", f"an A-ASSOCIATE-RQ cannot be understood ({type(error).__name__})")
            return
        self._break_off("failed", whereabouts(error))
        log = structlog.get_logger()
        log.error("association failed", association=self.record.association, reason=whereabouts(error))

    def break_off(self) -> None:
        """End the association from another thread."""
        self._stream.stop()

    def _break_off(self, how: str, sentence: str) -> None:
        self.record.ended = self.record.ended or how
        self.record.reason = self.record.reason or sentence
        self.is_established = False
        if how != "closed":
            with suppress(ConnectionEnded):  # it is gone already
                self._stream.send(A_ABORT)

    def _end(self, otherwise: str) -> None:
        """Account for the association, once."""
        self.record.ended = self.record.ended or otherwise
        on_end, self.on_end = self.on_end, lambda _: None
        on_end(self.record)

    def _run_reactor(self) -> None:
        self._negotiated = True
        while self.is_established:
            pdu_type, length = self._stream.header()
            if pdu_type == _P_DATA_TF:
                self._messages.take(length)
            elif 0 < pdu_type <= _LAST_PDU_TYPE:
                self.dul.accept(pdu_type, self._stream.read(length))
                self._react()
            else:
                raise violation(f"there is no PDU of type {pdu_type}")

    def _react(self) -> None:
        if self.acse.is_release_requested():
            if self._messages.give_up():
                self.record.ended, self.record.reason = "violation", "a release came within a message"
            self._end("released")  # written down before the peer is told
            self.acse.send_release(is_response=True)
            self.is_released, self.is_established = True, False
        elif self.acse.is_aborted():
            self.is_aborted, self.is_established = True, False

    @cached_property
    def _provenance(self) -> Provenance:
        record = self.record
        return Provenance(record.calling_ae_title, record.called_ae_title, record.association)

    def intake(self, context_id: int, request: StoreRequest) -> Intake:
        """Where the data set of a C-STORE goes; nowhere when its command is wrong."""
        context = self._accepted_cx.get(context_id)
        if context is None:
            raise violation(f"a C-STORE comes in presentation context {context_id}, which was not accepted")
        if not is_uid(request.sop_instance_uid):
            return Refused(self._refusal(request, CANNOT_UNDERSTAND, "Affected SOP Instance UID is not a UID"))
        if request.sop_class_uid != context.abstract_syntax:
            return Refused(self._refusal(request, MISMATCH, "Affected SOP Class UID is not that of its context"))
        syntax = str(context.transfer_syntax[0])
        return self._on_store(Offer(request.sop_class_uid, request.sop_instance_uid, syntax, self._provenance))

    def _refusal(self, request: StoreRequest, status: int, sentence: str) -> Answer:
        return refusal(self.record.association, request.sop_instance_uid[:70], status, sentence)

    def answer(self, store: Store) -> None:
        """Answer a C-STORE whose data set has come."""
        answer = store.intake.finish()
        self.record.count(answer, store.size)
        self._stream.send(command_set.store_response(store.request, store.context_id, answer))

    def serve(self, other: Other) -> None:
        """Whatever is no C-STORE is pynetdicom's."""
        primitive = P_DATA()
        primitive.presentation_data_value_list.append([other.context_id, b"\x03" + other.command])
        if other.data_set:
            primitive.presentation_data_value_list.append([other.context_id, b"\x02" + bytes(other.data_set)])
        message = DIMSEMessage()
        try:
            message.decode_msg(primitive, self)
            request = message.message_to_primitive()
        except Exception as error:  # the decoder raises anything on hostile bytes
            raise violation(f"a message cannot be decoded ({type(error).__name__})") from error
        self._serve_request(request, other.context_id)
        self._react()
