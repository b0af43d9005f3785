"""Whom a node calls, as the site configured it: destinations, archives, peers that wait for an answer."""

import random
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path

from service.commit import Committer
from service.core.proof import Way
from service.core.recalling import NOBODY, Recaller
from service.deliver import Sender
from service.edge.archive_index import ArchiveIndex
from service.edge.archives import Archive, Calls, Recalling
from service.edge.carriers import Carrier, DicomPeer
from service.edge.dicomweb import DicomWebPeer
from service.edge.folder import Folder
from service.edge.ledger import Ledger
from service.edge.qido import QidoIndex
from service.edge.query import FIND_SECONDS, FindIndex, Storing, get, move
from service.edge.spool import Spool
from service.edge.storage_scu import Remote
from service.edge.web import WebServer
from service.prove import Prover
from service.recall import ArchiveRecaller
from service.receive import Receiver
from service.roles.clock import now
from service.roles.securing import archive_credentials, destination_credentials
from service.settings import Settings
from service.settings.destinations import Destination, DicomDestination, DicomWebDestination, FolderDestination
from service.settings.receiving import DicomArchive, DicomWebArchive, Peer, PeerArchive
from service.settings.terms import DicomWebServer


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


def committers_for(settings: Settings, spool: Spool) -> list[Committer]:
    """Who brings peers the answers to their storage commitment requests."""
    places = settings.node.receiving.reporting
    return [Committer(peer, place.host, place.port, spool, now, _jitter) for peer, place in places.items()]


def archives_for(settings: Settings, spool: Spool) -> dict[str, Archive]:
    """The archives behind the peers, by the peer's calling AE title."""
    return {
        peer.ae_title: Archive(_calls(settings, peer, peer.archive, spool))
        for peer in settings.node.receiving.peers
        if peer.archive
    }


def recaller_for(settings: Settings, archives: Mapping[str, Archive], spool: Spool, ledger: Ledger) -> Recaller:
    """Who asks these archives for earlier results."""
    comparing = settings.node.comparing
    if not comparing.ask_archives:
        return NOBODY
    return ArchiveRecaller(archives, spool, ledger, timedelta(seconds=comparing.archive_seconds))


def index_for(settings: Settings, archive: PeerArchive) -> ArchiveIndex:
    """How an archive is asked what it has."""
    if isinstance(archive, DicomWebArchive):
        return QidoIndex(web_server_for(settings, archive, answer_seconds=FIND_SECONDS))
    return FindIndex(_archive_remote(settings, archive))


def associations_with(destination: Destination) -> int:
    """How many associations, or connections, may be open with a destination."""
    return 1 if isinstance(destination, FolderDestination) else destination.associations


def ways_of(destination: Destination) -> tuple[Way, ...]:
    """How a destination is asked whether it has what it was sent."""
    return (Way.QUERY,) if isinstance(destination, FolderDestination) else tuple(map(Way, destination.proof))


def carrier_for(settings: Settings, destination: Destination) -> Carrier:
    """How a destination is reached."""
    if isinstance(destination, DicomWebDestination):
        return DicomWebPeer(web_server_for(settings, destination, answer_seconds=destination.answer_seconds))
    if isinstance(destination, FolderDestination):
        return folder_for(settings, destination)
    return DicomPeer(remote_for(settings, destination))


def folder_for(settings: Settings, destination: FolderDestination) -> Folder:
    """A destination as a folder that we write."""
    (path,) = settings.beside(destination.path)
    return Folder(path, settings.spool / "outbox", destination.nifti)


def web_server_for(settings: Settings, server: DicomWebServer, *, answer_seconds: float) -> WebServer:
    """A destination or an archive as a server that we call."""

    def file(path: Path | None) -> Path | None:
        return settings.beside(path)[0] if path else None

    return WebServer(
        url=server.url.rstrip("/"),
        token_file=file(server.token_file),
        authorities=file(server.authorities),
        certificate=file(server.certificate),
        private_key=file(server.private_key),
        answer_seconds=answer_seconds,
    )


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


def _calls(settings: Settings, peer: Peer, archive: PeerArchive, spool: Spool) -> Calls:
    receiving, index = settings.node.receiving, index_for(settings, archive)
    if isinstance(archive, DicomWebArchive) or archive.retrieve == "none":
        return Calls(index.count_instances)
    remote = _archive_remote(settings, archive)
    seconds = settings.node.comparing.archive_seconds
    if archive.retrieve == "move":
        destination = peer.called_ae_title or receiving.ae_title
        fetch = partial(move, remote, destination=destination, in_all=seconds)
        recalling = Recalling(archive.ae_title, index.priors, fetch)
        return Calls(index.count_instances, partial(move, remote, destination=destination), recalling=recalling)
    receiver = Receiver(spool, receiving.refuse_below_free)
    storing = Storing(peer.ae_title, receiving.negotiated, receiver.begin, receiver.note_end)
    recalling = Recalling(archive.ae_title, index.priors, partial(get, remote, storing=storing, in_all=seconds))
    return Calls(index.count_instances, partial(get, remote, storing=storing), "C-GET", recalling)


def _archive_remote(settings: Settings, archive: DicomArchive) -> Remote:
    title = archive.calling_ae_title or settings.node.receiving.ae_title
    return Remote(title, archive.ae_title, archive.host, archive.port, archive_credentials(settings, archive))


def _jitter() -> float:
    return random.uniform(-1, 1)
