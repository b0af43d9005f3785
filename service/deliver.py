"""Stage 6: objects in outbox/ reach each of their destinations, and each attempt leaves its trace."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from service.core.errors import IsocenterError, Unreached, whereabouts
from service.core.jobs import wait
from service.core.outbox import Circuit, Delivery, DeliveryState, Trouble, Verdict, judge
from service.edge.carriers import Carrier
from service.edge.ledger import Ledger
from service.edge.spool import Spool

AT_ONCE = 20  # objects in one association
LEASE = timedelta(minutes=15)  # longer than AT_ONCE answers may take


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends to one destination; another one's troubles never reach it."""

    name: str
    carrier: Carrier
    spool: Spool
    ledger: Ledger
    clock: Callable[[], datetime]
    jitter: Callable[[], float]

    def tick(self) -> None:
        """Send what is due, as much as the destination can be trusted with."""
        now = self.clock()
        circuit = self.ledger.circuit(self.name)
        room = circuit.room(now, AT_ONCE)
        due = self.ledger.start_deliveries(self.name, now, now + LEASE, room) if room else []
        if due:
            self._send({self._path(delivery): delivery for delivery in due}, circuit)

    def _send(self, waiting: dict[Path, Delivery], circuit: Circuit) -> None:
        trouble, seen = Trouble.NONE, ""
        try:
            for path, status in self.carrier.store(list(waiting)):
                verdict = judge(status, waiting[path].attempts)
                self._settle(waiting.pop(path), verdict)
                if verdict.trouble is Trouble.NO_ANSWER:  # what comes after it was not sent
                    trouble, seen = verdict.trouble, verdict.seen
                    break
        except Unreached as error:
            trouble, seen = Trouble(error.trouble), str(error)
        except IsocenterError as error:
            trouble, seen = Trouble.NETWORK, str(error)
        except Exception as error:  # whatever the library raises in mid-send: what is left is sent again
            trouble, seen = Trouble.NO_ANSWER, whereabouts(error)
        if waiting:
            self.ledger.put_back(list(waiting.values()), seen)
        self._keep(circuit, circuit.after(trouble, seen, self.clock(), self.jitter()), seen)

    def _keep(self, before: Circuit, circuit: Circuit, seen: str) -> None:
        if circuit == before:
            return
        self.ledger.keep_circuit(self.name, str(self.carrier), circuit, self.clock())
        log = structlog.get_logger().bind(destination=self.name, failures=circuit.failures)
        if circuit.parked:
            log.error("destination parked: a person has to look", reason=circuit.parked)
        elif circuit.failures:
            log.warning("destination rests", until=str(circuit.next_at), reason=seen)
        else:
            log.info("destination answers again")

    def _settle(self, delivery: Delivery, verdict: Verdict) -> None:
        now = self.clock()
        next_at = now + wait(delivery.tries, self.jitter())
        self.ledger.settle_delivery(delivery, verdict, str(self.carrier), now, next_at)
        log = structlog.get_logger().bind(job=delivery.job_id, destination=self.name, seen=verdict.seen)
        tell = log.error if verdict.state in {DeliveryState.DEAD, DeliveryState.PARKED} else log.info
        tell("delivery", sop_instance=delivery.sop_instance_uid, state=verdict.state)

    def _path(self, delivery: Delivery) -> Path:
        return self.spool.outbox(delivery.job_id) / f"{delivery.sop_instance_uid}.dcm"
