"""Deliveries to Orthanc that go wrong on the way, or after it: everything is there in the end, once, and proven."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.commands.archive import Orthanc, free_port, orthanc
from service.core.proof import Way
from service.deliver import Sender
from service.edge.carriers import DicomPeer
from service.edge.dialing import Remote
from service.edge.ledger import opened
from service.edge.spool import Spool
from service.edge.tables import deliveries
from service.prove import Prover, take_reports
from tests.delivery import faults
from tests.delivery.backlog import fill, role, states
from tests.delivery.stage import Clock, sender
from tests.node import configure, until

RESULTS = 40


@pytest.fixture
def node_port() -> int:
    return free_port()


@pytest.fixture
def pacs(outside_tool: Callable[[str], str], tmp_path: Path, node_port: int) -> Iterator[Orthanc]:
    with orthanc(outside_tool("Orthanc"), tmp_path / "pacs", node_port=node_port) as archive:
        yield archive


def test_half_of_all_attempts_break_and_an_archive_loses_some_and_all_arrive_once(
    pacs: Orthanc, tmp_path: Path
) -> None:
    figures = faults.run(tmp_path, pacs, RESULTS, broken=0.5, lost=0.1, seed=3)
    assert figures.broken > figures.associations / 3
    assert figures.lost_by_the_archive > 0
    assert (figures.in_the_archive, figures.missing, figures.duplicates) == (RESULTS, 0, 0)
    assert figures.states == {"COMMITTED": RESULTS}


def test_what_orthanc_loses_before_it_commits_is_sent_again(pacs: Orthanc, tmp_path: Path, node_port: int) -> None:
    settings = configure(tmp_path / "config", pacs.port, [], receiving={"port": node_port})
    uids = fill(settings, 5)
    spool, carrier = Spool(settings.spool), DicomPeer(Remote("ISOCENTER", "ARCHIVE", "127.0.0.1", pacs.port))
    shift = [timedelta()]

    def clock() -> datetime:
        return datetime.now(UTC) + shift[0]

    with opened(settings.ledger_url) as ledger, role("receiver", settings):
        common = (ledger, clock, lambda: 0.0)
        deliver = Sender("pacs", carrier, spool, *common)
        prover = Prover("pacs", carrier, (Way.COMMITMENT,), timedelta(minutes=10), *common)
        deliver.tick()
        for key in sorted(pacs.ask("/instances"))[:2]:
            pacs.delete(f"/instances/{key}")

        def all_committed() -> bool:
            shift[0] += timedelta(seconds=2)
            deliver.tick()
            prover.tick()
            take_reports(spool, {"ARCHIVE": [prover]})
            return ledger.counts(deliveries) == {"COMMITTED": len(uids)}

        until(all_committed, "every object is committed", seconds=60)
        lost = [
            row
            for row in ledger.deliveries_where()
            if "lost" in {attempt["trouble"] for attempt in ledger.attempts_of(row["delivery_id"])}
        ]
    assert len(lost) == 2
    assert sorted(str(each.SOPInstanceUID) for each in pacs.datasets()) == sorted(uids)


def test_a_silent_destination_holds_up_no_other(pacs: Orthanc, tmp_path: Path) -> None:
    dead = {"name": "dead", "ae_title": "DEAD", "host": "192.0.2.1", "port": 104}  # RFC 5737: nobody is there
    settings = configure(tmp_path / "config", pacs.port, [], destination={"proof": ["query"]}, more=[dead])
    fill(settings, 20, ("dead", "pacs"))
    with role("dispatcher", settings):
        until(lambda: states(settings, "pacs") == {"COMMITTED": 20}, "the live one has all", 60)
        assert states(settings, "dead").keys() <= {"WAITING", "SENDING"}


def test_after_a_day_without_the_archive_all_is_delivered_and_one_object_goes_ahead_of_the_rest(
    pacs: Orthanc, tmp_path: Path
) -> None:
    settings, clock = configure(tmp_path / "config", pacs.port, []), Clock()
    uids = fill(settings, 120, at=clock())
    with opened(settings.ledger_url) as ledger:
        down = sender(ledger, Spool(settings.spool), clock, free_port())
        for _ in range(24 * 60):
            down.tick()
            clock.moment += timedelta(minutes=1)
        failures = ledger.circuit("pacs").failures
        clock.moment += timedelta(hours=1, minutes=15)
        carrier = DicomPeer(Remote("ISOCENTER", "ARCHIVE", "127.0.0.1", pacs.port))
        Sender("pacs", carrier, Spool(settings.spool), ledger, clock, lambda: 0.0, is_asked=False).tick()
        assert ledger.counts(deliveries) == {"UNCONFIRMED": len(uids)}
    assert 20 < failures < 35  # one connection at a time, at growing intervals up to an hour
    assert sorted(str(each.SOPInstanceUID) for each in pacs.datasets()) == sorted(uids)
