"""Storage commitment in the associations that we accept: requests and reports taken, and our report where it goes back.

Both engines let pynetdicom serve N-ACTION and N-EVENT-REPORT; what is answered here is answered by their common base.
"""

from collections import deque
from collections.abc import Callable
from io import BytesIO
from itertools import count
from typing import Any, Protocol

import structlog
from pydicom import Dataset
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_EVENT_REPORT

from service.core.commitment import Account, Asked, Told
from service.core.errors import Broken, whereabouts
from service.edge.commitment_content import (
    ALL_HELD,
    REQUEST,
    SOME_FAILED,
    SOP_CLASS,
    SOP_INSTANCE,
    encoded,
    event_type,
    read_report,
    read_request,
    report_content,
)
from service.edge.intake import SUCCESS, Answer, AssociationRecord
from service.edge.messages import OTHER_DATA_SET_BYTES

# PS3.7 annex C
PROCESSING_FAILURE = 0x0110
NO_SUCH_INSTANCE = 0x0112
NO_SUCH_EVENT_TYPE = 0x0113
INVALID_ARGUMENT = 0x0115
NO_SUCH_CLASS = 0x0118
NO_SUCH_ACTION = 0x0123
RESOURCE_LIMITATION = 0x0213
_LONGEST_COMMENT = 64

Take = Callable[[Any, "Commitments"], Answer]


class Commitments(Protocol):
    """Who takes what peers ask and tell; nothing here raises."""

    def take_request(self, asked: Asked) -> Answer:
        """A request was understood: 0x0000 promises a report."""

    def take_report(self, told: Told) -> Answer:
        """A report was understood: 0x0000 says that it is kept."""

    def tells_here(self, asked: Asked) -> bool:
        """True for a peer that is told in the association in which it asked."""

    def account_now(self, asked: Asked) -> Account:
        """What is true now."""


