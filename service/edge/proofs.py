"""The ledger's side of proof: what was sent and not yet proven, and what each look led to."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sql
from sqlalchemy.engine import Connection, Row

from service.core.jobs import Event, State
from service.core.outbox import ARRIVED, ENDED, Delivery, DeliveryState, Reference
from service.core.proof import Look
from service.edge.questions import Questions
from service.edge.steps import note, step
from service.edge.tables import attempts, deliveries, jobs


class Proofs(Questions):
    """Deliveries that a destination answered with success."""

    def due_proofs(self, destination: str, now: datetime, limit: int) -> list[Delivery]:
        """Up to `limit` objects that the destination is to be asked about now."""
        due = (deliveries.c.state == DeliveryState.SENT, deliveries.c.next_at <= now)
        return self._deliveries(*due, deliveries.c.destination == destination, limit=limit)

    def of_transaction(self, transaction_uid: str) -> list[Delivery]:
        """The objects that a storage commitment was asked for, and that are not proven yet."""
        return self._deliveries(
            deliveries.c.transaction_uid == transaction_uid, deliveries.c.state == DeliveryState.SENT
        )

    def arrived(self, destination: str, since: datetime) -> list[Delivery]:
        """The objects that a destination took since then, proven or not."""
        return self._deliveries(
            deliveries.c.destination == destination,
            deliveries.c.state.in_(ARRIVED),
            deliveries.c.changed_at >= since,
        )

    def keep_looks(self, looks: Sequence[tuple[Delivery, Look]], peer: str, now: datetime) -> None:
        """Record what looks led to; a job is DELIVERED once nothing of it is left to send or to prove."""
        with self._engine.begin() as connection:
            for delivery, look in looks:
                _keep_look(connection, delivery, look, peer, now)
            for job_id in {delivery.job_id for delivery, _ in looks}:
                end_job(connection, job_id, now)

    def confirm(self, held: Sequence[Delivery], how: str, now: datetime) -> None:
        """Record that what was unconfirmed is there after all."""
        values = {"state": DeliveryState.COMMITTED, "seen": how}
        with self._engine.begin() as connection:
            for delivery in held:
                mine = (deliveries.c.delivery_id == delivery.delivery_id,)
                unconfirmed = deliveries.c.state == DeliveryState.UNCONFIRMED
                if connection.execute(deliveries.update().where(*mine, unconfirmed).values(values)).rowcount:
                    note(connection, now, subject_of(delivery), DeliveryState.COMMITTED, how)

    def _deliveries(self, *conditions: sql.ColumnElement[bool], limit: int | None = None) -> list[Delivery]:
        wanted = sql.select(deliveries).where(*conditions).order_by(deliveries.c.delivery_id).limit(limit)
        with self._engine.begin() as connection:
            return [delivery_of(row) for row in connection.execute(wanted)]


def _keep_look(connection: Connection, delivery: Delivery, look: Look, peer: str, now: datetime) -> None:
    mine = (deliveries.c.delivery_id == delivery.delivery_id, deliveries.c.state == DeliveryState.SENT)
    values: dict[str, Any] = {name: getattr(look, name) for name in _KEPT} | {
        "next_at": now + look.wait,
        "attempts": delivery.attempts + look.is_lost,
    }
    if look.state is not DeliveryState.SENT:
        values["changed_at"] = now
    if connection.execute(deliveries.update().where(*mine).values(values)).rowcount != 1:
        return  # a report came meanwhile, or a person decided
    attempt = {"at": now, "peer": peer, "status": None, "trouble": look.trouble, "seen": look.seen}
    connection.execute(attempts.insert().values(delivery_id=delivery.delivery_id, **attempt))
    if look.state is not DeliveryState.SENT:
        note(connection, now, subject_of(delivery), look.state, look.seen)


_KEPT = ("state", "seen", "way", "looks", "unanswered", "transaction_uid")


def end_job(connection: Connection, job_id: str, now: datetime) -> None:
    """A job of which nothing is left to send or to prove is DELIVERED."""
    left = sql.select(sql.func.count()).where(deliveries.c.job_id == job_id, deliveries.c.state.not_in(ENDED))
    row = connection.execute(sql.select(jobs).where(jobs.c.job_id == job_id)).one()
    if row.state == State.REPORTED and connection.execute(left).scalar() == 0:
        step(connection, row, Event.DELIVER, now, reason="")


def subject_of(delivery: Delivery) -> str:
    """What events about a delivery are filed under."""
    return f"{delivery.job_id}/{delivery.reference.sop_instance_uid}/{delivery.destination}"


def delivery_of(row: Row[Any]) -> Delivery:
    """The delivery of a row."""
    reference = Reference(**{name: getattr(row, name) for name in Reference.__slots__})
    values = {name: getattr(row, name) for name in Delivery.__slots__ if name != "reference"}
    return Delivery(**values | {"state": DeliveryState(row.state), "reference": reference})
