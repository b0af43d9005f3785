"""`isocenter outbox`: every object on its way, every attempt, and what a person may do about it."""

from datetime import datetime
from pathlib import Path
from typing import Any

from service.core.circuit import CLOSED
from service.core.errors import Broken
from service.edge.ledger import opened
from service.edge.spool import Spool
from service.settings import Settings

Rows = list[dict[str, Any]]
_COLUMNS = ("delivery_id", "job_id", "sop_instance_uid", "destination", "state", "tries", "next_at", "seen")


def listed(settings: Settings, destination: str = "", state: str = "") -> Rows:
    """The deliveries to a destination, in a state, oldest first."""
    with opened(settings.ledger_url) as ledger:
        rows = ledger.deliveries_where(destination=destination, state=state.upper())
    return [{name: row[name] for name in _COLUMNS} for row in rows]


def shown(settings: Settings, delivery_id: int) -> tuple[dict[str, Any], Rows]:
    """A delivery, and every attempt at it. Raises Broken when there is none."""
    with opened(settings.ledger_url) as ledger:
        row = ledger.delivery(delivery_id)
        attempts = [
            {name: attempt[name] for name in ("at", "peer", "trouble", "seen")}
            for attempt in ledger.attempts_of(delivery_id)
        ]
    return {name: row[name] for name in _COLUMNS}, attempts


def resting(settings: Settings) -> Rows:
    """The destinations that are not sent to freely just now, and why."""
    with opened(settings.ledger_url) as ledger:
        circuits = {each.name: ledger.circuit(each.name) for each in settings.destinations}
    return [
        {"destination": name, "failures": each.failures, "tried_again_at": each.next_at, "parked": each.parked}
        for name, each in circuits.items()
        if each.failures or each.parked
    ]


def retry(settings: Settings, now: datetime, *, delivery_id: int | None, destination: str) -> int:
    """Have one delivery, or all (to a destination) that wait for a person, tried again; how many that are.

    A destination of theirs that is parked, or rests, is tried at once.
    """
    with opened(settings.ledger_url) as ledger:
        if delivery_id is not None:
            destination = ledger.delivery(delivery_id)["destination"]
        for each in settings.destinations:
            if destination in {"", each.name} and ledger.circuit(each.name) != CLOSED:
                ledger.release(each.name, now)
        return ledger.retry_deliveries(now, destination=destination, delivery_id=delivery_id)


def cancel(settings: Settings, delivery_id: int, why: str, now: datetime) -> None:
    """Give a delivery up. Raises Broken when it is under way or ended."""
    with opened(settings.ledger_url) as ledger:
        ledger.cancel_delivery(delivery_id, why, now)


def export(settings: Settings, delivery_id: int, folder: Path) -> Path:
    """Copy a delivery's object into a folder. Raises Broken when its file is gone."""
    with opened(settings.ledger_url) as ledger:
        row = ledger.delivery(delivery_id)
    source = Spool(settings.spool).outbox(row["job_id"]) / f"{row['sop_instance_uid']}.dcm"
    if not source.is_file():
        raise Broken(f"the object of delivery {delivery_id} is not in outbox/ any more: requeue job {row['job_id']}")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / source.name
    target.write_bytes(source.read_bytes())
    return target
