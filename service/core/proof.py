"""Whether a destination has what it was sent: how it is asked, and what follows from what it says.

A status of success says that a PACS took an object, not that it keeps it. It is asked by the ways that a site names,
best first: storage commitment (PS3.4 annex J), then a query (PS3.4 annex C, PS3.18 10.6). What no way can be asked
about stays UNCONFIRMED; what is not there is sent again.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from service.core.jobs import wait
from service.core.outbox import MOST_ATTEMPTS, Delivery, DeliveryState, Trouble


class Way(StrEnum):
    """How a destination can be asked."""

    COMMITMENT = "commitment"
    QUERY = "query"


FIRST_LOOK = timedelta(seconds=1)  # after an object was sent
SECOND_LOOK = timedelta(seconds=30)  # after it was not there: an archive may still be filing it
MOST_UNANSWERED = 5  # in a row, about a quarter of an hour: then the next way is tried


@dataclass(frozen=True, slots=True)
class Look:
    """What one look led to, for one object."""

    state: DeliveryState
    trouble: Trouble
    seen: str
    wait: timedelta = timedelta()
    way: int = 0
    looks: int = 0
    unanswered: int = 0
    transaction_uid: str = ""

    @property
    def is_lost(self) -> bool:
        """True when the object has to be sent again, or was lost too often."""
        return self.trouble is Trouble.LOST and self.state is not DeliveryState.SENT


def found(how: str) -> Look:
    """It is there."""
    return Look(DeliveryState.COMMITTED, Trouble.NONE, how)


def missing(delivery: Delivery, how: str) -> Look:
    """It is not there: looked for once more a little later, then sent again, in the end left to a person."""
    if not delivery.looks:
        words = f"{how}; it is looked for once more"
        return Look(DeliveryState.SENT, Trouble.LOST, words, SECOND_LOOK, way=delivery.way, looks=1)
    if delivery.attempts + 1 >= MOST_ATTEMPTS[Trouble.LOST]:
        words = f"{how}, after success was answered {MOST_ATTEMPTS[Trouble.LOST]} times: that archive loses objects"
        return Look(DeliveryState.DEAD, Trouble.LOST, words)
    return Look(DeliveryState.WAITING, Trouble.LOST, f"{how}, though success was answered: it is sent again")


def cannot_say(delivery: Delivery, ways: int, why: str) -> Look:
    """It cannot be asked this way: the next one is tried; after the last, its status is all there is."""
    way = delivery.way + 1
    if way >= ways:
        return Look(DeliveryState.UNCONFIRMED, Trouble.NONE, f"unconfirmed: {why}")
    return Look(DeliveryState.SENT, Trouble.NONE, why, way=way, looks=delivery.looks)


def asked(delivery: Delivery, transaction_uid: str, patience: timedelta) -> Look:
    """It was asked to commit, and will report."""
    words = f"storage commitment asked for as {transaction_uid}"
    return Look(
        DeliveryState.SENT,
        Trouble.NONE,
        words,
        patience,
        way=delivery.way,
        looks=delivery.looks,
        transaction_uid=transaction_uid,
    )


def unanswered(delivery: Delivery, ways: int, why: str, jitter: float = 0.0) -> Look:
    """It did not answer: it is asked again, for some time."""
    if delivery.unanswered + 1 >= MOST_UNANSWERED:
        return cannot_say(delivery, ways, why)
    rest = wait(delivery.unanswered, jitter)
    unanswered = delivery.unanswered + 1
    return Look(
        DeliveryState.SENT,
        Trouble.NETWORK,
        why,
        rest,
        way=delivery.way,
        looks=delivery.looks,
        unanswered=unanswered,
    )
