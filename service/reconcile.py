"""Housekeeping: what each destination was sent, beside what it has."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from service.core.errors import IsocenterError
from service.core.outbox import Delivery
from service.edge.carriers import Carrier
from service.edge.ledger import Ledger

_AT_ONCE = 500  # objects in one question


@dataclass(frozen=True, slots=True)
class Difference:
    """What one destination was sent, and what of it is not there; `unanswered` says why that is not known."""

    destination: str
    sent: int
    missing: Sequence[Delivery]
    unanswered: str = ""

    @property
    def is_none(self) -> bool:
        """True when all that was sent is there."""
        return not self.missing and not self.unanswered


def reconcile(name: str, carrier: Carrier, ledger: Ledger, since: datetime, now: datetime) -> Difference:
    """Ask a destination for everything that it took since then; what was unconfirmed and is there is confirmed."""
    arrived = ledger.arrived(name, since)
    missing: list[Delivery] = []
    try:
        for first in range(0, len(arrived), _AT_ONCE):
            some = arrived[first : first + _AT_ONCE]
            held = carrier.held([each.reference for each in some])
            there = [each for each in some if each.reference.sop_instance_uid in held]
            ledger.confirm(there, f"found in {carrier}", now)
            missing += [each for each in some if each not in there]
    except IsocenterError as error:
        return Difference(name, len(arrived), (), str(error))
    return Difference(name, len(arrived), missing)


def tell(difference: Difference) -> None:
    """Say in the log what is missing, object by object."""
    log = structlog.get_logger().bind(destination=difference.destination, sent=difference.sent)
    if difference.unanswered:
        log.warning("not reconciled", reason=difference.unanswered)
        return
    for each in difference.missing:
        log.error("sent and not there", job=each.job_id, sop_instance=each.reference.sop_instance_uid)
    log.info("reconciled", missing=len(difference.missing))
