"""What may follow what in the life of a job, and what an error in a step means."""

from datetime import timedelta
from itertools import product

import pytest

from service.core.errors import Broken, NoRoom, NotAVolume, TryAgain, Unproven, Unsuitable
from service.core.jobs import (
    ACTIVE,
    MOST_ATTEMPTS,
    TRANSITIONS,
    Event,
    State,
    after,
    outcome,
    wait,
)

POSSIBLE = {
    ("QUEUED", "START", "INFERRING"),
    ("QUEUED", "DECLINE", "DECLINED"),
    ("INFERRING", "DONE", "INFERRED"),
    ("INFERRING", "RETRY", "QUEUED"),
    ("INFERRING", "DECLINE", "DECLINED"),
    ("INFERRING", "FAIL", "FAILED"),
    ("INFERRED", "START", "REPORTING"),
    ("INFERRED", "DECLINE", "DECLINED"),
    ("REPORTING", "DONE", "REPORTED"),
    ("REPORTING", "RETRY", "INFERRED"),
    ("REPORTING", "DECLINE", "DECLINED"),
    ("REPORTING", "FAIL", "FAILED"),
    ("REPORTED", "DELIVER", "DELIVERED"),
    ("REPORTED", "DECLINE", "DECLINED"),
    ("REPORTED", "REQUEUE", "QUEUED"),
    ("FAILED", "REQUEUE", "QUEUED"),
    ("DECLINED", "REQUEUE", "QUEUED"),
}


@pytest.mark.parametrize(("state", "event"), list(product(State, Event)))
def test_every_pair_of_state_and_event_is_possible_or_refused(state: State, event: Event) -> None:
    expected = {end for start, happening, end in POSSIBLE if (start, happening) == (state, event)}
    if expected:
        assert {after(state, event)} == expected
        return
    with pytest.raises(Broken, match=f"{event} is not possible for a job that is {state}"):
        after(state, event)


def test_every_active_state_can_be_given_back_to_the_resting_state_it_came_from() -> None:
    for active, resting in ACTIVE.items():
        assert after(active, Event.RETRY) is resting
        assert after(resting, Event.START) is active


def test_no_state_is_a_dead_end_for_a_person_except_delivered() -> None:
    left = {state for state, _ in TRANSITIONS}
    assert set(State) - left == {State.DELIVERED}


@pytest.mark.parametrize(
    ("error", "attempts", "event"),
    [
        pytest.param(TryAgain("disk"), 0, Event.RETRY, id="first failure"),
        pytest.param(TryAgain("disk"), MOST_ATTEMPTS - 1, Event.FAIL, id="last failure"),
        pytest.param(NoRoom("disk"), 50, Event.RETRY, id="no room, for ever"),
        pytest.param(Unsuitable("knee"), 0, Event.DECLINE, id="not for this model"),
        pytest.param(NotAVolume("hole", "a hole"), 0, Event.DECLINE, id="not a volume"),
        pytest.param(Broken("weights"), 0, Event.FAIL, id="broken"),
        pytest.param(Unproven("volume"), 0, Event.FAIL, id="unproven"),
        pytest.param(ZeroDivisionError(), 0, Event.FAIL, id="unknown"),
    ],
)
def test_an_error_decides_what_is_done_next(error: Exception, attempts: int, event: Event) -> None:
    assert outcome(error, attempts) is event


def test_back_off_grows_to_an_hour_and_stays_within_its_jitter() -> None:
    waits = [wait(tries) for tries in range(8)]
    assert waits == sorted(waits)
    assert waits[0] == timedelta(seconds=5)
    assert waits[-1] == timedelta(hours=1)
    assert wait(0, jitter=-1.0) == timedelta(seconds=4)
    assert wait(0, jitter=1.0) == timedelta(seconds=6)
