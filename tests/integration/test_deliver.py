"""What becomes of a delivery, whatever the PACS does."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pynetdicom import AE, evt

from service.commands.archive import free_port
from service.core.circuit import CLOSED
from service.core.errors import Broken, TryAgain
from service.core.jobs import Event, Job, State
from service.core.outbox import Trouble
from service.deliver import Sender
from service.derived.encoding import encode, reference_of
from service.edge.carriers import DicomPeer
from service.edge.file_meta import Offer
from service.edge.intake import InMemory
from service.edge.ledger import Ledger, SeriesRow, StackRow, opened
from service.edge.listening import listening
from service.edge.spool import Spool
from service.edge.storage_scp import Door, StorageScp
from service.edge.storage_scu import Remote, store
from service.edge.tables import deliveries, jobs
from tests import factories
from tests.node import run_command

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Clock:
    """A clock that tests can move."""

    def __init__(self) -> None:
        self.moment = NOW

    def __call__(self) -> datetime:
        return self.moment


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture
def ledger(tmp_path: Path, spool: Spool) -> Iterator[Ledger]:
    """A reported job with two objects for two destinations."""
    images = factories.ct_series(factories.grid(shape=(2, 8, 8)))
    job = Job("job", "s", "1.2.3", "1.2", "m", "1.0.0", "r", ("pacs", "other"), State.QUEUED, 0, NOW)
    for image in images:
        spool.place(spool.outbox("job") / f"{image.SOPInstanceUID}.dcm", encode(image))
    with opened(f"sqlite:///{tmp_path / 'ledger.sqlite3'}") as ledger:
        row = SeriesRow("1.2.3", "1.2", "CT", "", 2, "set", NOW, "evidence")
        ledger.close_series(row, [StackRow("s", "1.2.3", 2, "", "axial", "")], NOW)
        ledger.decide("s", "runs", [job])
        started = ledger.claim(State.QUEUED, "w", NOW, NOW)
        assert started
        ledger.settle(started, "w", Event.DONE, NOW)
        reporting = ledger.claim(State.INFERRED, "w", NOW, NOW)
        assert reporting
        objects = [reference_of(encode(image)) for image in images]
        ledger.report(reporting, "w", dict.fromkeys(job.destinations, objects), NOW)
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


def sender(ledger: Ledger, spool: Spool, clock: Clock, port: int, name: str = "pacs") -> Sender:
    return Sender(
        name,
        DicomPeer(Remote("ISOCENTER", "PACS", "127.0.0.1", port)),
        spool,
        ledger,
        clock,
        lambda: 0.0,
        is_asked=False,
    )


def states(ledger: Ledger, destination: str = "pacs") -> list[str]:
    return [row["state"] for row in ledger.rows(deliveries) if row["destination"] == destination]


def seen(ledger: Ledger, destination: str = "pacs") -> set[str]:
    return {row["seen"] for row in ledger.rows(deliveries) if row["destination"] == destination}


def test_every_object_reaches_every_destination_and_the_job_is_delivered(
    ledger: Ledger, spool: Spool, clock: Clock
) -> None:
    with pacs(0x0000) as (port, received), pacs(0xB000) as (other, _):
        sender(ledger, spool, clock, port).tick()
        assert ledger.rows(jobs)[0]["state"] == State.REPORTED
        sender(ledger, spool, clock, other, "other").tick()
    assert states(ledger) + states(ledger, "other") == ["UNCONFIRMED"] * 4
    assert ledger.rows(jobs)[0]["state"] == State.DELIVERED
    assert len(set(received)) == len(received) == 2


@pytest.mark.parametrize(
    ("status", "tries", "ending"),
    [
        pytest.param(0xA700, 6, "WAITING", id="out of resources"),
        pytest.param(0xA900, 1, "WAITING", id="content refused once"),
        pytest.param(0xC000, 2, "DEAD", id="content refused twice"),
        pytest.param(0x0110, 3, "DEAD", id="processing failure three times"),
        pytest.param(0x0124, 1, "PARKED", id="not authorised"),
        pytest.param(0x0111, 1, "UNCONFIRMED", id="it has it already"),
    ],
)
def test_a_status_ends_in_its_state(
    ledger: Ledger, spool: Spool, clock: Clock, status: int, tries: int, ending: str
) -> None:
    with pacs(status) as (port, received):
        for _ in range(tries):
            sender(ledger, spool, clock, port).tick()
            clock.moment += timedelta(hours=2)
    assert states(ledger) == [ending] * 2
    assert len(received) == (tries if status == 0xA700 else 2 * tries)  # a busy one is left alone after one object
    assert all(f"0x{status:04X}" in words for words in seen(ledger))


def test_an_object_whose_file_is_gone_is_dead_and_holds_up_no_other(ledger: Ledger, spool: Spool, clock: Clock) -> None:
    next(spool.outbox("job").iterdir()).unlink()
    with pacs(0x0000) as (port, received):
        sender(ledger, spool, clock, port).tick()
    assert sorted(states(ledger)) == ["DEAD", "UNCONFIRMED"]
    assert len(received) == 1
    assert any("requeue the job" in words for words in seen(ledger))


def test_a_pacs_that_takes_implicit_little_endian_alone_gets_its_objects(
    ledger: Ledger, spool: Spool, clock: Clock
) -> None:
    entity = AE("PACS")
    entity.add_supported_context("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2")
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _: 0x0000)])
    sender(ledger, spool, clock, server.server_address[1]).tick()
    server.shutdown()
    assert states(ledger) == ["UNCONFIRMED"] * 2


def test_nothing_is_sent_again_before_its_back_off_has_passed(ledger: Ledger, spool: Spool, clock: Clock) -> None:
    with pacs(0xA700) as (port, received):
        for seconds in (0, 4, 2, 20):
            clock.moment += timedelta(seconds=seconds)
            sender(ledger, spool, clock, port).tick()
    assert len(received) == 2


def test_a_destination_that_is_down_keeps_its_objects_and_names_itself(
    ledger: Ledger, spool: Spool, clock: Clock
) -> None:
    port = free_port()
    sender(ledger, spool, clock, port).tick()
    assert states(ledger) == ["WAITING"] * 2
    assert seen(ledger) == {f"PACS at 127.0.0.1:{port} is not reachable, or closed the connection"}
    assert states(ledger, "other") == ["WAITING"] * 2


def test_a_sop_class_that_is_not_accepted_is_parked_at_once_and_says_so(
    ledger: Ledger, spool: Spool, clock: Clock
) -> None:

    entity = AE("PACS")
    entity.add_supported_context("1.2.840.10008.1.1")
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_ECHO, lambda _: 0x0000)])
    sender(ledger, spool, clock, server.server_address[1]).tick()
    server.shutdown()
    assert states(ledger) == ["PARKED"] * 2
    assert seen(ledger) == {"status 0x0122: this SOP Class is not accepted there"}


@contextmanager
def silent() -> Iterator[int]:
    """A listener that accepts and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted: list[socket.socket] = []
        server.settimeout(0.2)
        ending = threading.Event()

        def accept() -> None:
            while not ending.is_set():
                try:
                    accepted.append(server.accept()[0])
                except TimeoutError:
                    continue

        thread = threading.Thread(target=accept)
        thread.start()
        yield int(server.getsockname()[1])
        ending.set()
        thread.join()
        for connection in accepted:
            connection.close()


