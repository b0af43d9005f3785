"""Stage 6: objects in outbox/ reach each of their destinations, and each attempt leaves its trace."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from service.core.errors import IsocenterError, whereabouts
from service.core.jobs import Delivery, DeliveryState, Verdict, judge, wait
from service.edge.ledger import Ledger
from service.edge.spool import Spool
from service.edge.storage_scu import Remote, store

AT_ONCE = 20  # objects in one association
LEASE = timedelta(minutes=15)  # longer than AT_ONCE answers may take


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends to one destination; another one's troubles never reach it."""

    name: str
    remote: Remote
    spool: Spool
    ledger: Ledger
    clock: Callable[[], datetime]
    jitter: Callable[[], float]

    def tick(self) -> None:
        """Send what is due."""
        now = self.clock()
        due = self.ledger.start_deliveries(self.name, now, now + LEASE, AT_ONCE)
        waiting = {self._path(delivery): delivery for delivery in due}
        if not waiting:
            return
        try:
            for path, status in store(self.remote, list(waiting)):
                delivery = waiting.pop(path)
                self._settle(delivery, judge(status, delivery.attempts))
        except IsocenterError as error:
            self._give_back(list(waiting.values()), str(error))
        except Exception as error:  # whatever the library raises in mid-send: what is left is sent again
            self._give_back(list(waiting.values()), whereabouts(error))

    def _give_back(self, waiting: Sequence[Delivery], seen: str) -> None:
        for delivery in waiting:
            self._settle(delivery, Verdict(DeliveryState.WAITING, counts=False, seen=seen))

    def _settle(self, delivery: Delivery, verdict: Verdict) -> None:
        now = self.clock()
        self.ledger.settle_delivery(delivery, verdict, now, now + wait(delivery.tries, self.jitter()))
        log = structlog.get_logger().bind(job=delivery.job_id, destination=self.name, seen=verdict.seen)
        log.info("delivery", sop_instance=delivery.sop_instance_uid, state=verdict.state)

    def _path(self, delivery: Delivery) -> Path:
        return self.spool.outbox(delivery.job_id) / f"{delivery.sop_instance_uid}.dcm"
