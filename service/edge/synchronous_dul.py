"""pynetdicom's upper layer (PS3.8 9.2) driven by whoever calls, instead of by a thread that polls."""

import queue
import struct

from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider

from service.edge.upper_layer import PduStream, violation

_A_ASSOCIATE_RQ, _A_ABORT = 0x01, 0x07


class SynchronousDul(DULServiceProvider):  # type: ignore[misc]
    """Same state machine, queues and PDU classes; a received PDU comes in by `accept`, a sent one goes at once."""

    def __init__(self, association: Association, stream: PduStream) -> None:
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
            if pdu_type not in (_A_ASSOCIATE_RQ, _A_ABORT):
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
