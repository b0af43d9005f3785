"""`isocenter replay`: a job run again, and whether the same comes out, bit for bit."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from pydicom import Dataset

from models.findings import Findings
from service.core.errors import Broken, IsocenterError, TryAgain
from service.core.jobs import Job
from service.derived.encoding import decode
from service.edge.ledger import opened
from service.edge.records import read_findings
from service.edge.spool import Spool
from service.infer import answer
from service.report import results
from service.roles.life import OWNER_ONLY
from service.roles.worker import bench_of, desk_of
from service.settings import Settings, load


def differences(settings: Settings, job_id: str) -> tuple[Job, tuple[str, ...]]:
    """The job, and everything that a second run of it gives differently, in words; nothing in the spool changes.

    Raises Broken when the job, its findings or its images are not there any more, and as infer and report do.
    """
    with opened(settings.ledger_url) as ledger:
        job = ledger.job(job_id)
    if job.notice:
        raise Broken(f"{job.job_id} is a notice: no model has run for it")
    spool = Spool(settings.spool)
    try:
        before = read_findings(spool, job.job_id)
        again = answer(bench_of(settings), job)
        objects = {uid: each for made in results(desk_of(settings), job, again).values() for uid, each in made.items()}
    except TryAgain as error:
        raise Broken(f"{job.job_id} cannot be replayed, what it was made from is gone: {error}") from error
    files = spool.outbox(job.job_id).glob("*.dcm")
    sent = {path.stem: path.read_bytes() for path in files}
    return job, (*_differing_findings(before, again), *_differing_objects(sent, objects))


def _differing_findings(before: Findings, again: Findings) -> Iterator[str]:
    if before.algorithm != again.algorithm:
        yield f"algorithm: {before.algorithm} before, {again.algorithm} now"
    for number, (old, new) in enumerate(zip(before.layers, again.layers, strict=True)):
        voxels = int(np.count_nonzero(old.labels != new.labels))
        if voxels:
            yield f"layer {number}: {voxels} of {old.labels.size} voxels differ"
    for number, (earlier, later) in enumerate(zip(before.heat_maps, again.heat_maps, strict=True)):
        if not np.array_equal(earlier.values, later.values):
            yield f"heat map {number}: differs by up to {np.abs(earlier.values - later.values).max():g}"
    for name in ("regions", "scores", "boxes", "points", "measurements", "predictions", "remarks"):
        if getattr(before, name) != getattr(again, name):
            yield f"{name}: {getattr(before, name)} before, {getattr(again, name)} now"


def _differing_objects(sent: dict[str, bytes], made: dict[str, bytes]) -> Iterator[str]:
    for uid in sorted(sent.keys() | made.keys()):
        if uid not in made:
            yield f"object {uid}: is not made any more"
        elif uid not in sent:
            yield f"object {uid}: lies no more in outbox/, or was not made before"
        elif sent[uid] != made[uid]:
            before, again = decode(sent[uid]), decode(made[uid])
            yield f"{before.get('Modality')} object {uid}: {', '.join(_differing_attributes(before, again))}"


def _differing_attributes(before: Dataset, again: Dataset) -> Sequence[str]:
    tags = sorted(before.keys() | again.keys())
    differing = [tag for tag in tags if before.get(tag) != again.get(tag)]
    return [(before.get(tag) or again[tag]).keyword or str(tag) for tag in differing] or ["its encoding"]


def main() -> None:
    """`python -m service.commands.replay <configuration folder> <job>`; exit code 1 when anything differs."""
    os.umask(OWNER_ONLY)
    job, found = differences(load(Path(sys.argv[1])), sys.argv[2])
    if not found:
        sys.stdout.write(f"{job.job_id}, {job.model} {job.version}: bit-identical\n")
        return
    sys.stdout.write(f"{job.job_id}, {job.model} {job.version}: differs\n" + "".join(f"  {line}\n" for line in found))
    sys.exit(1)


if __name__ == "__main__":
    try:
        main()
    except IsocenterError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