def test_a_peer_that_accepts_and_says_nothing_is_given_up_within_its_deadline(tmp_path: Path) -> None:
    path = tmp_path / "image.dcm"
    path.write_bytes(encode(factories.ct_series(factories.grid(shape=(1, 8, 8)))[0]))
    began = time.monotonic()
    with silent() as port, pytest.raises(TryAgain):
        list(store(Remote("ISOCENTER", "PACS", "127.0.0.1", port), [path]))
    assert time.monotonic() - began < 15


def test_every_attempt_is_kept_with_its_peer_status_and_trouble(ledger: Ledger, spool: Spool, clock: Clock) -> None:
    with pacs(0xA700, 0x0000) as (port, _):
        for _ in range(3):
            sender(ledger, spool, clock, port).tick()
            clock.moment += timedelta(hours=2)
    first = ledger.deliveries_where(destination="pacs")[0]
    kept = [(each["peer"], each["status"], each["trouble"]) for each in ledger.attempts_of(first["delivery_id"])]
    assert kept == [(f"PACS at 127.0.0.1:{port}", 0xA700, "busy"), (f"PACS at 127.0.0.1:{port}", 0x0000, "")]


def test_a_destination_that_is_down_is_tried_once_at_each_growing_interval_and_then_gets_all(
    ledger: Ledger, spool: Spool, clock: Clock
) -> None:
    port = free_port()
    began = clock.moment
    tried = set()
    while clock.moment < began + timedelta(hours=24):
        sender(ledger, spool, clock, port).tick()
        tried.add(ledger.circuit("pacs").failures)
        clock.moment += timedelta(minutes=1)
    assert ledger.circuit("pacs").failures == max(tried) < 32
    assert [row["tries"] for row in ledger.deliveries_where(destination="pacs")] == [0, 0]
    clock.moment += timedelta(hours=1)
    ended: list[int] = []
    scp = StorageScp(
        Door("PACS"),
        lambda offer: InMemory(offer, lambda *_: 0x0000),
        lambda record: ended.append(record.instances),
    )
    with listening(scp) as up:
        again = sender(ledger, spool, clock, up)
        again.tick()
    assert states(ledger) == ["UNCONFIRMED"] * 2
    assert ended == [1, 1]  # the first alone, to see whether it answers


