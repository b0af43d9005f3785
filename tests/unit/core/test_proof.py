"""What follows from what a destination says of the objects that it took."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from service.core import proof
from service.core.outbox import Delivery, DeliveryState, Reference, Trouble
from service.core.proof import FIRST_LOOK, MOST_UNANSWERED, SECOND_LOOK


def sent(**changes: Any) -> Delivery:
    """An object that was answered with success."""
    reference = Reference("1.2.840.10008.5.1.4.1.1.66.4", "1.2.3.4", "1.2", "1.2.3")
    return replace(Delivery(1, "job", reference, "pacs", DeliveryState.SENT, attempts=0, tries=1), **changes)


def test_what_is_found_is_committed() -> None:
    assert proof.found("found in PACS").state is DeliveryState.COMMITTED


def test_what_is_missing_is_looked_for_once_more_before_it_is_sent_again() -> None:
    first = proof.missing(sent(), "a query finds it not")
    assert (first.state, first.looks, first.wait, first.is_lost) == (DeliveryState.SENT, 1, SECOND_LOOK, False)
    again = proof.missing(sent(looks=1), "a query finds it not")
    assert (again.state, again.looks, again.is_lost) == (DeliveryState.WAITING, 0, True)
    assert "it is sent again" in again.seen


def test_what_is_lost_too_often_is_left_to_a_person() -> None:
    last = proof.missing(sent(looks=1, attempts=4), "a query finds it not")
    assert (last.state, last.trouble) == (DeliveryState.DEAD, Trouble.LOST)
    assert "5 times" in last.seen


@pytest.mark.parametrize(
    ("way", "ways", "state", "next_way"),
    [
        pytest.param(0, 2, "SENT", 1, id="the next way is tried"),
        pytest.param(1, 2, "UNCONFIRMED", 0, id="no way is left"),
        pytest.param(0, 0, "UNCONFIRMED", 0, id="there never was one"),
    ],
)
def test_a_destination_that_cannot_be_asked_one_way_is_asked_another(
    way: int, ways: int, state: str, next_way: int
) -> None:
    look = proof.cannot_say(sent(way=way), ways, "it does not offer C-FIND")
    assert (look.state, look.way, look.wait) == (state, next_way, timedelta())
    assert "it does not offer C-FIND" in look.seen


def test_a_destination_that_does_not_answer_is_asked_again_at_growing_intervals_and_then_another_way() -> None:
    rests = []
    for count in range(MOST_UNANSWERED - 1):
        look = proof.unanswered(sent(unanswered=count), 2, "no answer")
        assert look.state is DeliveryState.SENT
        assert look.unanswered == count + 1
        rests.append(look.wait.total_seconds())
    assert rests == [5, 30, 120, 600]
    assert proof.unanswered(sent(unanswered=MOST_UNANSWERED - 1), 2, "no answer").way == 1


def test_a_request_for_commitment_waits_for_its_report() -> None:
    look = proof.asked(sent(looks=1), "1.2.9", timedelta(minutes=10))
    assert (look.state, look.transaction_uid, look.wait, look.looks) == ("SENT", "1.2.9", timedelta(minutes=10), 1)
    assert FIRST_LOOK < SECOND_LOOK
