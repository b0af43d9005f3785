"""A Storage Commitment SCU that asks, and the SCP that reports on an association of its own (PS3.4 J.3).

Both raise Unsuitable when the peer says no for good, TryAgain when it is not there, does not answer or is busy.
"""

import queue
import time
from collections.abc import Sequence
from typing import Any

from pynetdicom import build_context, build_role
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.sop_class import Verification

from service.core.commitment import PROCESSING_FAILURE, Account, Asked, Referenced
from service.core.errors import Broken, NothingAccepted, TryAgain, Unsuitable
from service.core.outbox import CommitmentReport, Reference
from service.edge.commitment_content import (
    REQUEST,
    SOP_CLASS,
    SOP_INSTANCE,
    context,
    event_type,
    read_report,
    report_content,
    request_content,
)
from service.edge.dialing import DEADLINES
from service.edge.intake import SUCCESS
from service.edge.storage_scu import Remote, associated, cut_after

SAME_ASSOCIATION_SECONDS = 3.0  # some report at once; whoever takes longer calls us
_LOOK_SECONDS = 0.05
_FOR_NOW = {0x0110, 0x0210, 0x0213, *range(0xA700, 0xA800)}  # processing failure, duplicate invocation, resources
_MEANINGS = {
    0x0112: "it has no storage commitment there",
    0x0118: "it does not do storage commitment",
    0x0122: "it does not do storage commitment",
    0x0123: "it does not do storage commitment",
    0x0124: "not authorised there",
    0x0211: "it does not do storage commitment",
    0x0213: "out of resources",
}


class _InTurn:
    """Takes N-EVENT-REPORTs out of pynetdicom's hands.

    It serves each in a thread of its own, which tells the association's thread that it has paused when it has not: a
    release then waits for ever. Here they are taken by whoever asked.
    """

    def __init__(self, association: Any) -> None:
        self.association = association
        self._serve_others = association._serve_request
        self._came: queue.Queue[tuple[N_EVENT_REPORT, int]] = queue.Queue()
        association._serve_request = self._serve

    def _serve(self, message: Any, context_id: int) -> None:
        if isinstance(message, N_EVENT_REPORT):
            self._came.put((message, context_id))
        else:
            self._serve_others(message, context_id)

    def report(self, transaction_uid: str, seconds: float) -> CommitmentReport | None:
        """The report on a transaction that comes within so many seconds, answered; None when none does."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                message, context_id = self._came.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                if time.monotonic() > deadline or not self.association.is_established:
                    return None
                continue
            found = self._read(message, context_id)
            fits = found is not None and found.transaction_uid == transaction_uid
            self._answer(message, context_id, SUCCESS if fits else PROCESSING_FAILURE)
            if fits:
                return found

    def _read(self, message: N_EVENT_REPORT, context_id: int) -> CommitmentReport | None:
        accepted = {each.context_id: each for each in self.association.accepted_contexts}
        if context_id not in accepted or message.EventInformation is None:
            return None
        try:
            return read_report(message.EventInformation.getvalue(), accepted[context_id].transfer_syntax[0])
        except Broken:
            return None

    def _answer(self, request: N_EVENT_REPORT, context_id: int, status: int) -> None:
        if not self.association.is_established:
            return
        answer = N_EVENT_REPORT()
        answer.MessageIDBeingRespondedTo = request.MessageID
        answer.AffectedSOPClassUID = request.AffectedSOPClassUID
        answer.AffectedSOPInstanceUID = request.AffectedSOPInstanceUID
        answer.EventTypeID = request.EventTypeID
        answer.Status = status
        self.association.dimse.send_msg(answer, context_id)


def ask(
    remote: Remote,
    transaction_uid: str,
    references: Sequence[Reference],
    same_association_seconds: float = SAME_ASSOCIATION_SECONDS,
) -> CommitmentReport | None:
    """N-ACTION: ask a peer to take responsibility for objects; its report where that comes at once.

    None: it said that it will report, and does so on an association that it opens with our receiver.
    """
    named = [Referenced(each.sop_class_uid, each.sop_instance_uid) for each in references]
    content = request_content(transaction_uid, named)
    seconds = DEADLINES.connect_seconds + remote.answer_seconds + same_association_seconds
    contexts = [context(), build_context(Verification)]  # the second tells "not this" from "nothing from us"
    try:
        with (
            associated(remote, contexts, answer_seconds=remote.answer_seconds) as association,
            cut_after(association, seconds),
        ):
            in_turn = _InTurn(association)
            answer, _ = association.send_n_action(content, REQUEST, SOP_CLASS, SOP_INSTANCE)
            _require_success(remote, "N-ACTION", answer)
            return in_turn.report(transaction_uid, same_association_seconds)
    except (ValueError, NothingAccepted) as error:  # pynetdicom has no accepted context for it
        raise Unsuitable(f"{remote} does not do storage commitment") from error
    except RuntimeError as error:  # pynetdicom: the association is over
        raise TryAgain(f"{remote} ended the association before it was asked") from error


def report(remote: Remote, asked: Asked, account: Account) -> None:
    """N-EVENT-REPORT on a new association: tell a peer what became of its request."""
    content = report_content(asked.transaction_uid, account)
    roles = [build_role(SOP_CLASS, scp_role=True)]
    seconds = DEADLINES.connect_seconds + remote.answer_seconds
    try:
        with (
            associated(remote, [context()], answer_seconds=remote.answer_seconds, roles=roles) as association,
            cut_after(association, seconds),
        ):
            answer, _ = association.send_n_event_report(content, event_type(account), SOP_CLASS, SOP_INSTANCE)
            _require_success(remote, "N-EVENT-REPORT", answer)
    except ValueError as error:
        raise Unsuitable(f"{remote} takes no report of storage commitment") from error
    except RuntimeError as error:
        raise TryAgain(f"{remote} ended the association before it was told") from error


def _require_success(remote: Remote, what: str, answer: Any) -> None:
    if "Status" not in answer:
        raise TryAgain(f"{remote} did not answer {what}")
    status = int(answer.Status)
    if status == SUCCESS:
        return
    meaning = _MEANINGS.get(status) or str(answer.get("ErrorComment", "")) or "no reason given: see its log"
    kind = TryAgain if status in _FOR_NOW else Unsuitable
    raise kind(f"{remote} answered {what} with status 0x{status:04X} ({meaning})")
