"""Results that wait in an outbox, as a worker leaves them, and the dispatcher that is to deliver them."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from datetime import UTC, datetime
from functools import cache
from random import Random

from pydicom import Dataset

from service.core.identity import derived_uid
from service.core.jobs import Event, Job, State
from service.derived.encoding import encode
from service.edge.failpoints import VARIABLE
from service.edge.ledger import Ledger, SeriesRow, StackRow, opened
from service.edge.part10 import read_reference
from service.edge.spool import Spool
from service.settings import Settings
from tests import factories
from tests.node import answers, node_of, until

PER_JOB = 20
_KIBIBYTES = (4, 4, 4, 64, 300)  # most results are small


def fill(
    settings: Settings,
    count: int,
    destinations: Sequence[str] = ("pacs",),
    seed: int = 1,
    at: datetime | None = None,
) -> list[str]:
    """Put `count` objects of jobs, reported at that moment, into the outbox; their SOP Instance UIDs."""
    moment = at or datetime.now(UTC)
    spool = Spool(settings.spool)
    uids: list[str] = []
    with opened(settings.ledger_url) as ledger:
        for first in range(0, count, PER_JOB):
            numbers = range(first, min(first + PER_JOB, count))
            job = _job(f"{seed}-{first}", destinations, moment)
            uids += _report(spool, ledger, job, [_object(seed, number) for number in numbers])
    return uids


def _job(job_id: str, destinations: Sequence[str], at: datetime) -> Job:
    series = derived_uid("series", job_id)
    return Job(job_id, job_id, series, "1.2", "m", "1.0.0", "r", tuple(destinations), State.QUEUED, 0, at)


def _report(spool: Spool, ledger: Ledger, job: Job, objects: Sequence[Dataset]) -> list[str]:
    job_id, series, at = job.job_id, job.series_instance_uid, job.created_at
    paths = [spool.outbox(job_id) / f"{each.SOPInstanceUID}.dcm" for each in objects]
    for path, each in zip(paths, objects, strict=True):
        spool.place(path, encode(each), durably=False)
    references = [read_reference(path) for path in paths]
    ledger.close_series(
        SeriesRow(series, "1.2", "CT", "", 1, "set", at, "evidence"), [StackRow(job_id, series, 1, "", "axial", "")], at
    )
    ledger.decide(job_id, "runs", [job])
    for state in (State.QUEUED, State.INFERRED):
        started = ledger.claim(state, "w", at, at)
        assert started
        if state is State.QUEUED:
            ledger.settle(started, "w", Event.DONE, at)
        else:
            ledger.report(started, "w", dict.fromkeys(job.destinations, references), at)
    return [reference.sop_instance_uid for reference in references]


def _object(seed: int, number: int) -> Dataset:
    """The same object for the same number, in a Study and Series that it shares with a few others."""
    copy = deepcopy(_template())
    copy.StudyInstanceUID = derived_uid("study", str(seed), str(number // PER_JOB))
    copy.SeriesInstanceUID = derived_uid("series of results", str(seed), str(number // (PER_JOB // 4)))
    copy.SOPInstanceUID = derived_uid("result", str(seed), str(number))
    kibibytes = _KIBIBYTES[number % len(_KIBIBYTES)]
    copy.Rows, copy.Columns = kibibytes * 2, 256
    copy.PixelData = Random(number).randbytes(kibibytes * 1024)
    return copy


@cache
def _template() -> Dataset:
    return factories.ct_series(factories.grid(shape=(2, 8, 8)))[0]


def start_role(role: str, settings: Settings, failpoint: str = "") -> subprocess.Popen[bytes]:
    """One role of a node as a process of its own, to be killed at a place in the code where that is asked for."""
    environment = os.environ | ({VARIABLE: failpoint} if failpoint else {})
    with (settings.folder / f"{role}.log").open("ab") as log:
        line = [sys.executable, "-P", "-m", f"service.roles.{role}", str(settings.folder)]
        return subprocess.Popen(line, env=environment, stdout=log, stderr=log)


@contextmanager
def role(name: str, settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """A role that runs until the context ends; a receiver answers by then."""
    process = start_role(name, settings)
    try:
        if name == "receiver":
            until(lambda: answers(node_of(settings)), "the receiver answers C-ECHO", seconds=60)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def states(settings: Settings, destination: str = "pacs") -> Counter[str]:
    """How many deliveries to a destination are in each state."""
    with opened(settings.ledger_url) as ledger:
        return Counter(row["state"] for row in ledger.deliveries_where(destination=destination))
