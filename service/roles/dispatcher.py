"""The process that keeps things moving: APScheduler ticks that assemble, route, deliver and clean up."""

import random
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger

from models.registry import BUILT_IN, PackageError, find
from service import commit, retain, route
from service.assemble import Assembler
from service.commit import Committer
from service.core.errors import ConfigurationError, whereabouts
from service.core.proof import Way
from service.deliver import Sender
from service.edge import logs
from service.edge.archives import Archive, Calls
from service.edge.carriers import Carrier, DicomPeer
from service.edge.certificates import ExpiryWatch
from service.edge.ledger import Ledger, opened
from service.edge.query import Storing, count_instances, get, move
from service.edge.spool import Spool
from service.edge.storage_scu import Remote
from service.edge.yaml_file import nearest
from service.prove import Prover, take_reports
from service.receive import Receiver
from service.reconcile import reconcile, tell
from service.roles.clock import now
from service.roles.life import Life, live
from service.roles.securing import archive_credentials, certificate_files, destination_credentials
from service.settings import (
    Destination,
    DicomDestination,
    FolderDestination,
    Peer,
    PeerArchive,
    Settings,
    place_of_rule,
)

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
    assembler = Assembler(spool, ledger, settings.node.assembling.patience, archives_for(settings, spool))
    assembler.recover()
    router = router_for(settings)

    def assemble_and_route() -> None:
        assembler.tick(now())
        route.tick(spool, ledger, router, now())

    keep = timedelta(days=settings.node.keeping.days)
    _every(scheduler, _ASSEMBLE_SECONDS, "assemble", assemble_and_route)
    _every(scheduler, _EXPIRY_SECONDS, "expire", lambda: ledger.expire_leases(now()))
    _every(scheduler, _RETAIN_SECONDS, "retain", lambda: retain.tick(spool, ledger, now(), keep))
    _every(scheduler, _GIVE_UP_SECONDS, "give up reports", lambda: commit.give_up(spool, now()))
    for committer in committers_for(settings, spool):
        _every(scheduler, _REPORT_SECONDS, f"report to {committer.ae_title}", committer.tick)
    watch = ExpiryWatch(certificate_files(settings))
    _every(scheduler, _CERTIFICATES_SECONDS, "watch certificates", lambda: watch.tick(now()))
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
    return scheduler


def _nightly(scheduler: BackgroundScheduler, settings: Settings, sender: Sender) -> None:
    """Say in the log what a destination was sent and does not have."""

    def tick() -> None:
        since = now() - timedelta(days=settings.node.keeping.reconcile_days)
        tell(reconcile(sender.name, sender.carrier, sender.ledger, since))

    at = settings.node.keeping.reconcile_at
    if at is not None:
        name = f"reconcile {sender.name}"
        scheduler.add_job(_logged(name, tick), CronTrigger(hour=at.hour, minute=at.minute), id=name)  # local time


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


def router_for(settings: Settings) -> route.Router:
    """The site's rules with the packages they name. Raises ConfigurationError when one is broken or absent."""
    try:
        packages = find((BUILT_IN, *settings.package_folders))
    except PackageError as error:
        raise ConfigurationError(str(error)) from error
    for index, rule in enumerate(settings.rules):
        if rule.model not in packages:
            place = place_of_rule(settings, index, "model")
            sentence = f"rule {rule.name!r} names the model {rule.model!r}, which no package has"
            raise ConfigurationError(f"{place}: {sentence}; {nearest(rule.model, packages)}")
    return route.Router(settings.rules, packages, settings.node.inferring.phantom_models_may_answer_for_patients)


def committers_for(settings: Settings, spool: Spool) -> list[Committer]:
    """Who brings peers the answers to their storage commitment requests."""
    places = settings.node.receiving.reporting
    return [Committer(peer, place.host, place.port, spool, now, _jitter) for peer, place in places.items()]


def _jitter() -> float:
    return random.uniform(-1, 1)


def archives_for(settings: Settings, spool: Spool) -> dict[str, Archive]:
    """The archives behind the peers, by the peer's calling AE title."""
    receiving = settings.node.receiving
    return {
        peer.ae_title: Archive(_calls(settings, peer, peer.archive, spool)) for peer in receiving.peers if peer.archive
    }


def _calls(settings: Settings, peer: Peer, archive: PeerArchive, spool: Spool) -> Calls:
    receiving, tls = settings.node.receiving, archive_credentials(settings, archive)
    remote = Remote(archive.calling_ae_title or receiving.ae_title, archive.ae_title, archive.host, archive.port, tls)
    count = partial(count_instances, remote)
    if archive.retrieve == "none":
        return Calls(count)
    if archive.retrieve == "move":
        return Calls(count, partial(move, remote, destination=peer.called_ae_title or receiving.ae_title))
    receiver = Receiver(spool, receiving.refuse_below_free)
    storing = Storing(peer.ae_title, receiving.negotiated, receiver.begin, receiver.note_end)
    return Calls(count, partial(get, remote, storing=storing), retrieves_by="C-GET")


def sender_for(settings: Settings, destination: Destination, spool: Spool, ledger: Ledger) -> Sender:
    """The stage that sends to one destination."""
    return Sender(
        name=destination.name,
        carrier=carrier_for(settings, destination),
        spool=spool,
        ledger=ledger,
        clock=now,
        jitter=_jitter,
        associations=associations_with(destination),
        is_asked=bool(ways_of(destination)),
    )


def prover_for(settings: Settings, destination: Destination, sender: Sender) -> Prover:
    """The stage that asks one destination for what it was sent."""
    minutes = destination.commitment_minutes if isinstance(destination, DicomDestination) else 0
    return Prover(
        name=destination.name,
        carrier=sender.carrier,
        ways=ways_of(destination),
        patience=timedelta(minutes=minutes),
        ledger=sender.ledger,
        clock=now,
        jitter=_jitter,
    )


def associations_with(destination: Destination) -> int:
    """How many associations, or connections, may be open with a destination."""
    return 1 if isinstance(destination, FolderDestination) else destination.associations


def ways_of(destination: Destination) -> tuple[Way, ...]:
    """How a destination is asked whether it has what it was sent."""
    return (Way.QUERY,) if isinstance(destination, FolderDestination) else tuple(map(Way, destination.proof))


def carrier_for(settings: Settings, destination: Destination) -> Carrier:
    """How a destination is reached. Raises ConfigurationError when a file it needs cannot be used."""
    if isinstance(destination, DicomDestination):
        return DicomPeer(remote_for(settings, destination))
    raise ConfigurationError(f"destination {destination.name}: kind {destination.kind} is not known here")


def remote_for(settings: Settings, destination: DicomDestination) -> Remote:
    """A destination as a peer that we call by our own AE title."""
    return Remote(
        destination.calling_ae_title or settings.node.receiving.ae_title,
        destination.ae_title,
        destination.host,
        destination.port,
        destination_credentials(settings, destination),
        answer_seconds=destination.answer_seconds,
    )


if __name__ == "__main__":
    live(run)
