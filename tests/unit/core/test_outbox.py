"""What a status, and what a destination's silence, means for what is sent next."""

from datetime import UTC, datetime, timedelta

import pytest

from service.core.circuit import CLOSED, Circuit
from service.core.outbox import UNREADABLE, DeliveryState, Trouble, judge

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "attempts", "state", "trouble", "counts"),
    [
        pytest.param(0x0000, 0, "SENT", "", False, id="success"),
        pytest.param(0xB000, 0, "SENT", "", False, id="coercion"),
        pytest.param(0xB006, 0, "SENT", "", False, id="elements discarded"),
        pytest.param(0xB007, 0, "SENT", "", False, id="does not match its class"),
        pytest.param(0x0111, 0, "SENT", "", False, id="it has it already"),
        pytest.param(0xA700, 50, "WAITING", "busy", False, id="out of resources, for ever"),
        pytest.param(None, 50, "WAITING", "no answer", False, id="no answer, for ever"),
        pytest.param(0xA900, 0, "WAITING", "content", True, id="content refused once"),
        pytest.param(0xC000, 1, "DEAD", "content", True, id="content refused twice"),
        pytest.param(0x0110, 1, "WAITING", "processing", True, id="processing failure twice"),
        pytest.param(0x0110, 2, "DEAD", "processing", True, id="processing failure three times"),
        pytest.param(0x0124, 0, "PARKED", "configuration", False, id="not authorised"),
        pytest.param(0x0122, 0, "PARKED", "configuration", False, id="SOP Class not supported"),
        pytest.param(UNREADABLE, 0, "DEAD", "file", False, id="its file is gone"),
    ],
)
def test_a_status_decides_what_becomes_of_a_delivery(
    status: int | None, attempts: int, state: str, trouble: str, counts: bool
) -> None:
    verdict = judge(status, attempts)
    assert (verdict.state, verdict.trouble, verdict.counts) == (state, trouble, counts)


def test_a_destination_that_is_down_is_tried_with_one_object_at_growing_intervals() -> None:
    circuit, moment = CLOSED, NOW
    rests = []
    for _ in range(7):
        circuit = circuit.after(Trouble.NETWORK, "not reachable", moment)
        assert circuit.next_at is not None
        rests.append((circuit.next_at - moment).total_seconds())
        assert circuit.room(circuit.next_at - timedelta(seconds=1), 20) == 0
        moment = circuit.next_at
        assert circuit.room(moment, 20) == 1
    assert rests == [5, 30, 120, 600, 1800, 3600, 3600]


def test_an_answer_closes_the_circuit() -> None:
    tired = Circuit(failures=9, next_at=NOW + timedelta(hours=1))
    assert tired.after(Trouble.NONE, "", NOW) == CLOSED
    assert tired.after(Trouble.CONTENT, "status 0xA900", NOW) == CLOSED
    assert CLOSED.room(NOW, 20) == 20


def test_a_busy_destination_gets_half_the_associations_each_time_and_then_more_again() -> None:
    circuit, widths = CLOSED, []
    for trouble in (Trouble.BUSY, Trouble.BUSY, Trouble.NETWORK, Trouble.NONE, Trouble.NONE, Trouble.NONE):
        circuit = circuit.after(trouble, "", NOW)
        widths.append(circuit.associations(8))
    assert widths == [1, 1, 1, 4, 8, 8]  # one while it rests
    assert CLOSED.associations(8) == 8


def test_a_destination_that_refuses_us_waits_for_a_person() -> None:
    parked = CLOSED.after(Trouble.CONFIGURATION, "calling AE title not recognised", NOW)
    assert parked.room(NOW + timedelta(days=365), 20) == 0
    assert parked.parked == "calling AE title not recognised"


def test_the_intervals_are_spread_by_jitter() -> None:
    early, late = (CLOSED.after(Trouble.BUSY, "", NOW, jitter).next_at for jitter in (-1.0, 1.0))
    assert (early, late) == (NOW + timedelta(seconds=4), NOW + timedelta(seconds=6))


def test_the_words_name_the_status_and_what_to_do() -> None:
    assert judge(0x0122, 0).seen == "status 0x0122: this SOP Class is not accepted there"
    assert judge(UNREADABLE, 0).state is DeliveryState.DEAD
    assert "requeue the job" in judge(UNREADABLE, 0).seen
