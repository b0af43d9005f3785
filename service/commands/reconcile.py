"""`isocenter reconcile`: what each destination was sent, beside what it has, and what a person may do about it."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from service.core.outbox import ARRIVED
from service.edge.ledger import opened
from service.edge.spool import Spool
from service.reconcile import Difference, reconcile
from service.roles.reaching import carrier_for
from service.settings import Settings


def differences(settings: Settings, now: datetime, days: float, destination: str) -> Iterator[Difference]:
    """What each destination (or the one that is named) does not have of what it took in the last days."""
    with opened(settings.ledger_url) as ledger:
        for each in settings.destinations:
            if destination in {"", each.name}:
                yield reconcile(each.name, carrier_for(settings, each), ledger, now - timedelta(days=days), now)


def row(difference: Difference) -> dict[str, object]:
    """A difference as a row of plain values."""
    known = not difference.unanswered
    return {
        "destination": difference.destination,
        "sent": difference.sent,
        "has": difference.sent - len(difference.missing) if known else "not known",
        "missing": [each.reference.sop_instance_uid for each in difference.missing],
        "not_asked_because": difference.unanswered,
    }


def send_again(settings: Settings, difference: Difference, now: datetime) -> tuple[int, list[str]]:
    """Have what is missing sent again: how many that are, and the jobs to requeue, whose objects are not here."""
    spool = Spool(settings.spool)
    requeue: list[str] = []
    again = 0
    with opened(settings.ledger_url) as ledger:
        for each in difference.missing:
            if (spool.outbox(each.job_id) / f"{each.reference.sop_instance_uid}.dcm").is_file():
                again += ledger.retry_deliveries(now, delivery_id=each.delivery_id, states=tuple(ARRIVED))
            else:
                requeue.append(each.job_id)
    return again, sorted(set(requeue))