def test_a_destination_that_rejects_us_is_parked_until_its_configuration_changes_or_a_person_retries(
    ledger: Ledger, spool: Spool, clock: Clock
) -> None:
    entity = AE("OTHER")
    entity.require_called_aet = True
    entity.add_supported_context("1.2.840.10008.5.1.4.1.1.2")
    server = entity.start_server(("127.0.0.1", 0), block=False)
    refused = sender(ledger, spool, clock, server.server_address[1])
    refused.tick()
    clock.moment += timedelta(days=30)
    refused.tick()
    server.shutdown()
    circuit = ledger.circuit("pacs")
    assert "rejected the association: Called AE title not recognised" in circuit.parked
    assert states(ledger) == ["WAITING"] * 2
    ledger.unpark_changed({"pacs": str(refused.carrier)}, clock.moment)
    assert ledger.circuit("pacs").parked
    ledger.unpark_changed({"pacs": "PACS at 10.0.0.5:104"}, clock.moment)
    assert not ledger.circuit("pacs").parked


def test_a_person_may_retry_cancel_and_look(ledger: Ledger, spool: Spool, clock: Clock) -> None:
    with pacs(0xC000) as (port, _):
        for _ in range(2):
            sender(ledger, spool, clock, port).tick()
            clock.moment += timedelta(hours=2)
    first, second = (row["delivery_id"] for row in ledger.deliveries_where(destination="pacs"))
    assert ledger.retry_deliveries(clock.moment, delivery_id=first) == 1
    ledger.cancel_delivery(second, "the study was deleted", clock.moment)
    assert states(ledger) == ["WAITING", "CANCELLED"]
    assert len(ledger.attempts_of(first)) == 2
    with pytest.raises(Broken, match="is CANCELLED: only what waits can be cancelled"):
        ledger.cancel_delivery(second, "again", clock.moment)


def test_the_command_line_lists_shows_retries_cancels_and_exports(
    ledger: Ledger, spool: Spool, clock: Clock, tmp_path: Path
) -> None:
    with pacs(0x0124) as (port, _):
        sender(ledger, spool, clock, port).tick()
    (tmp_path / "node.yaml").write_text("spool: spool\n")
    (tmp_path / "rules.yaml").write_text("rules: []\n")
    (tmp_path / "destinations.yaml").write_text(
        f"destinations:\n  - {{name: pacs, ae_title: PACS, host: 127.0.0.1, port: {port}}}\n"
    )

    def outbox(*words: str) -> str:
        ran = run_command("outbox", *words, "--config", str(tmp_path))
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    parked = json.loads(outbox("list", "--destination", "pacs", "--state", "parked", "--json"))["deliveries"]
    assert len(parked) == 2
    first, second = (str(row["delivery_id"]) for row in parked)
    (attempt,) = json.loads(outbox("show", first, "--json"))["attempts"]
    assert (attempt["trouble"], attempt["seen"]) == ("configuration", "status 0x0124: not authorised there")
    ledger.keep_circuit("pacs", "as it is", CLOSED.after(Trouble.CONFIGURATION, "rejected", NOW), NOW)
    assert outbox("retry", first) == "1 deliveries are tried again\n"
    assert ledger.circuit("pacs") == CLOSED
    assert outbox("cancel", second, "--why", "not wanted") == f"delivery {second} is CANCELLED\n"
    exported = Path(outbox("export", first, str(tmp_path / "out")).strip())
    assert exported.read_bytes() == (spool.outbox("job") / exported.name).read_bytes()
    assert states(ledger) == ["WAITING", "CANCELLED"]
