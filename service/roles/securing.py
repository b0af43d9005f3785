"""The site's TLS: which files there are, and both sides of a connection made from them."""

from pathlib import Path

from service.edge.tls import Credentials, TlsFiles, client_context, server_context
from service.settings import Settings
from service.settings.destinations import DicomDestination
from service.settings.receiving import DicomArchive, ReceivingTls
from service.settings.terms import ClientTls, DicomWebServer


def door_credentials(settings: Settings) -> Credentials | None:
    """What the TLS port shows and asks for; None where there is no such port.

    Raises ConfigurationError when a file does not fit.
    """
    tls = settings.node.receiving.tls
    if not tls:
        return None
    files = settings.beside(tls.authorities, tls.certificate, tls.private_key)
    return Credentials(TlsFiles("receiving.tls", *files), server_context)


def destination_credentials(settings: Settings, destination: DicomDestination) -> Credentials | None:
    """What we show a destination and ask of it; None without TLS. Raises as `door_credentials`."""
    return _called(settings, f"destination {destination.name}: tls", destination.tls)


def archive_credentials(settings: Settings, archive: DicomArchive) -> Credentials | None:
    """What we show an archive and ask of it; None without TLS. Raises as `door_credentials`."""
    return _called(settings, f"archive {archive.ae_title}: tls", archive.tls)


def require_usable(settings: Settings) -> None:
    """Raises ConfigurationError when a file of TLS does not fit."""
    door_credentials(settings)
    for destination in settings.destinations:
        if isinstance(destination, DicomDestination):
            destination_credentials(settings, destination)
    for peer in settings.node.receiving.peers:
        if isinstance(peer.archive, DicomArchive):
            archive_credentials(settings, peer.archive)


def certificate_files(settings: Settings) -> tuple[Path, ...]:
    """Every file of certificates that the configuration names, once."""
    receiving = settings.node.receiving
    sides: list[ReceivingTls | ClientTls | None] = [
        receiving.tls,
        *(peer.archive.tls for peer in receiving.peers if isinstance(peer.archive, DicomArchive)),
    ]
    sides += [each.tls for each in settings.destinations if isinstance(each, DicomDestination)]
    pairs: list[tuple[Path | None, Path | None]] = [(side.authorities, side.certificate) for side in sides if side]
    called = [*settings.destinations, *(peer.archive for peer in receiving.peers)]
    pairs += [(each.authorities, each.certificate) for each in called if isinstance(each, DicomWebServer)]
    named = [path for pair in pairs for path in pair if path]
    return tuple(dict.fromkeys(settings.beside(*named)))


def _called(settings: Settings, place: str, tls: ClientTls | None) -> Credentials | None:
    if not tls:
        return None
    own = [path for path in (tls.certificate, tls.private_key) if path]
    return Credentials(TlsFiles(place, *settings.beside(tls.authorities, *own)), client_context)