class CommittingAssociation(Association):  # type: ignore[misc] # pynetdicom has no types here
    """An association that takes storage commitment once `commit_by` has said by whom."""

    record: AssociationRecord

    def __init__(self, entity: AE, mode: str) -> None:
        super().__init__(entity, mode)
        self._takes_requests = False
        self._to_report: deque[tuple[Asked, Commitments]] = deque()  # once the request has been answered
        self._untold: dict[int, dict[str, object]] = {}  # what the log says of a report, by its Message ID
        self._numbers = count(1)

    def commit_by(self, commitments: Commitments, *, takes_requests: bool) -> None:
        """Take reports, and requests too where that is wanted."""
        self._takes_requests = takes_requests
        self.bind(evt.EVT_N_ACTION, self._asked, [commitments])
        self.bind(evt.EVT_N_EVENT_REPORT, self._told, [commitments])

    def note_untold(self) -> None:
        """The association is over: say which reports nobody has taken."""
        waiting: list[dict[str, object]] = [{"transaction": asked.transaction_uid} for asked, _ in self._to_report]
        for fields in (*waiting, *self._untold.values()):
            self._log.warning("commitment report not taken: the association ended before", **fields)

    def _serve_request(self, message: Any, context_id: int) -> None:
        if isinstance(message, N_EVENT_REPORT) and message.MessageIDBeingRespondedTo is not None:
            self._note_taken(message)
            return
        super()._serve_request(message, context_id)
        while self._to_report and self.is_established:
            self._report(*self._to_report.popleft(), context_id)

    def _asked(self, event: Any, commitments: Commitments) -> tuple[Dataset, None]:
        """N-ACTION."""
        request = event.request
        objection = self._objection(event, request.RequestedSOPInstanceUID, request.ActionInformation)
        if objection is None and (request.ActionTypeID != REQUEST or not self._takes_requests):
            objection = Answer(NO_SUCH_ACTION, "storage commitment is not asked for so")
        return self._status(objection or self._answered(self._take_request, event, commitments)), None

    def _take_request(self, event: Any, commitments: Commitments) -> Answer:
        content = event.request.ActionInformation.getvalue()
        transaction_uid, references = read_request(content, event.context.transfer_syntax)
        record = self.record
        titles = record.calling_ae_title, record.called_ae_title
        asked = Asked(transaction_uid, *titles, record.address, references)
        answer = commitments.take_request(asked)
        if answer.status == SUCCESS and commitments.tells_here(asked):
            self._to_report.append((asked, commitments))
        return answer

    def _told(self, event: Any, commitments: Commitments) -> tuple[Dataset, None]:
        """N-EVENT-REPORT."""
        request = event.request
        objection = self._objection(event, request.AffectedSOPInstanceUID, request.EventInformation)
        if objection is None and request.EventTypeID not in (ALL_HELD, SOME_FAILED):
            objection = Answer(NO_SUCH_EVENT_TYPE, "not an event of storage commitment")
        return self._status(objection or self._answered(self._take_report, event, commitments)), None

    def _take_report(self, event: Any, commitments: Commitments) -> Answer:
        said = read_report(event.request.EventInformation.getvalue(), event.context.transfer_syntax)
        return commitments.take_report(Told(self.record.calling_ae_title, self.record.address, said))

    def _objection(self, event: Any, sop_instance_uid: str, content: BytesIO | None) -> Answer | None:
        if event.context.abstract_syntax != SOP_CLASS:
            return Answer(NO_SUCH_CLASS, "not in a presentation context of storage commitment")
        if sop_instance_uid != SOP_INSTANCE:
            return Answer(NO_SUCH_INSTANCE, f"storage commitment has the one SOP Instance {SOP_INSTANCE}")
        if content is None or not content.getbuffer():
            return Answer(INVALID_ARGUMENT, "there is no data set")
        if len(content.getbuffer()) > OTHER_DATA_SET_BYTES:
            return Answer(RESOURCE_LIMITATION, f"a data set has more than {OTHER_DATA_SET_BYTES} bytes")
        return None

    def _answered(self, take: Take, event: Any, commitments: Commitments) -> Answer:
        try:
            return take(event, commitments)
        except Broken as error:
            return Answer(INVALID_ARGUMENT, str(error))
        except Exception as error:  # never an answer that is not true
            return Answer(PROCESSING_FAILURE, f"an error of this node: {whereabouts(error)}")

    def _report(self, asked: Asked, commitments: Commitments, context_id: int) -> None:
        """N-EVENT-REPORT on this association; its answer comes as a message like others."""
        account = commitments.account_now(asked)
        report = N_EVENT_REPORT()
        report.MessageID = next(self._numbers) % 0x10000
        report.AffectedSOPClassUID, report.AffectedSOPInstanceUID = SOP_CLASS, SOP_INSTANCE
        report.EventTypeID = event_type(account)
        syntax = self._accepted_cx[context_id].transfer_syntax[0]
        report.EventInformation = encoded(report_content(asked.transaction_uid, account), syntax)
        held, failed = len(account.held), len(account.failed)
        self._untold[report.MessageID] = {"transaction": asked.transaction_uid, "held": held, "failed": failed}
        self.dimse.send_msg(report, context_id)

    def _note_taken(self, answer: N_EVENT_REPORT) -> None:
        fields = self._untold.pop(answer.MessageIDBeingRespondedTo, {})
        if answer.Status == SUCCESS:
            self._log.info("commitment reported", **fields)
        else:
            self._log.warning("commitment report refused by the peer", **fields, status=f"{answer.Status:04X}")

    @property
    def _log(self) -> Any:
        return structlog.get_logger().bind(association=self.record.association, peer=self.record.calling_ae_title)

    def _status(self, answer: Answer) -> Dataset:
        """The answer as pynetdicom takes it; one that says no is logged."""
        status = Dataset()
        status.Status = answer.status
        if answer.status != SUCCESS:
            self._log.warning("storage commitment refused", status=f"{answer.status:04X}", reason=answer.comment)
            status.ErrorComment = answer.comment[:_LONGEST_COMMENT]
        return status
