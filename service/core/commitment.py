"""Storage commitment (PS3.4 annex J): what a peer asks, what is truly here, and until when it is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, auto

from service.core.jobs import wait
from service.core.outbox import CommitmentReport

# Failure Reason (PS3.3 C.14.1.1)
PROCESSING_FAILURE = 0x0110
NO_SUCH_INSTANCE = 0x0112
CLASS_INSTANCE_CONFLICT = 0x0119
RESOURCE_LIMITATION = 0x0213

ANSWERED_WITHIN = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Referenced:
    """An instance as a request for commitment names it (PS3.4 table J.3-1)."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for commitment: who asks, and for what."""

    transaction_uid: str
    calling_ae_title: str
    called_ae_title: str
    address: str
    references: tuple[Referenced, ...]


@dataclass(frozen=True, slots=True)
class Pending:
    """A request whose answer is to be brought to the peer on an association of ours."""

    asked: Asked
    asked_at: datetime
    next_at: datetime
    attempts: int = 0

    def put_off(self, now: datetime, jitter: float = 0.0) -> "Pending":
        """The same after an attempt that failed."""
        return replace(self, attempts=self.attempts + 1, next_at=now + wait(self.attempts, jitter))

    def is_over(self, now: datetime) -> bool:
        """True when the peer was tried for as long as it is tried."""
        return now - self.asked_at >= ANSWERED_WITHIN


@dataclass(frozen=True, slots=True)
class Told:
    """What a peer told us became of a request of ours, and who that was."""

    calling_ae_title: str
    address: str
    report: CommitmentReport


class Standing(Enum):
    """How a received file was found."""

    WHOLE = auto()
    DAMAGED = auto()  # other bytes than came, or none that can be read
    UNREAD = auto()  # there was no time to read it


@dataclass(frozen=True, slots=True)
class Found:
    """A received file; its SOP Class is unknown, and empty, where the file could not be read."""

    standing: Standing
    sop_class_uid: str = ""


@dataclass(frozen=True, slots=True)
class Account:
    """What is true of each reference of a request: held, or not and why."""

    held: tuple[Referenced, ...] = ()
    failed: Mapping[Referenced, int] = field(default_factory=dict)  # Failure Reason


def account(references: Sequence[Referenced], here: Mapping[str, Sequence[Found]]) -> Account:
    """What can be promised; `here` has every file that was received under a SOP Instance UID.

    Under one UID there may be several, in several Series: one that is whole and of the class asked for will do.
    """
    reasons = {reference: _reason(reference, here.get(reference.sop_instance_uid, ())) for reference in references}
    held = tuple(reference for reference, reason in reasons.items() if reason is None)
    return Account(held, {reference: reason for reference, reason in reasons.items() if reason is not None})


def nothing_held(references: Sequence[Referenced], reason: int) -> Account:
    """The account of a node that cannot look."""
    return Account(failed=dict.fromkeys(references, reason))


def _reason(reference: Referenced, found: Sequence[Found]) -> int | None:
    """Failure Reason, or None for what is held."""
    if not found:
        return NO_SUCH_INSTANCE
    if Found(Standing.WHOLE, reference.sop_class_uid) in found:
        return None
    if any(file.standing is Standing.UNREAD for file in found):
        return RESOURCE_LIMITATION
    other_classes = [file for file in found if file.sop_class_uid not in ("", reference.sop_class_uid)]
    return CLASS_INSTANCE_CONFLICT if other_classes == list(found) else PROCESSING_FAILURE
