"""What becomes of an object after its destination answered with success, whatever the destination then says."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.core.commitment import Told
from service.core.errors import TryAgain, Unsuitable
from service.core.outbox import CommitmentReport, Reference
from service.core.proof import FIRST_LOOK, SECOND_LOOK, Way
from service.deliver import Sender
from service.edge.commitment_files import keep_report, reports
from service.edge.ledger import Ledger
from service.edge.spool import Spool
from service.edge.tables import deliveries, jobs
from service.prove import Prover, take_reports
from service.reconcile import reconcile
from tests.delivery.stage import Clock

PATIENCE = timedelta(minutes=10)
NO_SUCH_OBJECT = 0x0112


@dataclass
class Archive:
    """A destination that answers with success, loses what it is told to lose, and can be asked as it is told."""

    offers: tuple[Way, ...] = (Way.COMMITMENT, Way.QUERY)
    loses: int = 0  # of the next objects
    reports_at_once: bool = True
    silent: bool = False
    kept: dict[str, int] = field(default_factory=dict)
    transactions: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "ARCHIVE"

    def store(self, paths: Sequence[Path]) -> Iterator[tuple[Path, int | None]]:
        for path in paths:
            if self.loses:
                self.loses -= 1
            else:
                self.kept[path.stem] = self.kept.get(path.stem, 0) + 1
            yield path, 0x0000

    def held(self, references: Sequence[Reference]) -> set[str]:
        self._require(Way.QUERY)
        return {each.sop_instance_uid for each in references} & self.kept.keys()

    def ask_commitment(self, transaction_uid: str, references: Sequence[Reference]) -> CommitmentReport | None:
        self._require(Way.COMMITMENT)
        self.transactions.append(transaction_uid)
        return self.report(transaction_uid, references) if self.reports_at_once else None

    def report(self, transaction_uid: str, references: Sequence[Reference]) -> CommitmentReport:
        """What it says when it reports."""
        asked = {each.sop_instance_uid for each in references}
        failed = dict.fromkeys(asked - self.kept.keys(), NO_SUCH_OBJECT)
        return CommitmentReport(transaction_uid, frozenset(asked & self.kept.keys()), failed)

    def _require(self, way: Way) -> None:
        if way not in self.offers:
            raise Unsuitable(f"ARCHIVE does not offer {way}")
        if self.silent:
            raise TryAgain(f"ARCHIVE did not answer {way}")


@dataclass
class Course:
    """A job with two objects on its way to one archive."""

    archive: Archive
    ledger: Ledger
    spool: Spool
    clock: Clock
    ways: tuple[Way, ...] = (Way.COMMITMENT, Way.QUERY)

    def send(self) -> None:
        common = (self.ledger, self.clock, lambda: 0.0)
        Sender("pacs", self.archive, self.spool, *common, is_asked=bool(self.ways)).tick()

    @property
    def prover(self) -> Prover:
        return Prover("pacs", self.archive, self.ways, PATIENCE, self.ledger, self.clock, lambda: 0.0)

    def ask(self, *waits: timedelta) -> None:
        """Ask after each of these times."""
        for wait in waits:
            self.clock.moment += wait
            self.prover.tick()

    def states(self) -> list[str]:
        return sorted(row["state"] for row in self.rows())

    def seen(self) -> str:
        return "; ".join(sorted({row["seen"] for row in self.rows()}))

    def rows(self) -> list[dict[str, Any]]:
        return [row for row in self.ledger.rows(deliveries) if row["destination"] == "pacs"]


@pytest.fixture
def course(ledger: Ledger, spool: Spool, clock: Clock) -> Course:
    return Course(Archive(), ledger, spool, clock)


@pytest.mark.parametrize(
    ("offers", "words"),
    [
        pytest.param((Way.COMMITMENT, Way.QUERY), "storage commitment 2.25.", id="it commits"),
        pytest.param((Way.QUERY,), "found in ARCHIVE", id="it can be queried"),
    ],
)
def test_what_is_there_is_committed_by_the_best_way_there_is(
    course: Course, offers: tuple[Way, ...], words: str
) -> None:
    course.archive.offers = offers
    course.send()
    assert course.states() == ["SENT"] * 2
    course.ask(FIRST_LOOK, FIRST_LOOK)
    assert course.states() == ["COMMITTED"] * 2
    assert words in course.seen()


def test_what_cannot_be_asked_stays_unconfirmed_and_says_why(course: Course) -> None:
    course.archive.offers = ()
    course.send()
    course.ask(FIRST_LOOK, FIRST_LOOK)
    assert course.states() == ["UNCONFIRMED"] * 2
    assert course.seen() == "unconfirmed: ARCHIVE does not offer query"


def test_a_site_that_asks_for_no_proof_has_unconfirmed_objects_at_once(course: Course) -> None:
    course.ways = ()
    course.send()
    assert course.states() == ["UNCONFIRMED"] * 2


@pytest.mark.parametrize("offers", [(Way.COMMITMENT,), (Way.QUERY,)], ids=str)
def test_what_was_lost_after_success_is_found_out_and_sent_again(course: Course, offers: tuple[Way, ...]) -> None:
    course.archive.offers, course.archive.loses = offers, 1
    course.send()
    course.ask(FIRST_LOOK, FIRST_LOOK)
    assert course.states() == ["COMMITTED", "SENT"]  # it may still be filing it
    course.ask(SECOND_LOOK, FIRST_LOOK)
    assert course.states() == ["COMMITTED", "WAITING"]
    course.send()
    course.ask(FIRST_LOOK, FIRST_LOOK)
    assert course.states() == ["COMMITTED"] * 2
    assert list(course.archive.kept.values()) == [1, 1]


def test_an_archive_that_loses_everything_leaves_it_to_a_person(course: Course) -> None:
    course.archive.loses = 1000
    for _ in range(6):
        course.send()
        course.ask(FIRST_LOOK, SECOND_LOOK)
    assert course.states() == ["DEAD"] * 2
    assert "that archive loses objects" in course.seen()


def test_a_report_that_comes_later_ends_the_job(course: Course) -> None:
    course.archive.reports_at_once = False
    course.send()
    course.ask(FIRST_LOOK)
    assert course.states() == ["SENT"] * 2
    (transaction,) = course.archive.transactions
    references = [each.reference for each in course.ledger.of_transaction(transaction)]
    assert course.prover.take(course.archive.report(transaction, references))
    assert course.states() == ["COMMITTED"] * 2
    assert not course.prover.take(course.archive.report(transaction, references))


def test_a_report_that_never_comes_is_waited_for_and_then_a_query_is_made(course: Course) -> None:
    course.archive.reports_at_once = False
    course.send()
    course.ask(FIRST_LOOK, PATIENCE - FIRST_LOOK)
    assert course.states() == ["SENT"] * 2
    course.ask(FIRST_LOOK, FIRST_LOOK)
    assert course.states() == ["COMMITTED"] * 2
    assert course.seen() == "found in ARCHIVE"
    assert len(course.archive.transactions) == 1


def test_an_archive_that_is_silent_when_asked_is_asked_again_and_keeps_receiving(course: Course) -> None:
    course.archive.silent = True
    course.send()
    course.ask(*[timedelta(minutes=10)] * 4)
    assert course.states() == ["SENT"] * 2
    assert course.ledger.circuit("pacs").failures == 0
    course.archive.silent = False
    course.ask(timedelta(hours=1), FIRST_LOOK)
    assert course.states() == ["COMMITTED"] * 2


def test_a_job_is_delivered_when_its_objects_are_proven_at_every_destination(course: Course, clock: Clock) -> None:
    course.send()
    other = Course(Archive(), course.ledger, course.spool, clock)
    Sender("other", other.archive, course.spool, course.ledger, clock, lambda: 0.0, is_asked=False).tick()
    assert course.ledger.rows(jobs)[0]["state"] == "REPORTED"
    course.ask(FIRST_LOOK)
    assert course.ledger.rows(jobs)[0]["state"] == "DELIVERED"


def test_reconciling_names_what_was_sent_and_is_not_there(course: Course, clock: Clock) -> None:
    course.send()
    course.ask(FIRST_LOOK)
    gone, _ = course.archive.kept.popitem()
    since: datetime = clock.moment - timedelta(days=1)
    difference = reconcile("pacs", course.archive, course.ledger, since, clock.moment)
    assert difference.sent == 2
    assert [each.reference.sop_instance_uid for each in difference.missing] == [gone]
    assert reconcile("pacs", course.archive, course.ledger, clock.moment + timedelta(days=1), clock.moment).sent == 0


def test_a_destination_that_cannot_be_asked_is_not_reconciled_and_says_why(course: Course, clock: Clock) -> None:
    course.archive.offers = (Way.COMMITMENT,)
    course.send()
    difference = reconcile("pacs", course.archive, course.ledger, clock.moment - timedelta(days=1), clock.moment)
    assert difference.unanswered == "ARCHIVE does not offer query"
    assert not difference.is_none


def test_every_look_is_kept_among_the_attempts(course: Course) -> None:
    course.archive.offers, course.archive.loses = (Way.QUERY,), 2
    course.send()
    course.ask(FIRST_LOOK, FIRST_LOOK, SECOND_LOOK)
    first = course.rows()[0]["delivery_id"]
    kept = [attempt["seen"] for attempt in course.ledger.attempts_of(first)]
    assert [words.split(" as ")[0] for words in kept] == [
        "status 0x0000",
        "storage commitment asked for",
        "ARCHIVE does not offer commitment",
        "a query finds it not; it is looked for once more",
        "a query finds it not, though success was answered: it is sent again",
    ]


@pytest.mark.parametrize(
    ("teller", "states"),
    [
        pytest.param("PACS", ["COMMITTED"] * 2, id="who was asked"),
        pytest.param("MODALITY", ["SENT"] * 2, id="another peer"),
    ],
)
def test_a_report_that_the_receiver_kept_is_believed_of_who_was_asked_alone(
    course: Course, teller: str, states: list[str]
) -> None:
    course.archive.reports_at_once = False
    course.send()
    course.ask(FIRST_LOOK)
    (transaction,) = course.archive.transactions
    references = [each.reference for each in course.ledger.of_transaction(transaction)]
    keep_report(course.spool, Told(teller, "127.0.0.1", course.archive.report(transaction, references)))
    keep_report(course.spool, Told("PACS", "127.0.0.1", CommitmentReport("1.2.3.4", frozenset(), {})))
    take_reports(course.spool, {"PACS": [course.prover]})
    assert course.states() == states
    assert reports(course.spool) == []


def test_reconciling_confirms_what_was_unconfirmed_and_is_there(course: Course, clock: Clock) -> None:
    course.ways = ()
    course.send()
    assert course.states() == ["UNCONFIRMED"] * 2
    reconcile("pacs", course.archive, course.ledger, clock.moment - timedelta(days=1), clock.moment)
    assert course.states() == ["COMMITTED"] * 2
    assert course.seen() == "found in ARCHIVE"
