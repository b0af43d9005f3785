"""The data path of C-STORE without pynetdicom's threads and objects: from the connection's buffer into an intake.

The seam. pynetdicom keeps negotiation, release, abort, its state machine (PS3.8 9.2) and every service but C-STORE.
Replaced are its two polling threads per association, by the connection's own thread, and the way of a C-STORE data
set, whose fragments go piece by piece to the intake. On this path EVT_C_STORE, EVT_DIMSE_RECV, EVT_PDU_RECV and
EVT_DATA_RECV do not fire. It relies on the names in `_RELIED_ON`, which were read in pynetdicom 3.0.4; when one is
gone `missing_names` says so, and the site falls back to `engine: stock`.
"""

import queue
import socket
import struct
from dataclasses import dataclass

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
from service.edge.command_set import NotACommandSet, StoreRequest
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
)
from service.edge.upper_layer import A_ABORT, ConnectionEnded, Limits, PduStream, violation

_RELIED_ON = {
    Association: ("run_reactor", "_run_reactor", "_serve_request", "set_socket", "kill"),
    DULServiceProvider: ("_decode_pdu", "_process_recv_primitive", "_send", "send_pdu", "receive_pdu"),
    AssociationSocket: ("send", "_shutdown_socket"),
}
_P_DATA_TF = 0x04
_LAST_PDU_TYPE = 0x07
_COMMAND, _LAST = 0x01, 0x02  # PS3.8 E.2
_C_CANCEL_RQ = 0x0FFF
_OTHER_DATA_SET_BYTES = 4 * 1024 * 1024  # of an N-ACTION with 20,000 references
_LINGER_SECONDS = 1.0


def missing_names() -> list[str]:
    """What this module relies on and the installed pynetdicom does not have."""
    return [
        f"{owner.__name__}.{name}" for owner, names in _RELIED_ON.items() for name in names if not hasattr(owner, name)
    ]


@dataclass(slots=True)
class _Store:
    request: StoreRequest
    context_id: int
    intake: Intake
    size: int = 0


@dataclass(slots=True)
class _Other:
    context_id: int
    command: bytes
    data_set: bytearray


class _SynchronousDul(DULServiceProvider):  # type: ignore[misc]
    """The upper layer's state machine, driven by whoever calls instead of by a thread that polls."""

    def __init__(self, association: "FastAssociation", stream: PduStream) -> None:
        super().__init__(association)
        self._stream = stream

    def start(self) -> None:
        """No thread: the association's own drives this."""
        self.assoc._dul_ready.set()
        self._act()

    def is_alive(self) -> bool:
        """There is no thread to wait for."""
        return False

    def send_pdu(self, primitive: object) -> None:
        """Send at once."""
        super().send_pdu(primitive)
        while not self._kill_thread and self._process_recv_primitive():
            self._act()

    def receive_pdu(self, wait: bool = False, timeout: float | None = None) -> object:
        """The next primitive; waiting means for A-ASSOCIATE-RQ, as long as the stream allows."""
        del timeout
        if wait and self.to_user_queue.empty():
            pdu_type, length = self._stream.first_header()
            if pdu_type not in (1, 7):
                raise violation(f"the first PDU is of type {pdu_type}, and no A-ASSOCIATE-RQ")
            self.accept(pdu_type, self._stream.read(length))
        return super().receive_pdu(wait=False)

    def accept(self, pdu_type: int, body: bytes) -> None:
        """Take a received PDU through the state machine."""
        try:
            pdu, event = self._decode_pdu(bytearray(struct.pack(">BxL", pdu_type, len(body)) + body))
            self._recv_pdu.put(pdu)
            self.event_queue.put(event)
            self._act()
        except Exception as error:  # decoder and state machine raise anything on hostile bytes
            raise violation(f"a PDU of type {pdu_type} cannot be understood ({type(error).__name__})") from error

    def _act(self) -> None:
        while not self._kill_thread:
            try:
                event = self.event_queue.get(block=False)
            except queue.Empty:
                return
            self.state_machine.do_action(event)


