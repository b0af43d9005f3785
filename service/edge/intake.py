"""What crosses from the network to a stage: an offer, its data set piece by piece, and the answer."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from service.edge import metrics
from service.edge.file_meta import Offer

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
MISMATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000


@dataclass(frozen=True, slots=True)
class Answer:
    """A status (of a C-STORE: PS3.4 table B.2-1), and what the sender's log may say about it."""

    status: int
    comment: str = ""


def refusal(association: str, sop_instance_uid: str, status: int, sentence: str) -> Answer:
    """An answer that says no, to the sender and in the log."""
    structlog.get_logger().warning(
        "instance refused",
        association=association,
        sop_instance=sop_instance_uid,
        reason=sentence,
        status=f"{status:04X}",
    )
    return Answer(status, sentence)


class Intake(Protocol):
    """Takes the data set of one instance; `finish` or `abandon` is called last, and neither raises."""

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """The next bytes; the views are valid until this returns."""

    def finish(self) -> Answer:
        """All bytes have come: the answer, given only when it is true."""

    def abandon(self) -> None:
        """No more bytes will come."""


OnStore = Callable[[Offer], Intake]


@dataclass(slots=True)
class AssociationRecord:
    """What one association brought, and how it ended."""

    association: str  # a UID of ours
    calling_ae_title: str = ""
    called_ae_title: str = ""
    address: str = ""
    instances: int = 0
    bytes: int = 0
    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    ended: str = ""  # released, aborted, closed, idle, slow, violation, rejected, stopped, failed
    reason: str = ""

    @property
    def released(self) -> bool:
        """True when the sender had nothing more to send in it (PS3.8 7.2)."""
        return self.ended == "released"

    def count(self, answer: Answer, size: int) -> None:
        """One more data set was answered."""
        self.instances += 1
        self.bytes += size
        self.statuses[answer.status] += 1
        metrics.count(metrics.INSTANCES, self.calling_ae_title, f"{answer.status:04X}")
        metrics.count(metrics.RECEIVED_BYTES, by=size)


OnEnd = Callable[[AssociationRecord], None]


class Refused:
    """The intake of a data set that is refused whatever its bytes are: they are let pass."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Nothing of it is kept."""

    def finish(self) -> Answer:
        """Why."""
        return self._answer

    def abandon(self) -> None:
        """There is nothing to give up."""


class InMemory:
    """An intake for stand-ins: the whole data set as bytes."""

    def __init__(self, offer: Offer, answer: Callable[[Offer, bytes], int]) -> None:
        self._offer = offer
        self._answer = answer
        self._content = bytearray()

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Collect."""
        for piece in pieces:
            self._content += piece

    def finish(self) -> Answer:
        """Whatever the stand-in answers."""
        return Answer(self._answer(self._offer, bytes(self._content)))

    def abandon(self) -> None:
        """Forget."""
        self._content.clear()
