"""The data path of C-STORE by pynetdicom's public events alone: the fallback when the fast one does not fit.

It polls, holds each data set in memory and has no limit on the size or pace of a PDU; the doorkeeper's limits hold.
"""

import socket
import threading
from typing import Any

from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.transport import AssociationSocket

from service.edge.committing import CommittingAssociation
from service.edge.file_meta import Offer, Provenance
from service.edge.intake import CANNOT_UNDERSTAND, MISMATCH, AssociationRecord, Intake, OnEnd, OnStore, Refused, refusal
from service.edge.upper_layer import Limits


class StockAssociation(CommittingAssociation):
    """One association, from accepted connection to its end, in the thread that calls `run`."""

    def __init__(
        self, entity: AE, connection: socket.socket, record: AssociationRecord, limits: Limits, on_store: OnStore
    ) -> None:
        super().__init__(entity, MODE_ACCEPTOR)
        self.record = record
        self.on_end: OnEnd = lambda _: None
        self._limits = limits
        self._reactor = 0
        self._on_store = on_store
        self.set_socket(AssociationSocket(self, client_socket=connection))
        self.bind(evt.EVT_C_STORE, self._store)
        self.bind(evt.EVT_RELEASED, self._ended, ["released"])
        self.bind(evt.EVT_ABORTED, self._ended, ["aborted"])

    def run_reactor(self) -> None:
        """Serve the peer until the association ends, however it ends."""
        self._reactor = threading.get_ident()
        try:
            super().run_reactor()
        finally:
            self._end("closed")

    def _serve_request(self, message: Any, context_id: int) -> None:
        """In the association's own thread, one message at a time.

        pynetdicom serves an N-EVENT-REPORT in a thread beside it, which a release can overtake.
        """
        if isinstance(message, N_EVENT_REPORT) and threading.get_ident() != self._reactor:
            self.dimse.msg_queue.put((context_id, message))
        else:
            super()._serve_request(message, context_id)

    def break_off(self) -> None:
        """End the association from another thread."""
        self.record.ended = self.record.ended or "stopped"
        self.abort(block=False)

    def _ended(self, _event: Any, how: str) -> None:
        self._end(how)

    def _end(self, how: str) -> None:
        self.record.ended = self.record.ended or how
        on_end, self.on_end = self.on_end, lambda _: None
        on_end(self.record)

    def _store(self, event: Any) -> Dataset:
        data_set = event.request.DataSet.getbuffer()
        intake = self._intake(event, len(data_set))
        intake.write([data_set])
        answer = intake.finish()
        self.record.count(answer, len(data_set))
        status = Dataset()
        status.Status = answer.status
        if answer.comment:
            status.ErrorComment = answer.comment[:64]
        return status

    def _intake(self, event: Any, size: int) -> Intake:
        request, record = event.request, self.record
        if size > self._limits.instance_bytes:
            return self._refused(request, CANNOT_UNDERSTAND, "the instance is larger than this node takes")
        if request.AffectedSOPClassUID != event.context.abstract_syntax:
            return self._refused(request, MISMATCH, "Affected SOP Class UID is not that of its context")
        provenance = Provenance(record.calling_ae_title, record.called_ae_title, record.association)
        sop_class, sop_instance = str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID)
        return self._on_store(Offer(sop_class, sop_instance, str(event.context.transfer_syntax), provenance))

    def _refused(self, request: Any, status: int, sentence: str) -> Intake:
        return Refused(refusal(self.record.association, str(request.AffectedSOPInstanceUID), status, sentence))
