"""Stage 6, afterwards: what was sent is asked for, until its destination says that it has it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

import structlog

from service.core import proof
from service.core.errors import TryAgain, Unsuitable
from service.core.identity import derived_uid
from service.core.outbox import CommitmentReport, Delivery, DeliveryState
from service.core.proof import Look, Way
from service.edge.carriers import Carrier
from service.edge.commitment_files import forget_report, reports
from service.edge.failpoints import failpoint
from service.edge.ledger import Ledger
from service.edge.spool import Spool

AT_ONCE = 200  # objects in one question

Looks = list[tuple[Delivery, Look]]


@dataclass(frozen=True, slots=True)
class Prover:
    """Asks one destination for what it was sent."""

    name: str
    carrier: Carrier
    ways: tuple[Way, ...]
    patience: timedelta  # for a report on storage commitment
    ledger: Ledger
    clock: Callable[[], datetime]
    jitter: Callable[[], float]

    def tick(self) -> None:
        """Ask for what is due, unless the destination rests."""
        now = self.clock()
        if not self.ledger.circuit(self.name).room(now, AT_ONCE):
            return
        due = sorted(self.ledger.due_proofs(self.name, now, AT_ONCE), key=lambda delivery: delivery.way)
        for way, deliveries in groupby(due, key=lambda delivery: delivery.way):
            self._ask(way, list(deliveries))

    def take(self, report: CommitmentReport) -> bool:
        """What a report on storage commitment says is true from now on; False when nothing waits for it."""
        failpoint("prove.taking")
        waiting = [each for each in self.ledger.of_transaction(report.transaction_uid) if each.destination == self.name]
        self._keep(self._reported(waiting, report))
        return bool(waiting)

    def _ask(self, way: int, deliveries: list[Delivery]) -> None:
        try:
            if self.ways[way : way + 1] == (Way.COMMITMENT,):
                self._ask_commitment(deliveries)
            else:
                self._query(deliveries)
        except Unsuitable as error:
            self._keep([(each, proof.cannot_say(each, len(self.ways), str(error))) for each in deliveries])
        except TryAgain as error:
            jitter = self.jitter()
            self._keep([(each, proof.unanswered(each, len(self.ways), str(error), jitter)) for each in deliveries])

    def _ask_commitment(self, deliveries: list[Delivery]) -> None:
        silent = [each for each in deliveries if each.transaction_uid]
        if silent:
            why = f"no report on storage commitment came within {self.patience}"
            self._keep([(each, proof.cannot_say(each, len(self.ways), why)) for each in silent])
        fresh = [each for each in deliveries if not each.transaction_uid]
        if not fresh:
            return
        transaction_uid = derived_uid(
            "commitment", self.name, self.clock().isoformat(), *(str(each.delivery_id) for each in fresh)
        )
        self._keep([(each, proof.asked(each, transaction_uid, self.patience)) for each in fresh])  # a report is quick
        failpoint("prove.asking")
        report = self.carrier.ask_commitment(transaction_uid, [each.reference for each in fresh])
        failpoint("prove.asked")
        if report:
            self._keep(self._reported(fresh, report))

    def _reported(self, deliveries: Sequence[Delivery], report: CommitmentReport) -> Looks:
        looks: Looks = []
        for each in deliveries:
            uid = each.reference.sop_instance_uid
            if uid in report.held:
                look = proof.found(f"storage commitment {report.transaction_uid}")
            elif uid in report.failed:
                look = proof.missing(each, f"storage commitment failed with reason 0x{report.failed[uid]:04X}")
            else:
                look = proof.cannot_say(each, len(self.ways), "its report on storage commitment does not name it")
            looks.append((each, look))
        return looks

    def _query(self, deliveries: list[Delivery]) -> None:
        held = self.carrier.held([each.reference for each in deliveries])
        failpoint("prove.queried")
        looks: Looks = []
        for each in deliveries:
            is_there = each.reference.sop_instance_uid in held
            look = proof.found(f"found in {self.carrier}") if is_there else proof.missing(each, "a query finds it not")
            looks.append((each, look))
        self._keep(looks)

    def _keep(self, looks: Looks) -> None:
        self.ledger.keep_looks(looks, str(self.carrier), self.clock())
        for delivery, look in looks:
            if look.state is DeliveryState.SENT:
                continue
            log = structlog.get_logger().bind(job=delivery.job_id, destination=self.name, seen=look.seen)
            tell = log.error if look.is_lost else log.info
            tell("delivery", sop_instance=delivery.reference.sop_instance_uid, state=look.state)


def take_reports(spool: Spool, provers: Mapping[str, Sequence[Prover]]) -> None:
    """Take what peers told of storage commitments; `provers` by the AE title of the destination they ask.

    A report is believed of what its teller was asked about alone: any peer may send one.
    """
    for told in reports(spool):
        asked = provers.get(told.calling_ae_title, ())
        if not any(prover.take(told.report) for prover in asked):
            fields = {"transaction": told.report.transaction_uid, "peer": told.calling_ae_title}
            structlog.get_logger().warning("report on no storage commitment that is waited for", **fields)
        forget_report(spool, told)