class FastAssociation(Association):  # type: ignore[misc] # pynetdicom has no types here
    """One association, from accepted connection to its end, in the thread that calls `run`."""

    def __init__(
        self, entity: AE, connection: socket.socket, record: AssociationRecord, limits: Limits, on_store: OnStore
    ) -> None:
        super().__init__(entity, MODE_ACCEPTOR)
        self.record = record
        self.on_end: OnEnd = lambda _: None
        self._connection = connection
        self._limits = limits
        self._on_store = on_store
        self._stream = PduStream(connection, limits)
        self._stream.before_refill = self._pass_on
        self._pieces: list[memoryview] = []
        self._command = bytearray()
        self._message: _Store | _Other | None = None
        self.dul = _SynchronousDul(self, self._stream)
        self.set_socket(AssociationSocket(self, client_socket=connection))

    def run_reactor(self) -> None:
        """Serve the peer until the association ends, however it ends."""
        try:
            super().run_reactor()
        except ConnectionEnded as ended:
            self._break_off(ended.how, str(ended))
        except Exception as error:
            self._break_off("failed", whereabouts(error))
            structlog.get_logger().error(
                "association failed", association=self.record.association, reason=whereabouts(error)
            )
        finally:
            self._give_up_message()
            self._stream.linger(_LINGER_SECONDS)
            self._connection.close()
            self._end("aborted" if self.is_aborted else "closed")

    def break_off(self) -> None:
        """End the association from another thread."""
        self._break_off("stopped", "the node stops")

    def _break_off(self, how: str, sentence: str) -> None:
        self.record.ended = self.record.ended or how
        self.record.reason = self.record.reason or sentence
        self.is_established = False
        try:
            if how != "closed":
                self._connection.sendall(A_ABORT)
            self._connection.shutdown(socket.SHUT_RD)
        except OSError:  # it is gone already
            return

    def _end(self, otherwise: str) -> None:
        """Account for the association, once."""
        self.record.ended = self.record.ended or otherwise
        on_end, self.on_end = self.on_end, lambda _: None
        on_end(self.record)

    def _run_reactor(self) -> None:
        while self.is_established:
            pdu_type, length = self._stream.header()
            if pdu_type == _P_DATA_TF:
                self._take_fragments(length)
            elif 0 < pdu_type <= _LAST_PDU_TYPE:
                self.dul.accept(pdu_type, self._stream.read(length))
                self._react()
            else:
                raise violation(f"there is no PDU of type {pdu_type}")

    def _react(self) -> None:
        if self.acse.is_release_requested():
            self._give_up_message()
            self._end("released")  # written down before the peer is told
            self.acse.send_release(is_response=True)
            self.is_released, self.is_established = True, False
        elif self.acse.is_aborted():
            self.is_aborted, self.is_established = True, False

    def _take_fragments(self, length: int) -> None:
        if not length:
            raise violation("a P-DATA-TF is empty")
        while length:
            if length < 6:
                raise violation("a P-DATA-TF ends within the header of a fragment")
            item, context_id, control = struct.unpack(">LBB", self._stream.read(6))
            length -= item + 4
            if item < 2 or length < 0:
                raise violation(f"a fragment announces {item} bytes, which its P-DATA-TF does not have")
            if control & _COMMAND:
                self._take_command(context_id, bool(control & _LAST), item - 2)
            else:
                self._take_data(context_id, bool(control & _LAST), item - 2)

    def _take_command(self, context_id: int, last: bool, size: int) -> None:
        if self._message:
            raise violation("a command comes within a data set")
        if len(self._command) + size > self._limits.command_bytes:
            raise violation(f"a command set has more than {self._limits.command_bytes} bytes")
        if not self._command:
            self._stream.message_begins()
        self._command += self._stream.read(size)
        if last:
            command = bytes(self._command)
            self._command.clear()
            self._begin_message(context_id, command)

    def _begin_message(self, context_id: int, command: bytes) -> None:
        try:
            found = command_set.elements(command)
            is_store = command_set.command_field(found) == command_set.C_STORE_RQ
            has_data_set = command_set.has_data_set(found)
            request = command_set.store_request(found) if is_store else None
        except NotACommandSet as error:
            raise violation(f"a command set cannot be understood: {error}") from error
        if request:
            self._message = _Store(request, context_id, self._intake(context_id, request))
        elif command_set.command_field(found) != _C_CANCEL_RQ:
            self._message = _Other(context_id, command, bytearray())
        if not has_data_set:
            self._end_message()

    def _intake(self, context_id: int, request: StoreRequest) -> Intake:
        context = self._accepted_cx.get(context_id)
        if context is None:
            raise violation(f"a C-STORE comes in presentation context {context_id}, which was not accepted")
        if not is_uid(request.sop_instance_uid):
            return Refused(Answer(CANNOT_UNDERSTAND, "Affected SOP Instance UID is not a UID"))
        if request.sop_class_uid != context.abstract_syntax:
            return Refused(Answer(MISMATCH, "Affected SOP Class UID is not that of its context"))
        record = self.record
        provenance = Provenance(record.calling_ae_title, record.called_ae_title, record.association)
        syntax = str(context.transfer_syntax[0])
        return self._on_store(Offer(request.sop_class_uid, request.sop_instance_uid, syntax, provenance))

    def _take_data(self, context_id: int, last: bool, size: int) -> None:
        message = self._message
        if message is None or message.context_id != context_id:
            raise violation("a data set comes without its command")
        if isinstance(message, _Store):
            message.size += size
            if message.size > self._limits.instance_bytes:
                raise violation(f"an instance has more than {self._limits.instance_bytes} bytes")
            self._stream.stream(size, self._pieces)
        else:
            if len(message.data_set) + size > _OTHER_DATA_SET_BYTES:
                raise violation(f"a data set has more than {_OTHER_DATA_SET_BYTES} bytes")
            message.data_set += self._stream.read(size)
        if last:
            self._pass_on()
            self._end_message()

    def _pass_on(self) -> None:
        if self._pieces and isinstance(self._message, _Store):
            self._message.intake.write(self._pieces)
            self._pieces.clear()

    def _end_message(self) -> None:
        message, self._message = self._message, None
        if isinstance(message, _Store):
            self._answer(message)
        elif message:
            self._serve(message)
        self._stream.message_ends()

    def _answer(self, store: _Store) -> None:
        answer = store.intake.finish()
        self.record.count(answer, store.size)
        try:
            self._connection.sendall(command_set.store_response(store.request, store.context_id, answer))
        except OSError as error:
            raise ConnectionEnded("closed", "the peer did not take the answer") from error

    def _serve(self, other: _Other) -> None:
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

    def _give_up_message(self) -> None:
        message, self._message = self._message, None
        self._pieces.clear()
        if isinstance(message, _Store):
            message.intake.abandon()
