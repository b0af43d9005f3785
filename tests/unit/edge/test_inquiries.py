"""How often an archive is asked about a Series, and which answer counts for what is here."""

import threading
from datetime import UTC, datetime, timedelta

from service.core.errors import TryAgain
from service.edge.archive_index import SeriesName
from service.edge.archives import Archive, Calls
from service.edge.inquiries import ASK_AGAIN, ASK_ANEW, WAIT_AT_MOST, Inquiry
from tests.node import until

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SERIES = SeriesName("1.2", "1.2.3")
MOMENT = timedelta(milliseconds=1)


def asked(inquiry: Inquiry, came: int, now: datetime) -> int | None:
    """Ask, and the answer when it is there."""
    inquiry.ask(came, now)
    until(lambda: not inquiry.says(came, now).asking, "the archive answered", seconds=5, pause=0.01)
    return inquiry.says(came, now).count


def test_an_answer_counts_for_what_was_here_when_it_was_asked_for() -> None:
    inquiry = Inquiry(Archive(Calls(lambda _: 12)), SERIES, NOW)
    assert asked(inquiry, 10, NOW) == 12
    inquiry.ask(12, NOW + MOMENT)
    assert inquiry.says(12, NOW + MOMENT).count is None
    assert inquiry.says(12, NOW + MOMENT).asking


def test_an_archive_is_asked_anew_after_a_while_and_again_after_a_longer_one() -> None:
    calls: list[SeriesName] = []

    def count(series: SeriesName) -> int:
        calls.append(series)
        return len(calls)

    inquiry = Inquiry(Archive(Calls(count)), SERIES, NOW)
    asked(inquiry, 10, NOW)
    inquiry.ask(11, NOW + ASK_ANEW - MOMENT)
    assert asked(inquiry, 11, NOW + ASK_ANEW) == 2
    assert asked(inquiry, 11, NOW + ASK_ANEW + ASK_AGAIN - MOMENT) == 2
    inquiry.ask(11, NOW + ASK_ANEW + ASK_AGAIN)
    until(lambda: inquiry.says(11, NOW).count == 3, "asked again", seconds=5, pause=0.01)


def test_a_count_that_does_not_come_is_not_waited_for_for_ever() -> None:
    over = threading.Event()
    inquiry = Inquiry(Archive(Calls(lambda _: int(over.wait(60)))), SERIES, NOW)
    inquiry.ask(10, NOW)
    assert inquiry.says(10, NOW + WAIT_AT_MOST - MOMENT).asking
    assert not inquiry.says(10, NOW + WAIT_AT_MOST).asking
    over.set()


def test_an_archive_that_did_not_answer_is_left_alone_and_every_series_hears_why() -> None:
    calls: list[SeriesName] = []

    def fail(series: SeriesName) -> int:
        calls.append(series)
        raise TryAgain("PACS at 10.0.0.5:104 is not reachable")

    archive = Archive(Calls(fail))
    for number in range(3):
        inquiry = Inquiry(archive, SeriesName("1.2", f"1.2.{number}"), NOW)
        assert asked(inquiry, 10, NOW) is None
        assert inquiry.says(10, NOW).failure == "PACS at 10.0.0.5:104 is not reachable"
    assert len(calls) == 1


def test_a_slow_retrieval_does_not_keep_an_archive_from_counting_and_is_made_once() -> None:
    over = threading.Event()
    calls: list[SeriesName] = []

    def retrieve(series: SeriesName) -> None:
        calls.append(series)
        over.wait(60)

    inquiry = Inquiry(Archive(Calls(lambda _: 12, retrieve)), SERIES, NOW)
    for _ in range(2):
        inquiry.retrieve(10)
    assert asked(inquiry, 10, NOW) == 12
    retrieval = inquiry.says(10, NOW).retrieval
    assert retrieval
    assert retrieval.ended_at is None
    over.set()
    until(lambda: _ended(inquiry), "the retrieval ended", seconds=5, pause=0.01)
    assert len(calls) == 1


def _ended(inquiry: Inquiry) -> bool:
    retrieval = inquiry.says(10, NOW).retrieval
    return retrieval is not None and retrieval.ended_at == NOW
