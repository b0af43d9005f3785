"""What becomes of an object on its way to a destination (PS3.4 table B.2-1).

An object has its own state; a destination has a circuit (core/circuit). What an object is refused for counts for that
object alone; that a destination cannot be reached, or does not answer, counts for the destination, which is then tried
with one object at a time until it answers again. Whether it has what it took is proven afterwards (core/proof).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class DeliveryState(StrEnum):
    """One object on its way to one destination."""

    WAITING = "WAITING"
    SENDING = "SENDING"
    SENT = "SENT"  # success was answered; it is not proven yet
    COMMITTED = "COMMITTED"  # the destination said afterwards that it has it
    UNCONFIRMED = "UNCONFIRMED"  # success was answered, and it cannot be asked
    PARKED = "PARKED"  # the destination, or what is configured of it, has to change first
    DEAD = "DEAD"  # the object was refused too often, or its file is gone: a person has to look
    CANCELLED = "CANCELLED"  # by a person


ARRIVED = {DeliveryState.SENT, DeliveryState.COMMITTED, DeliveryState.UNCONFIRMED}
ENDED = {DeliveryState.COMMITTED, DeliveryState.UNCONFIRMED, DeliveryState.CANCELLED}
LEFT_TO_A_PERSON = {DeliveryState.PARKED, DeliveryState.DEAD}


class Trouble(StrEnum):
    """Why an attempt was not a success; decides what follows."""

    NONE = ""
    NETWORK = "network"  # not reachable, or gone before anything was sent
    NO_ANSWER = "no answer"  # it may have been stored
    BUSY = "busy"
    CONFIGURATION = "configuration"
    CONTENT = "content"
    PROCESSING = "processing"
    FILE = "file"
    LOST = "lost"  # success was answered, and it is not there


@dataclass(frozen=True, slots=True)
class Reference:
    """An object as others ask for it: PS3.3 10.8, and where it stands in PS3.4 C.6.2."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One object for one destination."""

    delivery_id: int
    job_id: str
    reference: Reference
    destination: str
    state: DeliveryState
    attempts: int  # that count towards DEAD
    tries: int  # all of them: back-off grows with these
    way: int = 0  # how it is asked for now: an index of the ways of its destination
    looks: int = 0  # that did not find it since it was sent
    unanswered: int = 0  # questions about it, in a row
    transaction_uid: str = ""  # of the storage commitment that was asked for


@dataclass(frozen=True, slots=True)
class CommitmentReport:
    """What became of a request for storage commitment (PS3.4 J.3.3): what is kept, and Failure Reason by UID."""

    transaction_uid: str
    held: frozenset[str]
    failed: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from one attempt to deliver: the next state, the trouble, whether it counts, and what was seen."""

    state: DeliveryState
    trouble: Trouble
    seen: str
    status: int | None = None

    @property
    def counts(self) -> bool:
        """True when the attempt brings the object nearer to DEAD: a busy or silent destination never does."""
        return self.trouble in MOST_ATTEMPTS


MOST_ATTEMPTS = {Trouble.CONTENT: 2, Trouble.PROCESSING: 3, Trouble.LOST: 5}  # after which an object is DEAD

_BUSY = range(0xA700, 0xA800)
_STORED = {0x0000, 0x0111, 0xB000, 0xB006, 0xB007}  # 0111: it has this SOP Instance already
_CONTENT = (range(0xA900, 0xAA00), range(0xC000, 0xD000))
_CONFIGURATION = {0x0122: "this SOP Class is not accepted there", 0x0124: "not authorised there"}
UNREADABLE = -1  # in place of a status: the object's file is gone or damaged


def judge(status: int | None, attempts: int) -> Verdict:
    """What a C-STORE status means for a delivery; None is "no answer came".

    `attempts` are the counted ones before this.
    """
    if status is None:
        return Verdict(DeliveryState.WAITING, Trouble.NO_ANSWER, _NO_ANSWER)
    if status == UNREADABLE:
        return Verdict(DeliveryState.DEAD, Trouble.FILE, "its file is gone from outbox/ or damaged: requeue the job")
    trouble = _trouble(status)
    state = DeliveryState.DEAD if _is_last(trouble, attempts) else _NEXT[trouble]
    more = _CONFIGURATION.get(status) or ("out of resources" if trouble is Trouble.BUSY else "")
    return Verdict(state, trouble, f"status 0x{status:04X}" + (f": {more}" if more else ""), status)


_NO_ANSWER = "no answer: it may have been stored, and is sent again"
_NEXT = {
    Trouble.NONE: DeliveryState.SENT,
    Trouble.CONFIGURATION: DeliveryState.PARKED,
    Trouble.BUSY: DeliveryState.WAITING,
    Trouble.CONTENT: DeliveryState.WAITING,
    Trouble.PROCESSING: DeliveryState.WAITING,
}


def _trouble(status: int) -> Trouble:
    kinds = (
        (status in _STORED, Trouble.NONE),
        (status in _CONFIGURATION, Trouble.CONFIGURATION),
        (status in _BUSY, Trouble.BUSY),
        (any(status in span for span in _CONTENT), Trouble.CONTENT),
    )
    return next((trouble for applies, trouble in kinds if applies), Trouble.PROCESSING)


def _is_last(trouble: Trouble, attempts: int) -> bool:
    return trouble in MOST_ATTEMPTS and attempts + 1 >= MOST_ATTEMPTS[trouble]
