"""The ledger's recalled results: read from reports of other nodes, and which archives were asked for them."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sql
from sqlalchemy.engine import Connection

from service.core.priors import Result
from service.core.recalling import Recall
from service.edge.questions import Questions
from service.edge.steps import note
from service.edge.tables import recalled, recalls, results


class Recalled(Questions):
    """What reports say that earlier studies measured. Every method is one transaction."""

    def recall(self, recall_id: str) -> Recall | None:
        """What became of a question to an archive; None where it was not put yet."""
        rows = self._plain(sql.select(recalls).where(recalls.c.recall_id == recall_id))
        return next((Recall(row["asked_at"], row["ended_at"] is not None, row["why_not"]) for row in rows), None)

    def begin_recall(self, recall_id: str, now: datetime) -> None:
        """Record that a question is put."""
        with self._engine.begin() as connection:
            connection.execute(recalls.insert().values(recall_id=recall_id, asked_at=now, why_not=""))

    def end_recall(self, recall_id: str, found: Sequence[Result], why_not: str, now: datetime) -> None:
        """Record what became of a question, with the results that it brought: it is not put again."""
        with self._engine.begin() as connection:
            for result in found:
                _keep(connection, result, now)
            mine = recalls.c.recall_id == recall_id
            connection.execute(recalls.update().where(mine).values(ended_at=now, why_not=why_not))

    def keep_recalled(self, found: Sequence[Result], now: datetime) -> int:
        """Keep results that were read from reports; returns how many were not known."""
        with self._engine.begin() as connection:
            return sum([_keep(connection, result, now) for result in found])


def _keep(connection: Connection, result: Result, now: datetime) -> bool:
    """False when the ledger has what that job measured: what was known first stays as it is."""
    for table in (results, recalled):
        if connection.execute(sql.select(table.c.job_id).where(table.c.job_id == result.job_id)).first():
            return False
    whose = {"job_id": result.job_id, "patient": result.subject.patient, "model": result.model}
    connection.execute(recalled.insert().values(**whose, result=result, recorded_at=now))
    note(connection, now, result.job_id, "RECALL", f"from the report {result.report}")
    return True
