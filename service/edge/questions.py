"""What can be asked of the ledger: nothing here changes a row."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sql
from sqlalchemy.engine import Connection, Engine, Row

from service.core.circuit import CLOSED, Circuit
from service.core.errors import Broken
from service.core.jobs import Job, State
from service.core.outbox import LEFT_TO_A_PERSON, DeliveryState
from service.core.priors import Result
from service.edge.tables import attempts, circuits, deliveries, events, jobs, recalled, results, series, stacks


class Standing(StrEnum):
    """Whether a stack is still what its Series consists of."""

    STANDS = "STANDS"
    SUPERSEDED = "SUPERSEDED"  # a late instance changed the Series
    REMOVED = "REMOVED"  # its files have left the spool


STANDS = stacks.c.standing == Standing.STANDS


@dataclass(frozen=True, slots=True)
class EndedSeries:
    """A Series all of whose work has ended, as it was when it was closed."""

    series_instance_uid: str
    instance_set: str
    job_ids: tuple[str, ...]
    stack_ids: tuple[str, ...]


class Questions:
    """The readers' side of a ledger."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def closed_series(self) -> dict[str, str]:
        """Series Instance UID -> the instance set it was closed with."""
        with self._engine.begin() as connection:
            rows = connection.execute(sql.select(series.c.series_instance_uid, series.c.instance_set))
            return {row.series_instance_uid: row.instance_set for row in rows}

    def job(self, job_id: str) -> Job:
        """A job by its id or the beginning of it. Raises Broken when there is none, or more than one."""
        with self._engine.begin() as connection:
            found = connection.execute(sql.select(jobs).where(jobs.c.job_id.startswith(job_id, autoescape=True))).all()
        if len(found) != 1:
            raise Broken(f"{len(found) or 'no'} jobs begin with {job_id!r}: `isocenter jobs` lists them all")
        return job_of(found[0], State(found[0].state))

    def ended_series(self, before: datetime) -> list[EndedSeries]:
        """Every Series closed before then, all of whose stacks are decided and all of whose jobs ended before then."""
        any_job, any_stack = jobs.alias(), stacks.alias()
        ended = sql.and_(any_job.c.state.in_([State.DELIVERED, State.DECLINED]), any_job.c.changed_at < before)
        busy = sql.exists().where(any_job.c.series_instance_uid == series.c.series_instance_uid, sql.not_(ended))
        here = sql.exists().where(
            any_stack.c.series_instance_uid == series.c.series_instance_uid, any_stack.c.standing != Standing.REMOVED
        )
        open_ = sql.exists().where(
            any_stack.c.series_instance_uid == series.c.series_instance_uid,
            any_stack.c.standing == Standing.STANDS,
            any_stack.c.decision == "",
        )
        old = sql.select(series.c.series_instance_uid, series.c.instance_set).where(
            series.c.closed_at < before, here, sql.not_(busy), sql.not_(open_)
        )
        with self._engine.begin() as connection:
            return [
                EndedSeries(
                    uid, instances, _ids(connection, jobs.c.job_id, uid), _ids(connection, stacks.c.stack_id, uid)
                )
                for uid, instances in connection.execute(old).all()
            ]

    def volumes(self) -> dict[str, str]:
        """Stack id -> Series Instance UID of every stack that is a volume and still stands."""
        return self._standing(stacks.c.reason == "")

    def undecided(self) -> dict[str, str]:
        """The volumes that routing has not seen, as in `volumes`."""
        return self._standing(stacks.c.reason == "", stacks.c.decision == "")

    def undecided_refusals(self) -> dict[str, str]:
        """The parts that are no volume and that routing has not seen, as in `volumes`."""
        return self._standing(stacks.c.reason != "", stacks.c.decision == "")

    def _standing(self, *conditions: sql.ColumnElement[bool]) -> dict[str, str]:
        wanted = sql.select(stacks.c.stack_id, stacks.c.series_instance_uid).where(STANDS, *conditions)
        with self._engine.begin() as connection:
            rows = connection.execute(wanted)
            return {row.stack_id: row.series_instance_uid for row in rows}

    def declined(self, stack_id: str) -> dict[str, str]:
        """Job id -> reason of the jobs whose model declined the stack."""
        theirs = (jobs.c.stack_id == stack_id, jobs.c.state == State.DECLINED, jobs.c.notice.is_(None))
        rows = self._plain(sql.select(jobs.c.job_id, jobs.c.reason).where(*theirs))
        return {row["job_id"]: row["reason"] for row in rows}

    def results_of(self, patient: str, model: str) -> list[Result]:
        """What a model measured of a patient, in stacks that no late instance changed; by digest of the patient.

        Behind them what reports of other nodes say.
        """
        found = results.join(jobs, results.c.job_id == jobs.c.job_id).join(stacks, jobs.c.stack_id == stacks.c.stack_id)
        theirs = (results.c.patient == patient, results.c.model == model, stacks.c.standing != Standing.SUPERSEDED)
        wanted = sql.select(results.c.result).select_from(found).where(*theirs).order_by(results.c.job_id)
        told = (recalled.c.patient == patient, recalled.c.model == model)
        others = recalled.c.job_id.not_in(sql.select(results.c.job_id))
        elsewhere = sql.select(recalled.c.result).where(*told, others).order_by(recalled.c.job_id)
        return [row["result"] for row in (*self._plain(wanted), *self._plain(elsewhere))]

    def has_job(self, job_id: str) -> bool:
        """True when there is a job of exactly this id."""
        return bool(self._plain(sql.select(jobs.c.job_id).where(jobs.c.job_id == job_id)))

    def models_at_work(self, series_instance_uid: str) -> set[str]:
        """The models that run, ran or will run on a stack that the Series consists of."""
        mine = (jobs.c.series_instance_uid == series_instance_uid, STANDS)
        runs = (jobs.c.state != State.DECLINED, jobs.c.notice.is_(None))
        both = jobs.join(stacks, jobs.c.stack_id == stacks.c.stack_id)
        rows = self._plain(sql.select(jobs.c.model).select_from(both).where(*mine, *runs))
        return {row["model"] for row in rows}

    def has_reopened(self) -> bool:
        """True while a Series waits to be assembled again."""
        with self._engine.begin() as connection:
            return (
                connection.execute(sql.select(series.c.instance_set).where(series.c.instance_set == "")).first()
                is not None
            )

    def circuit(self, destination: str) -> Circuit:
        """How a destination fares."""
        wanted = sql.select(circuits).where(circuits.c.destination == destination)
        row = next(iter(self._plain(wanted)), None)
        return Circuit(**{name: row[name] for name in Circuit.__slots__}) if row else CLOSED

    def deliveries_where(self, *, destination: str = "", state: str = "") -> list[dict[str, Any]]:
        """The deliveries to a destination, in a state, oldest first; all of them where neither is named."""
        wanted = sql.select(deliveries).order_by(deliveries.c.delivery_id)
        if destination:
            wanted = wanted.where(deliveries.c.destination == destination)
        return self._plain(wanted.where(deliveries.c.state == state) if state else wanted)

    def delivery(self, delivery_id: int) -> dict[str, Any]:
        """One delivery. Raises Broken when there is none of that number."""
        for row in self._plain(sql.select(deliveries).where(deliveries.c.delivery_id == delivery_id)):
            return row
        raise Broken(f"there is no delivery {delivery_id}: `isocenter outbox list` shows them all")

    def attempts_of(self, delivery_id: int) -> list[dict[str, Any]]:
        """Every attempt at a delivery, oldest first."""
        mine = attempts.c.delivery_id == delivery_id
        return self._plain(sql.select(attempts).where(mine).order_by(attempts.c.attempt_id))

    def dead_deliveries(self, job_id: str) -> list[str]:
        """SOP Instance UIDs of a job's objects that a destination did not take and that wait for a person."""
        dead = (deliveries.c.job_id == job_id, deliveries.c.state.in_(LEFT_TO_A_PERSON))
        with self._engine.begin() as connection:
            return list(connection.execute(sql.select(deliveries.c.sop_instance_uid).where(*dead)).scalars())

    def waiting_for(self) -> set[str]:
        """The destinations that something waits for."""
        wanted = sql.select(deliveries.c.destination).where(deliveries.c.state == DeliveryState.WAITING).distinct()
        return {row["destination"] for row in self._plain(wanted)}

    def rows(self, table: sql.Table, *, newest: int = 1000) -> list[dict[str, Any]]:
        """The newest rows of one table, oldest of them first, as plain values."""
        key = next(iter(table.primary_key))
        order = next(table.c[name] for name in ("closed_at", "created_at", key.name) if name in table.c)
        wanted = sql.select(table).order_by(order.desc(), key.desc()).limit(newest)
        return self._plain(wanted)[::-1]

    def counts(self, table: sql.Table) -> dict[str, int]:
        """State -> how many rows of jobs or deliveries are in it."""
        wanted = sql.select(table.c.state, sql.func.count().label("rows")).group_by(table.c.state)
        return {row["state"]: row["rows"] for row in self._plain(wanted)}

    def stacks_of(self, series_instance_uids: Sequence[str]) -> list[dict[str, Any]]:
        """The stacks and refusals that the Series consist of."""
        mine = stacks.c.series_instance_uid.in_(series_instance_uids)
        return self._plain(sql.select(stacks).where(mine, stacks.c.standing != Standing.SUPERSEDED))

    def events_of(self, subject: str) -> list[dict[str, Any]]:
        """What happened to a Series, or to a job and its deliveries, oldest first."""
        about = sql.or_(events.c.subject == subject, events.c.subject.startswith(f"{subject}/", autoescape=True))
        return self._plain(sql.select(events).where(about).order_by(events.c.event_id))

    def events_after(self, event_id: int) -> list[dict[str, Any]]:
        """What happened after an event, oldest first."""
        return self._plain(sql.select(events).where(events.c.event_id > event_id).order_by(events.c.event_id))

    def _plain(self, wanted: sql.Select[Any]) -> list[dict[str, Any]]:
        with self._engine.begin() as connection:
            return [dict(row) for row in connection.execute(wanted).mappings()]


def _ids(connection: Connection, column: sql.Column[str], series_instance_uid: str) -> tuple[str, ...]:
    mine = column.table.c.series_instance_uid == series_instance_uid
    return tuple(connection.execute(sql.select(column).where(mine)).scalars())


def job_of(row: Row[Any], state: State) -> Job:
    """The job of a row, in that state."""
    values = {name: getattr(row, name) for name in Job.__slots__}
    return Job(**values | {"destinations": tuple(json.loads(row.destinations)), "state": state})
