"""Stage 6: objects in outbox/ reach each of their destinations, and each attempt leaves its trace."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock

import structlog

from service.core.circuit import Circuit
from service.core.errors import IsocenterError, Unreached, whereabouts
from service.core.jobs import wait
from service.core.outbox import Delivery, DeliveryState, Trouble, Verdict, judge
from service.core.proof import FIRST_LOOK
from service.edge.carriers import Carrier
from service.edge.failpoints import failpoint
from service.edge.ledger import Ledger
from service.edge.spool import Spool

AT_ONCE = 50  # objects in one association
LEASE = timedelta(minutes=15)  # longer than AT_ONCE answers may take
_ROUNDS = 20  # in one tick, so that a node which is to stop need not wait for a backlog


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends to one destination, by one association or several; another one's troubles never reach it."""

    name: str
    carrier: Carrier
    spool: Spool
    ledger: Ledger
    clock: Callable[[], datetime]
    jitter: Callable[[], float]
    associations: int = 1
    at_once: int = AT_ONCE
    is_asked: bool = True  # whether it has what it took; else the status is all there is
    _circuit: Lock = field(default_factory=Lock)

    def tick(self, lane: int = 0) -> None:
        """Send what is due, as much as the destination can be trusted with; `lane` is which of its associations."""
        for _ in range(_ROUNDS):
            if not self._send_some(lane):
                return

    def _send_some(self, lane: int) -> bool:
        """True when there may be more to send."""
        now = self.clock()
        circuit = self.ledger.circuit(self.name)
        if lane >= circuit.associations(self.associations):
            return False
        room = circuit.room(now, self.at_once)
        due = self.ledger.start_deliveries(self.name, now, now + LEASE, room) if room else []
        if not due:
            return False
        failpoint("deliver.started")
        return self._send({self._path(delivery): delivery for delivery in due}, circuit)

    def _send(self, waiting: dict[Path, Delivery], circuit: Circuit) -> bool:
        trouble, seen = Trouble.NONE, ""
        try:
            for path, status in self.carrier.store(list(waiting)):
                failpoint("deliver.answered")
                verdict = judge(status, waiting[path].attempts)
                self._settle(waiting.pop(path), verdict)
                failpoint("deliver.settled")
                if verdict.trouble in {Trouble.NO_ANSWER, Trouble.BUSY}:  # what comes after it is not tried
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
        self._keep(circuit, trouble, seen)
        return trouble is Trouble.NONE

    def _keep(self, before: Circuit, trouble: Trouble, seen: str) -> None:
        """Another association with the same destination may have ended meanwhile: one trouble counts once."""
        with self._circuit:
            now = self.ledger.circuit(self.name)
            if now.failures > before.failures or now.parked:
                return
            circuit = now.after(trouble, seen, self.clock(), self.jitter())
            if circuit != now:
                self.ledger.keep_circuit(self.name, str(self.carrier), circuit, self.clock())
                self._tell(circuit, seen)

    def _tell(self, circuit: Circuit, seen: str) -> None:
        log = structlog.get_logger().bind(destination=self.name, failures=circuit.failures)
        if circuit.parked:
            log.error("destination parked: a person has to look", reason=circuit.parked)
        elif circuit.failures:
            log.warning("destination rests", until=str(circuit.next_at), reason=seen)
        else:
            log.info("destination answers again")

    def _settle(self, delivery: Delivery, verdict: Verdict) -> None:
        now = self.clock()
        rest = wait(delivery.tries, self.jitter())
        if verdict.state is DeliveryState.SENT:
            rest = FIRST_LOOK
            if not self.is_asked:
                verdict = replace(verdict, state=DeliveryState.UNCONFIRMED)
        self.ledger.settle_delivery(delivery, verdict, str(self.carrier), now, now + rest)
        log = structlog.get_logger().bind(job=delivery.job_id, destination=self.name, seen=verdict.seen)
        tell = log.error if verdict.state in {DeliveryState.DEAD, DeliveryState.PARKED} else log.info
        tell("delivery", sop_instance=delivery.reference.sop_instance_uid, state=verdict.state)

    def _path(self, delivery: Delivery) -> Path:
        return self.spool.outbox(delivery.job_id) / f"{delivery.reference.sop_instance_uid}.dcm"
