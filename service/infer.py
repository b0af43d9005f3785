"""Stage 4: a job's stack becomes findings in work/. Runs in the model's own process."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache

from models.chains import bound
from models.environment import Environment
from models.findings import Findings
from models.inference import Predictor, load, load_for_radiographs, load_for_values, pick_device
from models.intake import Declined, blank_objections, value_objections
from models.manifest import Regression
from models.registry import BUILT_IN, Package, PackageError, find
from models.runtimes.apart import Ended
from models.sections import Intake
from models.tasks.classify import Classifier
from models.tasks.regress import Regressor
from models.volume import Radiograph, Volume
from service.core.clinical import facts_of, known_of, objections
from service.core.entities import StackRecord
from service.core.errors import Broken, TryAgain, Unsuitable
from service.core.jobs import Job
from service.core.suitability import remarks, why_not
from service.edge.following import follow
from service.edge.part10 import read_instance
from service.edge.pixels import read_image
from service.edge.records import keep_findings, keep_following, path_of, read_following, read_stack, stack_frames
from service.edge.spool import Spool
from service.edge.workplaces import Bench, Device


def infer(bench: Bench, job: Job) -> None:
    """Leave the job's findings in work/, and which of its lesions are those of an earlier result. Raises as `answer`.

    What was matched once stays as it is: the earlier images may leave the spool before those of the job.
    """
    if job.notice:  # one that is requeued: there is nothing to infer
        return
    spool, findings = Spool(bench.spool), answer(bench, job)
    following = read_following(spool, job.job_id) or follow(spool, job, findings)
    if following:
        keep_following(spool, job.job_id, following)
    keep_findings(spool, job.job_id, findings)


def answer(bench: Bench, job: Job) -> Findings:
    """What the job's model says of the job's stack.

    Raises Unsuitable when the model must not run on the stack or has no answer that it stands by, TryAgain when memory
    ran out, Broken when the package is not what the job names or a file is damaged.
    """
    spool = Spool(bench.spool)
    stack = read_stack(spool, job.stack_id)
    package = _package(bench, job)
    _refuse(why_not(package.manifest, stack, bench.allowed))
    image = read_image(stack_frames(spool, stack), stack)
    try:
        findings = _asked(bench, package, image, stack, job)
    except MemoryError as error:
        raise TryAgain(f"{job.model} ran out of memory") from error
    except Declined as error:
        raise Unsuitable(str(error)) from error
    except Ended as error:
        raise TryAgain(f"{job.model}: {error}") from error
    except PackageError as error:  # of a model that has a process of its own: what it answers cannot be used
        raise Broken(str(error)) from error
    return replace(findings, remarks=remarks(package.manifest, stack))


def _asked(bench: Bench, package: Package, image: Volume | Radiograph, stack: StackRecord, job: Job) -> Findings:
    if isinstance(image, Radiograph):
        _refuse(blank_objections(image))
        return _classifier(package, bench.device)(image)
    _refuse(value_objections(_intake(package), image))
    if isinstance(package.manifest, Regression):
        facts = facts_of(read_instance(path_of(Spool(bench.spool), stack, stack.sop_instance_uids[0])))
        _refuse(tuple(objections(package.manifest, job.observed, facts)))
        return _regressor(package, bench.device)(known_of(package.manifest, job.observed, facts), image)
    return _predictor(package, bench.device, bench.environment)(image, stack.places)


def _intake(package: Package) -> Intake:
    """What the model was validated on. Raises Broken for a model that is not asked about volumes."""
    intake = package.manifest.intake
    if not isinstance(intake, Intake):
        raise Broken(f"{package.manifest.name} is for radiographs, and was asked about a volume")
    return intake


def _refuse(objections: tuple[str, ...]) -> None:
    if objections:
        raise Unsuitable("; ".join(objections))


def _package(bench: Bench, job: Job) -> Package:
    try:
        packages = find((BUILT_IN, *bench.packages))
        package = packages.get(job.model)
        if package is None or package.manifest.version != job.version:
            raise Broken(f"{job.model} {job.version} is not installed any more; route the stack again")
        return bound(package, packages)
    except PackageError as error:
        raise Broken(str(error)) from error


@lru_cache(maxsize=4)
def _predictor(package: Package, device: Device, environment: Environment | None) -> Predictor:
    """A warm model for volumes."""
    with _translated():
        return load(package, pick_device(device), environment)


@lru_cache(maxsize=4)
def _classifier(package: Package, device: Device) -> Classifier:
    """A warm model for radiographs."""
    with _translated():
        return load_for_radiographs(package, pick_device(device))


@lru_cache(maxsize=4)
def _regressor(package: Package, device: Device) -> Regressor:
    """A warm model that predicts from values."""
    with _translated():
        return load_for_values(package, pick_device(device))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ValueError as error:  # PackageError is one
        raise Broken(str(error)) from error
