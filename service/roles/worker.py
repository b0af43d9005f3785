"""The process that owns the models: claims jobs, runs each step in a child process, keeps its lease alive.

A model that hangs, crashes or runs out of memory ends its child and its job's step, and nothing else.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from multiprocessing import get_context

import structlog
from pebble import ProcessExpired, ProcessFuture, ProcessPool

from service import __version__
from service.core.errors import NO_ROOM, Broken, IsocenterError, NoRoom, TryAgain, whereabouts
from service.core.jobs import Event, Job, State, outcome, wait
from service.edge import logs
from service.edge.ledger import Ledger, opened
from service.edge.records import read_plan, read_result
from service.edge.spool import Spool
from service.edge.workplaces import Bench, Desk
from service.roles.clock import now
from service.roles.life import Life, live
from service.settings import Settings
from service.settings.destinations import FolderDestination

LEASE = timedelta(seconds=15)
_RENEW_SECONDS = 4.0
_IDLE_SECONDS = 0.25
_WATCH_SECONDS = 0.5
_REPORT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Late:
    """A stage that is loaded where it first works, in the child: the worker itself holds no torch."""

    module: str
    name: str
    place: Bench | Desk

    def __call__(self, job: Job) -> None:
        """The stage."""
        getattr(import_module(self.module), self.name)(self.place, job)


@dataclass(frozen=True, slots=True)
class Step:
    """A stage that takes a job from one resting state to the next, and how long it may run."""

    state: State
    stage: Callable[[Job], None]
    deadline_seconds: float


def run(settings: Settings) -> None:
    """Work until told to stop; the step at hand is then given back."""
    logs.configure("worker")
    life = Life()
    with opened(settings.ledger_url) as ledger, children() as pool:
        worker = Worker(ledger, Spool(settings.spool), steps_of(settings), pool, life.goes_on)
        structlog.get_logger().info("working", worker=worker.name, device=settings.node.inferring.device)
        try:
            while life.goes_on():
                if not worker.turn():
                    life.pause(_IDLE_SECONDS)
        finally:
            pool.stop()
            pool.join()
    structlog.get_logger().info("stopped")


def children() -> ProcessPool:
    """The one child process that models run in; started again when it dies. Spawned: CUDA does not survive a fork."""
    return ProcessPool(max_workers=1, context=get_context("spawn"), initializer=_begin_child, initargs=(os.getpid(),))


def _begin_child(parent: int) -> None:
    """Log as the model's process, and end with the worker: a model must not run on when nobody waits for it."""
    logs.configure("model")

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _in_child(stage: Callable[[Job], None], job: Job) -> None:
    """The stage, with errors it does not know told by their place: their words may quote a patient's data."""
    try:
        stage(job)
    except IsocenterError:
        raise
    except (OSError, MemoryError) as error:
        kind = NoRoom if isinstance(error, OSError) and error.errno in NO_ROOM else TryAgain
        raise kind(whereabouts(error)) from None
    except Exception as error:
        raise Broken(whereabouts(error)) from None


def steps_of(settings: Settings) -> tuple[Step, ...]:
    """The steps of a job, those nearest to the radiologist first."""
    deadline_seconds = settings.node.inferring.deadline_seconds
    return (
        Step(State.INFERRED, Late("service.report", "report", desk_of(settings)), _REPORT_SECONDS),
        Step(State.QUEUED, Late("service.infer", "infer", bench_of(settings)), deadline_seconds),
    )


def bench_of(settings: Settings) -> Bench:
    """Where the site's models work."""
    inferring = settings.node.inferring
    return Bench(
        spool=settings.spool,
        packages=settings.package_folders,
        device=inferring.device,
        allowed=inferring.allowed,
        environment=settings.environment,
    )


def desk_of(settings: Settings) -> Desk:
    """Where the site's results are written, and for whom."""
    profiles = {destination.name: destination.profile for destination in settings.destinations}
    folders = [each for each in settings.destinations if isinstance(each, FolderDestination)]
    return Desk(settings.spool, profiles, __version__, frozenset(each.name for each in folders if each.nifti))


class Worker:
    """Takes one step of one job at a time."""

    def __init__(
        self, ledger: Ledger, spool: Spool, steps: Sequence[Step], pool: ProcessPool, goes_on: Callable[[], bool]
    ) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self._ledger = ledger
        self._spool = spool
        self._steps = steps
        self._pool = pool
        self._goes_on = goes_on

    def turn(self) -> bool:
        """Claim and do one step; False when there is nothing to do."""
        for step in self._steps:
            moment = now()
            job = self._ledger.claim(step.state, self.name, moment, moment + LEASE)
            if job is not None:
                self._do(job, step)
                return True
        return False

    def _do(self, job: Job, step: Step) -> None:
        log = structlog.get_logger().bind(job=job.job_id, series=job.series_instance_uid, stage=str(job.state))
        log.info("step started", model=job.model)
        began = now()
        try:
            self._attempt(job, step)
            self._succeed(job)
        except _Stopping:
            self._ledger.retry(job, self.name, now(), now(), "the worker was stopped", counts=False)
            log.info("step given back")
        except IsocenterError as error:
            self._fail(job, error)
            log.warning("step ended", outcome=type(error).__name__, reason=str(error))
        else:
            log.info("step done", seconds=round((now() - began).total_seconds(), 2))

    def _attempt(self, job: Job, step: Step) -> None:
        """Run the step in the child process and renew the lease meanwhile. Raises what the step raises."""
        future: ProcessFuture = self._pool.schedule(_in_child, args=[step.stage, job], timeout=step.deadline_seconds)
        while True:
            try:
                return self._await(job, future)
            except NotYet:
                if future.done() and isinstance(future.exception(), NotYet):
                    raise TryAgain(f"the step took longer than {step.deadline_seconds:g} s and was ended") from None

    def _await(self, job: Job, future: ProcessFuture) -> None:
        try:
            future.result(timeout=_RENEW_SECONDS)
        except NotYet:
            self._keep(job, future)
            raise
        except (ProcessExpired, CancelledError) as error:
            if not self._goes_on():
                raise _Stopping from error
            code = getattr(error, "exitcode", None)
            raise TryAgain(f"the model's process died (exit code {code})") from error

    def _keep(self, job: Job, future: ProcessFuture) -> None:
        if not self._goes_on():
            future.cancel()
            raise _Stopping
        if not self._ledger.renew(job, self.name, now() + LEASE):
            future.cancel()
            raise TryAgain("the lease was lost")

    def _succeed(self, job: Job) -> None:
        if job.state is State.REPORTING:
            plan, result = read_plan(self._spool, job.job_id), read_result(self._spool, job.job_id)
            self._ledger.report(job, self.name, plan, now(), result)
            return
        self._ledger.settle(job, self.name, Event.DONE, now())

    def _fail(self, job: Job, error: IsocenterError) -> None:
        event = outcome(error, job.attempts)
        try:
            if event is Event.RETRY:
                counts = not isinstance(error, NoRoom)
                self._ledger.retry(job, self.name, now(), now() + wait(job.attempts), str(error), counts=counts)
                return
            self._ledger.settle(job, self.name, event, now(), str(error))
        except TryAgain as lost:
            structlog.get_logger().warning("step not settled", job=job.job_id, reason=str(lost))


class _Stopping(Exception):  # noqa: N818
    """The worker is told to stop while a step runs."""


if __name__ == "__main__":
    live(run)
