"""The process that keeps things moving: APScheduler ticks that assemble, route, deliver and clean up."""

from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from service import commit, retain, route
from service.assemble import Assembler
from service.core.errors import whereabouts
from service.deliver import Sender
from service.edge import logs
from service.edge.certificates import ExpiryWatch
from service.edge.ledger import Ledger, opened
from service.edge.spool import Spool
from service.prove import Prover, take_reports
from service.reconcile import reconcile, tell
from service.roles.clock import now
from service.roles.life import Life, live
from service.roles.reaching import (
    archives_for,
    associations_with,
    carrier_for,
    committers_for,
    prover_for,
    recaller_for,
    sender_for,
)
from service.roles.ruling import router_for
from service.roles.securing import certificate_files
from service.settings import Settings
from service.settings.destinations import DicomDestination

_TICK_SECONDS = 0.5
_ASSEMBLE_SECONDS = 0.25
_EXPIRY_SECONDS = 5
_RETAIN_SECONDS = 3600
_REPORT_SECONDS = 2
_GIVE_UP_SECONDS = 60
_CERTIFICATES_SECONDS = 3600


def run(settings: Settings) -> None:
    """Dispatch until told to stop; a tick that runs then is let finish."""
    logs.configure("dispatcher")
    life = Life()
    spool = Spool(settings.spool)
    with opened(settings.ledger_url) as ledger:
        ledger.forget_decisions()  # routing everything again is the recovery procedure
        ledger.give_deliveries_back(now())
        ledger.unpark_changed({each.name: str(carrier_for(settings, each)) for each in settings.destinations}, now())
        for name in ledger.waiting_for() - {destination.name for destination in settings.destinations}:
            structlog.get_logger().error("results wait for a destination that is not configured", destination=name)
        scheduler = _schedule(settings, spool, ledger)
        scheduler.start()
        structlog.get_logger().info("dispatching", rules=len(settings.rules), destinations=len(settings.destinations))
        while life.goes_on():
            life.pause(_TICK_SECONDS)
        scheduler.shutdown(wait=True)
    structlog.get_logger().info("stopped")


def _schedule(settings: Settings, spool: Spool, ledger: Ledger) -> BackgroundScheduler:
    """One thread for each association that may be open with a destination or peer, so that a silent one holds up
    nothing else, and some for the rest."""
    lanes = sum(associations_with(destination) for destination in settings.destinations)
    called = lanes + 2 * len(settings.destinations) + len(settings.node.receiving.reporting)
    executors = {"default": ThreadPoolExecutor(4 + called)}
    scheduler = BackgroundScheduler(executors=executors, timezone="UTC", job_defaults=_JOB_DEFAULTS)
    archives = archives_for(settings, spool)
    assembler = Assembler(spool, ledger, settings.node.assembling.patience, archives)
    assembler.recover()
    router, recaller = router_for(settings), recaller_for(settings, archives, spool, ledger)

    def assemble_and_route() -> None:
        assembler.tick(now())
        route.tick(spool, ledger, router, now(), recaller)

    keep = timedelta(days=settings.node.keeping.days)
    _every(scheduler, _ASSEMBLE_SECONDS, "assemble", assemble_and_route)
    _every(scheduler, _EXPIRY_SECONDS, "expire", lambda: ledger.expire_leases(now()))
    _every(scheduler, _RETAIN_SECONDS, "retain", lambda: retain.tick(spool, ledger, now(), keep))
    _every(scheduler, _GIVE_UP_SECONDS, "give up reports", lambda: commit.give_up(spool, now()))
    for committer in committers_for(settings, spool):
        _every(scheduler, _REPORT_SECONDS, f"report to {committer.ae_title}", committer.tick)
    watch = ExpiryWatch(certificate_files(settings))
    _every(scheduler, _CERTIFICATES_SECONDS, "watch certificates", lambda: watch.tick(now()))
    _schedule_deliveries(scheduler, settings, spool, ledger)
    return scheduler


def _schedule_deliveries(scheduler: BackgroundScheduler, settings: Settings, spool: Spool, ledger: Ledger) -> None:
    provers: dict[str, list[Prover]] = defaultdict(list)
    for destination in settings.destinations:
        sender = sender_for(settings, destination, spool, ledger)
        for lane in range(sender.associations):
            _every(scheduler, _TICK_SECONDS, f"deliver to {destination.name}, {lane}", partial(sender.tick, lane))
        prover = prover_for(settings, destination, sender)
        if isinstance(destination, DicomDestination):
            provers[destination.ae_title].append(prover)
        _every(scheduler, _TICK_SECONDS, f"prove at {destination.name}", prover.tick)
        _nightly(scheduler, settings, sender)
    _every(scheduler, _TICK_SECONDS, "take reports", lambda: take_reports(spool, provers))


def _nightly(scheduler: BackgroundScheduler, settings: Settings, sender: Sender) -> None:
    """Say in the log what a destination was sent and does not have."""

    def tick() -> None:
        at = now()
        since = at - timedelta(days=settings.node.keeping.reconcile_days)
        tell(reconcile(sender.name, sender.carrier, sender.ledger, since, at))

    hour = settings.node.keeping.reconcile_at
    if hour is not None:
        name = f"reconcile {sender.name}"
        scheduler.add_job(_logged(name, tick), CronTrigger(hour=hour.hour, minute=hour.minute), id=name)  # local time


_JOB_DEFAULTS = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}


def _every(scheduler: BackgroundScheduler, seconds: float, name: str, work: Callable[[], object]) -> None:
    scheduler.add_job(_logged(name, work), "interval", seconds=seconds, id=name, next_run_time=now())


def _logged(name: str, work: Callable[[], object]) -> Callable[[], None]:
    def tick() -> None:
        try:
            work()
        except Exception as error:  # the next tick is the retry; the log says what happened
            structlog.get_logger().error("tick failed", tick=name, reason=whereabouts(error))

    return tick


if __name__ == "__main__":
    live(run)
