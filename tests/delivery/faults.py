"""A thousand results for an archive behind a link that breaks half of all associations: what arrives, and how often.

`python -m tests.delivery.faults --results 1000 --broken 0.5 --lost 0.05 --seed 1`: Orthanc is the archive, and loses a
share of what it has answered with success. Each association carries one object, so that a share of the associations is
a share of the attempts. Time is simulated: back-off costs none of it.
"""

import argparse
import json
import logging
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

import structlog

from service.commands.archive import Orthanc, orthanc, orthanc_program
from service.core.proof import Way
from service.deliver import Sender
from service.edge.carriers import DicomPeer
from service.edge.dialing import Deadlines, Remote
from service.edge.ledger import Ledger, opened
from service.edge.spool import Spool
from service.edge.tables import attempts, deliveries
from service.prove import Prover
from tests.delivery.backlog import fill
from tests.delivery.proxy import Action, FaultProxy, drawn, proxied
from tests.delivery.stage import Clock
from tests.node import configure

_LONGEST = 6_000  # bytes of an association after which it breaks, at most: the smallest object has more
_MOST_TURNS = 200_000
_DEADLINES = Deadlines(connect_seconds=2, negotiation_seconds=2, stall_seconds=2, release_seconds=1)


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of a run."""

    results: int
    seed: int
    associations: int
    broken: int
    attempts: int  # to send an object
    success_answered: int
    lost_by_the_archive: int
    in_the_archive: int
    missing: int
    duplicates: int
    states: dict[str, int]
    simulated_hours: float
    seconds: float


class Losing:
    """Has an archive lose a share of its instances, each once at most, just after it took them."""

    def __init__(self, archive: Orthanc, share: float, seed: int) -> None:
        self._archive, self._share, self._dice = archive, share, Random(seed)
        self._seen: set[str] = set()
        self.lost = 0

    def strike(self) -> None:
        """Look at what came since the last time."""
        for key in sorted(set(self._archive.ask("/instances")) - self._seen):
            self._seen.add(key)
            if self._dice.random() < self._share:
                self._archive.delete(f"/instances/{key}")
                self.lost += 1


def run(folder: Path, archive: Orthanc, results: int, broken: float, lost: float, seed: int) -> Figures:
    """Deliver until nothing is left to do."""
    began, clock = time.monotonic(), Clock()
    settings = configure(folder / "config", archive.port, [])
    uids = fill(settings, results, seed=seed, at=clock())
    losing = Losing(archive, lost, seed)
    with (
        opened(settings.ledger_url) as ledger,
        proxied(archive.port, drawn(seed, 20 * results, broken, _LONGEST)) as proxy,
    ):
        _deliver(ledger, Spool(settings.spool), clock, proxy, losing.strike)
        kept = Counter(str(each.SOPInstanceUID) for each in archive.datasets())
        rows = ledger.rows(deliveries, newest=results)
        sent = [row for row in ledger.rows(attempts, newest=100 * results) if "0x0000" in row["seen"]]
        return Figures(
            results=results,
            seed=seed,
            associations=len(proxy.suffered),
            broken=sum(fault.action is not Action.PASS for fault in proxy.suffered),
            attempts=sum(row["tries"] for row in rows),
            success_answered=len(sent),
            lost_by_the_archive=losing.lost,
            in_the_archive=len(kept),
            missing=len(set(uids) - kept.keys()),
            duplicates=kept.total() - len(kept),
            states=dict(Counter(str(row["state"]) for row in rows)),
            simulated_hours=round((clock.moment - Clock().moment) / timedelta(hours=1), 1),
            seconds=round(time.monotonic() - began, 1),
        )


def _deliver(ledger: Ledger, spool: Spool, clock: Clock, proxy: FaultProxy, strike: Callable[[], None]) -> None:
    dice = Random(0)
    remote = Remote("ISOCENTER", "ARCHIVE", "127.0.0.1", proxy.port, answer_seconds=5)
    carrier = DicomPeer(remote, _DEADLINES)
    common = (ledger, clock, lambda: dice.uniform(-1, 1))
    sender = Sender("pacs", carrier, spool, *common, at_once=1)
    prover = Prover("pacs", carrier, (Way.QUERY,), timedelta(minutes=10), *common)
    for _ in range(_MOST_TURNS):
        sender.tick()
        strike()
        prover.tick()
        if ledger.counts(deliveries).keys() <= {"COMMITTED", "DEAD", "UNCONFIRMED", "PARKED"}:
            return
        clock.moment += timedelta(seconds=5)


def main() -> None:
    """Print the figures as JSON; the exit code is 1 when anything is missing, double or not proven."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=int, default=1000)
    parser.add_argument("--broken", type=float, default=0.5, help="share of the associations that break")
    parser.add_argument("--lost", type=float, default=0.05, help="share of what the archive took that it then loses")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    program = orthanc_program()
    if program is None:
        parser.error("Orthanc is not installed: run `make tools` as root on Debian or Ubuntu")
    with tempfile.TemporaryDirectory() as name, orthanc(program, Path(name) / "pacs", node_port=1) as archive:
        figures = run(Path(name), archive, asked.results, asked.broken, asked.lost, asked.seed)
    print(json.dumps(asdict(figures), indent=1))
    if figures.missing or figures.duplicates or figures.states != {"COMMITTED": asked.results}:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
