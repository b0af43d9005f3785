"""The ledger's observations: who knows what of which patient; a new one has the patient's stacks routed again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sql
from sqlalchemy.engine import Connection

from service.core.observations import Observation, observation_of
from service.edge.questions import STANDS, Questions
from service.edge.steps import note, upsert
from service.edge.tables import observations, series, stacks


class Observed(Questions):
    """What was observed of patients. Every method is one transaction."""

    def observe(self, made: Sequence[Observation], now: datetime) -> int:
        """Keep observations, and have the stacks of their patients decided again; returns how many are new or changed.

        What is known already changes nothing.
        """
        with self._engine.begin() as connection:
            return sum([self._observe(connection, each, now) for each in made])

    def observations_for(self, patient: str, study_instance_uid: str) -> tuple[Observation, ...]:
        """What is known of a patient (a digest; empty where the header names nobody) or of a study, oldest first."""
        wanted = sql.select(observations).where(_of(observations.c, patient, study_instance_uid))
        order = (observations.c.recorded_at, observations.c.observation_id)
        with self._engine.begin() as connection:
            return tuple(observation_of(dict(row)) for row in connection.execute(wanted.order_by(*order)).mappings())

    def _observe(self, connection: Connection, made: Observation, now: datetime) -> bool:
        values = _values(made)
        same = sql.select(observations.c.value).where(observations.c.observation_id == made.observation_id)
        if connection.execute(same).scalar() == values["value"]:
            return False
        upsert(connection, observations, values | {"recorded_at": now})
        theirs = sql.select(series.c.series_instance_uid).where(_of(series.c, made.patient, made.study_instance_uid))
        again = stacks.c.series_instance_uid.in_(theirs)
        connection.execute(stacks.update().where(STANDS, again).values(decision=""))
        note(connection, now, made.observation_id, "OBSERVE", f"{made.quantity} of {made.measured_on}")
        return True


def _of(columns: Any, patient: str, study_instance_uid: str) -> sql.ColumnElement[bool]:
    """The rows of a patient, or of a study."""
    return sql.or_(
        sql.and_(columns.patient != "", columns.patient == patient),
        sql.and_(columns.study_instance_uid != "", columns.study_instance_uid == study_instance_uid),
    )


def _values(made: Observation) -> dict[str, Any]:
    return {
        "observation_id": made.observation_id,
        "patient": made.patient,
        "study_instance_uid": made.study_instance_uid,
        "quantity": made.quantity.value,
        "value": str(made.value),
        "measured_on": made.measured_on.isoformat(),
        "source": made.source,
        "person": made.person,
    }
