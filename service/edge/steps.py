"""Steps of rows in the ledger that more than one part of it takes, each inside a transaction of its caller."""

from datetime import datetime
from typing import Any

import sqlalchemy as sql
from sqlalchemy.engine import Connection, Row

from service.core.errors import TryAgain
from service.core.jobs import Event, State, after
from service.edge.tables import events, jobs


def step(connection: Connection, row: Row[Any], event: Event, now: datetime, **changes: Any) -> State:
    """One transition of a job and its event row; the state it ends in."""
    before, reason = State(row.state), changes.pop("reason", "")
    state = after(before, event)
    values = {"state": state, "changed_at": now, "reason": reason, "lease_until": None, "worker": ""} | changes
    if event in {Event.DONE, Event.REQUEUE}:
        values |= {"attempts": 0, "lapses": 0, "next_at": now}
    guard = (jobs.c.job_id == row.job_id, jobs.c.state == before, jobs.c.worker == row.worker)
    if connection.execute(jobs.update().where(*guard).values(values)).rowcount != 1:
        raise TryAgain(f"{row.job_id} was changed by another worker")
    note(connection, now, row.job_id, event, reason, before, state)
    return state


def note(connection: Connection, now: datetime, subject: str, event: str, reason: str, *states: State) -> None:
    """One event row."""
    before, state = states or ("", "")
    connection.execute(
        events.insert().values(at=now, subject=subject, event=event, before=before, after=state, reason=reason)
    )


def upsert(connection: Connection, table: sql.Table, values: dict[str, Any]) -> None:
    """Write a row of a table with one key, be it there or not."""
    (key,) = table.primary_key
    same = key == values[key.name]
    if connection.execute(table.update().where(same).values(values)).rowcount == 0:
        connection.execute(table.insert().values(values))
