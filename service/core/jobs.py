"""The life of a job and of a delivery: closed tables of what may follow what."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from service.core.errors import Broken, NoRoom, TryAgain, Unsuitable
from service.core.observations import Observation
from service.core.priors import Prior
from service.core.refusals import Notice, together


class State(StrEnum):
    """A resting state is named after what is on disk, an active one after what is being done."""

    QUEUED = "QUEUED"  # the stack lies in the spool
    INFERRING = "INFERRING"
    INFERRED = "INFERRED"  # findings lie in work/, or there are none to make: the job is a notice
    REPORTING = "REPORTING"
    REPORTED = "REPORTED"  # verified objects lie in outbox/
    DELIVERED = "DELIVERED"  # every destination has every object
    DECLINED = "DECLINED"  # the input is not for this model
    FAILED = "FAILED"  # a person has to look


class Event(StrEnum):
    """What happens to a job."""

    START = "START"
    DONE = "DONE"
    RETRY = "RETRY"  # the step failed and may succeed later, or its lease expired
    DECLINE = "DECLINE"
    FAIL = "FAIL"
    DELIVER = "DELIVER"
    REQUEUE = "REQUEUE"  # a person asked for it


ACTIVE = {State.INFERRING: State.QUEUED, State.REPORTING: State.INFERRED}  # active -> what RETRY goes back to

TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.QUEUED, Event.START): State.INFERRING,
    (State.QUEUED, Event.DECLINE): State.DECLINED,  # a late instance superseded its stack
    (State.INFERRING, Event.DONE): State.INFERRED,
    (State.INFERRING, Event.RETRY): State.QUEUED,
    (State.INFERRING, Event.DECLINE): State.DECLINED,
    (State.INFERRING, Event.FAIL): State.FAILED,
    (State.INFERRED, Event.START): State.REPORTING,
    (State.INFERRED, Event.DECLINE): State.DECLINED,
    (State.REPORTING, Event.DONE): State.REPORTED,
    (State.REPORTING, Event.RETRY): State.INFERRED,
    (State.REPORTING, Event.DECLINE): State.DECLINED,
    (State.REPORTING, Event.FAIL): State.FAILED,
    (State.REPORTED, Event.DELIVER): State.DELIVERED,
    (State.REPORTED, Event.DECLINE): State.DECLINED,  # a notice: a late instance superseded its stack
    (State.REPORTED, Event.REQUEUE): State.QUEUED,  # its objects are gone from outbox/
    (State.FAILED, Event.REQUEUE): State.QUEUED,
    (State.DECLINED, Event.REQUEUE): State.QUEUED,
}


def after(state: State, event: Event) -> State:
    """The state that follows. Raises Broken when the table has no such step."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise Broken(f"{event} is not possible for a job that is {state}") from None


MOST_ATTEMPTS = 3  # of one step of a job
MOST_LAPSES = 5  # leases that expired: a job that takes its worker down each time is given up


def outcome(error: Exception, attempts: int) -> Event:
    """What an error in a step means for its job; `attempts` are those before this one. Unknown means FAIL, visibly."""
    if isinstance(error, Unsuitable):
        return Event.DECLINE
    if isinstance(error, NoRoom) or (isinstance(error, TryAgain) and attempts + 1 < MOST_ATTEMPTS):
        return Event.RETRY
    return Event.FAIL


@dataclass(frozen=True, slots=True)
class Job:
    """One model version's work on one stack, or the notice that there was none."""

    job_id: str
    stack_id: str
    series_instance_uid: str
    study_instance_uid: str
    model: str
    version: str
    rule: str
    destinations: tuple[str, ...]
    state: State
    attempts: int  # of the step at hand that failed
    created_at: datetime
    notice: Notice | None = None  # None: the model is to run
    prior: Prior | None = None  # None: no earlier result was known when it was planned
    observed: tuple[Observation, ...] = ()  # what the model is told beside the stack


def distinct(wanted: Iterable[Job]) -> list[Job]:
    """Several rules for one model make one job, whose results go to the destinations of all of them."""
    by_id: dict[str, Job] = {}
    for job in wanted:
        known = by_id.get(job.job_id)
        by_id[job.job_id] = _joined(known, job) if known else job
    return list(by_id.values())


def _joined(known: Job, job: Job) -> Job:
    notice = known.notice
    if notice and job.notice:
        notice = replace(notice, say=together(notice.say, job.notice.say))
    return replace(known, destinations=tuple(dict.fromkeys((*known.destinations, *job.destinations))), notice=notice)


_WAITS = (5, 30, 120, 600, 1800)
_LONGEST_WAIT = 3600


def wait(attempts: int, jitter: float = 0.0) -> timedelta:
    """Back-off before attempt number `attempts` + 1, spread by `jitter` in [-1, 1] times 20 %."""
    seconds = _WAITS[attempts] if attempts < len(_WAITS) else _LONGEST_WAIT
    return timedelta(seconds=seconds * (1 + 0.2 * jitter))
