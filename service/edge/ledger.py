"""The ledger: every decision, in SQLite (or PostgreSQL by URL), one guarded statement per change.

Lose it and compute is lost, not data: everything in it is decided again from the spool.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sql
from sqlalchemy.engine import Connection, Row

from service.core.errors import Broken, TryAgain
from service.core.jobs import ACTIVE, MOST_LAPSES, Event, Job, State, wait
from service.core.outbox import DeliveryState, Reference
from service.core.priors import Result
from service.edge.database import connect, migrate
from service.edge.observed import Observed
from service.edge.outbox import Outbox, add_delivery
from service.edge.questions import STANDS, Standing, job_of
from service.edge.recalled import Recalled
from service.edge.steps import note, step, upsert
from service.edge.tables import deliveries, jobs, results, series, stacks

_SUPERSEDED = "a later arrival changed the stack: a new job has it"
_TOLD_ANEW = "what is known of the patient changed: a new job has it"
_UNSENT = deliveries.c.state.in_([DeliveryState.WAITING, DeliveryState.PARKED, DeliveryState.DEAD])


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """A Series as it was closed."""

    series_instance_uid: str
    study_instance_uid: str
    modality: str
    description: str
    instances: int
    instance_set: str
    last_at: datetime
    evidence: str
    patient: str = ""  # a digest; empty where the header names nobody


@dataclass(frozen=True, slots=True)
class StackRow:
    """A part of a Series: its geometry in words, or the reason it has none."""

    stack_id: str
    series_instance_uid: str
    instances: int
    split_by: str
    geometry: str
    reason: str


class Ledger(Observed, Recalled, Outbox):
    """One database. Every method is one transaction."""

    def __init__(self, url: str) -> None:
        super().__init__(connect(url))

    def migrate(self) -> None:
        """Bring the schema up to date."""
        migrate(self._engine)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def close_series(self, closed: SeriesRow, parts: Sequence[StackRow], now: datetime) -> None:
        """Record a Series and its parts; parts of an earlier closing that are no more are superseded."""
        uid = closed.series_instance_uid
        values = {name: getattr(closed, name) for name in SeriesRow.__slots__} | {"closed_at": now}
        with self._engine.begin() as connection:
            upsert(connection, series, values)
            connection.execute(
                stacks.update().where(stacks.c.series_instance_uid == uid).values(standing=Standing.SUPERSEDED)
            )
            for part in parts:
                self._keep_part(connection, part)
            note(connection, now, uid, "CLOSE", closed.evidence)
            self._decline_superseded(connection, uid, now)

    def _keep_part(self, connection: Connection, part: StackRow) -> None:
        values: dict[str, Any] = {name: getattr(part, name) for name in StackRow.__slots__} | {
            "standing": Standing.STANDS
        }
        known = connection.execute(sql.select(stacks.c.decision).where(stacks.c.stack_id == part.stack_id)).scalar()
        upsert(connection, stacks, values | {"decision": known or ""})

    def _decline_superseded(self, connection: Connection, series_instance_uid: str, now: datetime) -> None:
        old = sql.select(stacks.c.stack_id).where(
            stacks.c.series_instance_uid == series_instance_uid, stacks.c.standing == Standing.SUPERSEDED
        )
        _decline_resting(connection, jobs.c.stack_id.in_(old), now, _SUPERSEDED)

    def forget_files(self, series_instance_uid: str) -> None:
        """Record that a Series has left the spool: nothing of it is routed again."""
        with self._engine.begin() as connection:
            mine = stacks.c.series_instance_uid == series_instance_uid
            connection.execute(stacks.update().where(mine).values(standing=Standing.REMOVED))

    def reopen_series(self, series_instance_uid: str) -> None:
        """Have a Series assembled again from what lies in the spool."""
        with self._engine.begin() as connection:
            same = series.c.series_instance_uid == series_instance_uid
            connection.execute(series.update().where(same).values(instance_set=""))

    def forget_decisions(self) -> None:
        """Have every stack routed again: the recovery procedure, and how a changed rules.yaml takes effect."""
        with self._engine.begin() as connection:
            connection.execute(stacks.update().where(STANDS).values(decision=""))

    def decide(self, stack_id: str, decision: str, wanted: Sequence[Job]) -> None:
        """Record routing's decision, and take in the jobs that are not there yet."""
        with self._engine.begin() as connection:
            connection.execute(stacks.update().where(stacks.c.stack_id == stack_id).values(decision=decision))
            for job in wanted:
                known = connection.execute(sql.select(jobs.c.state).where(jobs.c.job_id == job.job_id)).scalar()
                if known is None:
                    connection.execute(jobs.insert().values(_job_values(job)))
                    said = f", not analysed because {job.notice.why}" if job.notice else ""
                    note(connection, job.created_at, job.job_id, "QUEUE", f"rule {job.rule}{said}")
                if known is None and job.observed:  # what it was told before, or that it was not told enough
                    others = (jobs.c.stack_id == stack_id, jobs.c.model == job.model, jobs.c.job_id != job.job_id)
                    _decline_resting(connection, sql.and_(*others), job.created_at, _TOLD_ANEW)

    def claim(self, state: State, worker: str, now: datetime, until: datetime) -> Job | None:
        """The oldest due job in `state`, started and leased to `worker`; None when there is none."""
        due = (
            sql.select(jobs)
            .where(jobs.c.state == state, jobs.c.next_at <= now)
            .order_by(jobs.c.next_at, jobs.c.created_at)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        with self._engine.begin() as connection:
            row = connection.execute(due).first()
            if row is None:
                return None
            started = step(connection, row, Event.START, now, worker=worker, lease_until=until)
            return job_of(row, started)

    def renew(self, job: Job, worker: str, until: datetime) -> bool:
        """Prolong a lease; False when it was lost."""
        mine = (jobs.c.job_id == job.job_id, jobs.c.state == job.state, jobs.c.worker == worker)
        with self._engine.begin() as connection:
            return connection.execute(jobs.update().where(*mine).values(lease_until=until)).rowcount == 1

    def settle(self, job: Job, worker: str, event: Event, now: datetime, reason: str = "") -> None:
        """End a started step. Raises TryAgain when the lease was lost: another worker has the job."""
        with self._engine.begin() as connection:
            self._settle(connection, job, worker, event, now, reason)

    def retry(self, job: Job, worker: str, now: datetime, next_at: datetime, reason: str, *, counts: bool) -> None:
        """Give a started step back, to be due at `next_at`. Raises TryAgain as `settle`."""
        with self._engine.begin() as connection:
            self._settle(connection, job, worker, Event.RETRY, now, reason)
            values = {"next_at": next_at, "attempts": job.attempts + counts}
            connection.execute(jobs.update().where(jobs.c.job_id == job.job_id).values(values))

    def report(
        self,
        job: Job,
        worker: str,
        plan: Mapping[str, Sequence[Reference]],
        now: datetime,
        result: Result | None = None,
    ) -> None:
        """End REPORTING, with one delivery per object and destination as planned. Raises TryAgain as `settle`.

        `result` is what later studies of the patient are compared with.
        """
        with self._engine.begin() as connection:
            if self._settle(connection, job, worker, Event.DONE, now, "") is not State.REPORTED:
                return
            if result:
                kept = {"job_id": job.job_id, "patient": result.subject.patient, "model": job.model, "result": result}
                upsert(connection, results, kept)
            for destination, objects in plan.items():
                for reference in objects:
                    add_delivery(connection, job.job_id, reference, destination, now)

    def _settle(self, connection: Connection, job: Job, worker: str, event: Event, now: datetime, reason: str) -> State:
        row = connection.execute(sql.select(jobs).where(jobs.c.job_id == job.job_id)).one()
        if row.state != job.state or row.worker != worker:
            raise TryAgain(f"the lease of {job.job_id} was lost: it is {row.state}")
        standing = sql.select(stacks.c.standing).where(stacks.c.stack_id == job.stack_id)
        if event is Event.DONE and connection.execute(standing).scalar() == Standing.SUPERSEDED:
            return step(connection, row, Event.DECLINE, now, reason=_SUPERSEDED)
        if event is Event.DECLINE:  # routing says why not, where a rule wants that
            connection.execute(stacks.update().where(stacks.c.stack_id == job.stack_id).values(decision=""))
        return step(connection, row, event, now, reason=reason)

    def expire_leases(self, now: datetime) -> list[str]:
        """Give back every job and delivery whose holder is gone; returns the jobs. Its fifth lapse is a job's end."""
        lapsed = sql.select(jobs).where(jobs.c.state.in_(list(ACTIVE)), jobs.c.lease_until < now)
        sending = (deliveries.c.state == DeliveryState.SENDING, deliveries.c.lease_until < now)
        with self._engine.begin() as connection:
            rows = connection.execute(lapsed).all()
            for row in rows:
                _lapse(connection, row, now)
            connection.execute(deliveries.update().where(*sending).values(state=DeliveryState.WAITING, next_at=now))
            return [row.job_id for row in rows]

    def requeue(self, job_id: str, now: datetime) -> State:
        """Start a failed, declined or reported job again. Raises Broken for any other, or when there is none."""
        with self._engine.begin() as connection:
            row = connection.execute(sql.select(jobs).where(jobs.c.job_id == job_id)).first()
            if row is None:
                raise Broken(f"there is no job {job_id}: `isocenter jobs` lists them")
            return step(connection, row, Event.REQUEUE, now, reason="")


@contextmanager
def opened(url: str) -> Iterator[Ledger]:
    """A ledger with an up-to-date schema."""
    ledger = Ledger(url)
    try:
        ledger.migrate()
        yield ledger
    finally:
        ledger.close()


def _decline_resting(connection: Connection, which: sql.ColumnElement[bool], now: datetime, reason: str) -> None:
    """Decline those of the jobs that nobody works on, and notices that were not sent."""
    unsent = sql.and_(jobs.c.notice.is_not(None), jobs.c.state == State.REPORTED)
    resting = sql.or_(jobs.c.state.in_([State.QUEUED, State.INFERRED]), unsent)
    for row in connection.execute(sql.select(jobs).where(which, resting)).all():
        step(connection, row, Event.DECLINE, now, reason=reason)
        connection.execute(deliveries.delete().where(deliveries.c.job_id == row.job_id, _UNSENT))


def _lapse(connection: Connection, row: Row[Any], now: datetime) -> None:
    """Give back a job whose lease expired; the one that outlives too many is for a person."""
    lapses = row.lapses + 1
    if lapses >= MOST_LAPSES:
        step(connection, row, Event.FAIL, now, reason=f"its worker died {lapses} times while it ran")
        return
    next_at = now if lapses == 1 else now + wait(lapses)
    step(connection, row, Event.RETRY, now, reason="its lease expired", lapses=lapses, next_at=next_at)


def _job_values(job: Job) -> dict[str, Any]:
    values = {name: getattr(job, name) for name in Job.__slots__}
    return values | {
        "destinations": json.dumps(job.destinations),
        "reason": "",
        "worker": "",
        "lapses": 0,
        "next_at": job.created_at,
        "changed_at": job.created_at,
    }
