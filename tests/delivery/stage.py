"""What a delivery needs around it: a reported job, a PACS that answers as it is told, and what became of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from service.core.jobs import Event, Job, State
from service.core.outbox import DeliveryState
from service.deliver import Sender
from service.derived.encoding import encode
from service.edge.carriers import DicomPeer
from service.edge.dialing import DEADLINES, Deadlines, Remote
from service.edge.file_meta import Offer
from service.edge.intake import InMemory
from service.edge.ledger import Ledger, SeriesRow, StackRow, opened
from service.edge.listening import listening
from service.edge.part10 import read_reference
from service.edge.spool import Spool
from service.edge.storage_scp import Door, StorageScp
from service.edge.tables import deliveries
from tests import factories

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DELIVERED, WAITS, PARKED, DEAD, CANCELLED = "delivered", "waits", "parked", "dead", "cancelled"
_ENDINGS = {
    DeliveryState.UNCONFIRMED: DELIVERED,
    DeliveryState.WAITING: WAITS,
    DeliveryState.PARKED: PARKED,
    DeliveryState.DEAD: DEAD,
    DeliveryState.CANCELLED: CANCELLED,
}


class Clock:
    """A clock that tests can move."""

    def __init__(self) -> None:
        self.moment = NOW

    def __call__(self) -> datetime:
        return self.moment


@contextmanager
def reported(path: Path, spool: Spool) -> Iterator[Ledger]:
    """A reported job with two objects for two destinations."""
    images = factories.ct_series(factories.grid(shape=(2, 8, 8)))
    job = Job("job", "s", "1.2.3", "1.2", "m", "1.0.0", "r", ("pacs", "other"), State.QUEUED, 0, NOW)
    objects = [spool.outbox("job") / f"{image.SOPInstanceUID}.dcm" for image in images]
    for each, image in zip(objects, images, strict=True):
        spool.place(each, encode(image))
    with opened(f"sqlite:///{path}") as ledger:
        row = SeriesRow("1.2.3", "1.2", "CT", "", 2, "set", NOW, "evidence")
        ledger.close_series(row, [StackRow("s", "1.2.3", 2, "", "axial", "")], NOW)
        ledger.decide("s", "runs", [job])
        started = ledger.claim(State.QUEUED, "w", NOW, NOW)
        assert started
        ledger.settle(started, "w", Event.DONE, NOW)
        reporting = ledger.claim(State.INFERRED, "w", NOW, NOW)
        assert reporting
        references = [read_reference(each) for each in objects]
        ledger.report(reporting, "w", dict.fromkeys(job.destinations, references), NOW)
        yield ledger


@contextmanager
def pacs(*statuses: int) -> Iterator[tuple[int, list[str]]]:
    """A PACS that answers with the statuses in turn, the last one for ever; its port and what it was sent."""
    received: list[str] = []

    def answer(offer: Offer, _data_set: bytes) -> int:
        received.append(offer.sop_instance_uid)
        return statuses[min(len(received), len(statuses)) - 1]

    scp = StorageScp(Door("PACS"), lambda offer: InMemory(offer, answer), lambda _: None)
    with listening(scp) as port:
        yield port, received


def sender(
    ledger: Ledger, spool: Spool, clock: Clock, port: int, name: str = "pacs", deadlines: Deadlines = DEADLINES
) -> Sender:
    """The stage that sends to a PACS on a port, with answers within two seconds; the PACS is not asked afterwards."""
    remote = Remote("ISOCENTER", "PACS", "127.0.0.1", port, answer_seconds=2)
    return Sender(name, DicomPeer(remote, deadlines), spool, ledger, clock, lambda: 0.0, is_asked=False)


def endings(ledger: Ledger, destination: str = "pacs") -> list[str]:
    """What became of each object for a destination."""
    states = [row["state"] for row in ledger.rows(deliveries) if row["destination"] == destination]
    return [_ENDINGS[DeliveryState(state)] for state in states]


def seen(ledger: Ledger, destination: str = "pacs") -> set[str]:
    """What was last seen of each object for a destination."""
    return {row["seen"] for row in ledger.rows(deliveries) if row["destination"] == destination}


def troubles(ledger: Ledger) -> set[str]:
    """The troubles of all attempts to deliver to the destination "pacs"."""
    rows = ledger.deliveries_where(destination="pacs")
    return {attempt["trouble"] for row in rows for attempt in ledger.attempts_of(row["delivery_id"])}
