"""The outbox's side of the ledger: every object on its way to every destination, and every attempt at it."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sql
from sqlalchemy.engine import Connection

from service.core.circuit import CLOSED, Circuit
from service.core.errors import Broken
from service.core.outbox import LEFT_TO_A_PERSON, Delivery, DeliveryState, Reference, Verdict
from service.edge.proofs import Proofs, delivery_of, end_job, subject_of
from service.edge.steps import note, upsert
from service.edge.tables import attempts, circuits, deliveries


class Outbox(Proofs):
    """Deliveries, their attempts, and the circuit of each destination."""

    def start_deliveries(self, destination: str, now: datetime, until: datetime, limit: int) -> list[Delivery]:
        """Up to `limit` due deliveries to a destination, leased until `until`: what was never tried comes before what
        was, the newest job first, the objects of a job in their order."""
        due = (
            sql.select(deliveries)
            .where(
                deliveries.c.destination == destination,
                deliveries.c.state == DeliveryState.WAITING,
                deliveries.c.next_at <= now,
            )
            .order_by(deliveries.c.tries > 0, deliveries.c.next_at.desc(), deliveries.c.delivery_id)
            .limit(limit)
        )
        with self._engine.begin() as connection:
            rows = connection.execute(due).all()
            mine = deliveries.c.delivery_id.in_([row.delivery_id for row in rows])
            connection.execute(deliveries.update().where(mine).values(state=DeliveryState.SENDING, lease_until=until))
            return [delivery_of(row) for row in rows]

    def settle_delivery(
        self, delivery: Delivery, verdict: Verdict, peer: str, now: datetime, next_at: datetime
    ) -> None:
        """Record what one try led to; the job is DELIVERED once nothing of it is left to send."""
        values = {
            "state": verdict.state,
            "attempts": delivery.attempts + verdict.counts,
            "tries": delivery.tries + 1,
            "next_at": next_at,
            "changed_at": now,
            "seen": verdict.seen,
            **_UNASKED,
        }
        attempt = {"at": now, "peer": peer, "status": verdict.status, "trouble": verdict.trouble, "seen": verdict.seen}
        mine = (deliveries.c.delivery_id == delivery.delivery_id, deliveries.c.state == DeliveryState.SENDING)
        with self._engine.begin() as connection:
            connection.execute(attempts.insert().values(delivery_id=delivery.delivery_id, **attempt))
            connection.execute(deliveries.update().where(*mine).values(values))
            note(connection, now, subject_of(delivery), verdict.state, verdict.seen)
            end_job(connection, delivery.job_id, now)

    def put_back(self, untried: Sequence[Delivery], seen: str) -> None:
        """Have deliveries wait as they did before they were started: they were not tried."""
        mine = deliveries.c.delivery_id.in_([delivery.delivery_id for delivery in untried])
        waiting = {"state": DeliveryState.WAITING, "seen": seen}
        with self._engine.begin() as connection:
            connection.execute(
                deliveries.update().where(mine, deliveries.c.state == DeliveryState.SENDING).values(waiting)
            )

    def give_deliveries_back(self, now: datetime) -> None:
        """Have everything sent again that a dispatcher was sending when it died; a ledger has one at a time."""
        waiting = {"state": DeliveryState.WAITING, "next_at": now}
        with self._engine.begin() as connection:
            connection.execute(deliveries.update().where(deliveries.c.state == DeliveryState.SENDING).values(waiting))

    def keep_circuit(self, destination: str, configured: str, circuit: Circuit, now: datetime) -> None:
        """Record how a destination fares; a change from or to being parked is an event."""
        before = self.circuit(destination)
        with self._engine.begin() as connection:
            values = {"destination": destination, "configured": configured, **asdict(circuit)}
            upsert(connection, circuits, values)
            if before.parked != circuit.parked:
                note(connection, now, destination, "PARK" if circuit.parked else "UNPARK", circuit.parked)

    def unpark_changed(self, configured: dict[str, str], now: datetime) -> None:
        """Try again every destination that is configured otherwise than it was, and what is parked for it."""
        with self._engine.begin() as connection:
            known = connection.execute(sql.select(circuits.c.destination, circuits.c.configured)).all()
        for row in known:
            if row.destination in configured and configured[row.destination] != row.configured:
                self.keep_circuit(row.destination, configured[row.destination], CLOSED, now)
                self.retry_deliveries(now, destination=row.destination, states=(DeliveryState.PARKED,))

    def release(self, destination: str, now: datetime) -> None:
        """Have a destination that was parked, or rests, tried at once."""
        with self._engine.begin() as connection:
            freed = circuits.update().where(circuits.c.destination == destination)
            connection.execute(freed.values(**asdict(CLOSED)))
            note(connection, now, destination, "UNPARK", "asked for by a person")

    def retry_deliveries(
        self,
        now: datetime,
        *,
        destination: str = "",
        job_id: str = "",
        delivery_id: int | None = None,
        states: Sequence[DeliveryState] = tuple(LEFT_TO_A_PERSON),
    ) -> int:
        """Have what waits for a person tried again with a fresh count, under its old history; how many that are."""
        chosen: list[sql.ColumnElement[bool]] = [deliveries.c.state.in_(states)]
        if destination:
            chosen.append(deliveries.c.destination == destination)
        if job_id:
            chosen.append(deliveries.c.job_id == job_id)
        if delivery_id is not None:
            chosen.append(deliveries.c.delivery_id == delivery_id)
        with self._engine.begin() as connection:
            rows = connection.execute(sql.select(deliveries).where(*chosen)).all()
            for row in rows:
                mine = deliveries.c.delivery_id == row.delivery_id
                connection.execute(deliveries.update().where(mine).values(_anew(now)))
                note(connection, now, subject_of(delivery_of(row)), "RETRY", "asked for by a person or a configuration")
            return len(rows)

    def cancel_delivery(self, delivery_id: int, why: str, now: datetime) -> None:
        """Give a delivery up. Raises Broken when it is under way or ended, or when there is none."""
        row = self.delivery(delivery_id)
        open_ = {DeliveryState.WAITING, *LEFT_TO_A_PERSON}
        mine = (deliveries.c.delivery_id == delivery_id, deliveries.c.state.in_(open_))
        with self._engine.begin() as connection:
            cancelled = deliveries.update().where(*mine).values(state=DeliveryState.CANCELLED, seen=why, changed_at=now)
            if connection.execute(cancelled).rowcount != 1:
                raise Broken(f"delivery {delivery_id} is {row['state']}: only what waits can be cancelled")
            subject = f"{row['job_id']}/{row['sop_instance_uid']}/{row['destination']}"
            note(connection, now, subject, DeliveryState.CANCELLED, why)
            end_job(connection, row["job_id"], now)


def add_delivery(connection: Connection, job_id: str, reference: Reference, destination: str, now: datetime) -> None:
    """An object for a destination; one that is known is sent again."""
    same = (deliveries.c.sop_instance_uid == reference.sop_instance_uid, deliveries.c.destination == destination)
    anew = _anew(now) | asdict(reference) | {"seen": ""}
    if connection.execute(deliveries.update().where(*same).values(anew)).rowcount == 0:
        connection.execute(deliveries.insert().values(job_id=job_id, destination=destination, **anew))


_UNASKED = {"way": 0, "looks": 0, "unanswered": 0, "transaction_uid": ""}


def _anew(now: datetime) -> dict[str, Any]:
    """What a delivery begins with."""
    return {"state": DeliveryState.WAITING, "attempts": 0, "tries": 0, "next_at": now, "changed_at": now, **_UNASKED}
