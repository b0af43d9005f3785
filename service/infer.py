"""Stage 4: a job's stack becomes findings in work/. Runs in the model's own process."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from models.findings import Findings
from models.inference import Predictor, load, pick_device
from models.intake import value_objections
from models.registry import BUILT_IN, Package, PackageError, find, segmentation
from service.core.errors import Broken, TryAgain, Unsuitable
from service.core.jobs import Job
from service.core.suitability import why_not
from service.edge.pixels import read_volume
from service.edge.records import keep_findings, read_stack, stack_frames
from service.edge.spool import Spool


@dataclass(frozen=True, slots=True)
class Bench:
    """Where a model works: the spool it reads and writes, its packages, its device, what the site allows."""

    spool: Path
    packages: tuple[Path, ...]
    device: Literal["auto", "cpu", "cuda"]
    phantom_models_may_answer: bool


def infer(bench: Bench, job: Job) -> None:
    """Leave the job's findings in work/. Raises as `answer`."""
    if not job.notice:  # a notice that is requeued: there is nothing to infer
        keep_findings(Spool(bench.spool), job.job_id, answer(bench, job))


def answer(bench: Bench, job: Job) -> Findings:
    """What the job's model says of the job's stack.

    Raises Unsuitable when the model must not run on the stack, TryAgain when memory ran out, Broken when the
    package is not what the job names or a file is damaged.
    """
    spool = Spool(bench.spool)
    stack = read_stack(spool, job.stack_id)
    package = _package(bench, job)
    _refuse(why_not(package.manifest, stack, phantom_models_may_answer=bench.phantom_models_may_answer))
    if stack.grid is None:
        raise Unsuitable(f"{job.model} is for volumes, and this is a radiograph")
    volume = read_volume(stack_frames(spool, stack), stack.grid, stack.places)
    _refuse(value_objections(segmentation(package).intake, volume))
    try:
        findings = _predictor(package, bench.device)(volume, stack.places)
    except MemoryError as error:
        raise TryAgain(f"{job.model} ran out of memory") from error
    return findings


def _refuse(objections: tuple[str, ...]) -> None:
    if objections:
        raise Unsuitable("; ".join(objections))


def _package(bench: Bench, job: Job) -> Package:
    try:
        package = find((BUILT_IN, *bench.packages)).get(job.model)
    except PackageError as error:
        raise Broken(str(error)) from error
    if package is None or package.manifest.version != job.version:
        raise Broken(f"{job.model} {job.version} is not installed any more; route the stack again")
    return package


@lru_cache(maxsize=4)
def _predictor(package: Package, device: Literal["auto", "cpu", "cuda"]) -> Predictor:
    """A warm model."""
    try:
        return load(package, pick_device(device))
    except ValueError as error:  # PackageError is one
        raise Broken(str(error)) from error
