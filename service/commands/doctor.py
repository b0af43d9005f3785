"""Is this node fit to run? Each line is ok, or says what to do."""

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from models.inference import pick_device
from models.listing import verify_files
from models.registry import LISTING_SUFFIX, PackageError, verify
from models.runtimes.nnunet import require_allowed
from service.core.errors import IsocenterError
from service.core.expiry import Remaining, remaining, words
from service.core.transfer_syntaxes import ACCEPTED, PLUGIN_PACKAGES, PLUGINS
from service.edge.certificates import Certificate, read_certificates
from service.edge.codecs import missing_package
from service.edge.ledger import opened
from service.edge.qido import QidoIndex
from service.edge.spool import Spool
from service.edge.storage_scu import Remote, echo
from service.edge.stored_values import can_decode
from service.roles.clock import now
from service.roles.life import OWNER_ONLY
from service.roles.reaching import folder_for, remote_for, web_server_for
from service.roles.ruling import router_for
from service.roles.securing import certificate_files, require_usable
from service.settings import Settings, load
from service.settings.destinations import Destination, DicomWebDestination, FolderDestination

_FLUSHES = 20
_LYING_DISK_SECONDS = 50e-6  # a flush faster than this never reached a disk


@dataclass(frozen=True, slots=True)
class Line:
    """One check: what was looked at, whether it is well, and what was seen or is to be done."""

    check: str
    well: bool
    words: str


def examine(folder: Path) -> Iterator[Line]:
    """Every check, in the order in which a fault would hide the next ones."""
    try:
        settings = load(folder)
    except IsocenterError as error:
        yield Line("configuration", False, str(error))
        return
    yield Line("configuration", True, f"{len(settings.rules)} rules, {len(settings.destinations)} destinations")
    yield _look("peers", lambda: _peers(settings))
    yield _look("port", lambda: _port(settings))
    yield _look("spool", lambda: _spool(settings))
    yield _look("flush", lambda: _flush(settings))
    yield _look("ledger", lambda: _ledger(settings))
    yield _look("transfer syntaxes", lambda: _transfer_syntaxes(settings))
    yield _look("models", lambda: _models(settings))
    yield from _certificates(settings)
    yield _look("device", lambda: pick_device(settings.node.inferring.device))
    for destination in settings.destinations:
        yield _look(f"destination {destination.name}", partial(_destination, settings, destination))


class _Unfit(Exception):  # noqa: N818
    """A check's sentence on what to do."""


def _look(check: str, look: Callable[[], str]) -> Line:
    try:
        return Line(check, True, look())
    except (IsocenterError, PackageError, ValueError, OSError, _Unfit) as error:
        return Line(check, False, str(error))


def _peers(settings: Settings) -> str:
    peers = settings.node.receiving.peers
    if not peers:
        raise _Unfit("nobody may send: name the senders under receiving.peers in node.yaml")
    return ", ".join(f"{peer.ae_title} from {peer.host}" for peer in peers)


def _port(settings: Settings) -> str:
    receiving = settings.node.receiving
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((receiving.bind, receiving.port))
        except OSError:
            return _port_is_ours(settings)
    return f"{receiving.bind} port {receiving.port} is free"


def _port_is_ours(settings: Settings) -> str:
    receiving = settings.node.receiving
    host = "127.0.0.1" if receiving.bind == "0.0.0.0" else receiving.bind
    try:
        echo(Remote("DOCTOR", receiving.ae_title, host, receiving.port))
    except IsocenterError as error:
        if "alling AE" in str(error):  # it knows its own title, and not ours: that is the node
            return f"this node answers on port {receiving.port}"
        raise _Unfit(f"port {receiving.port} is taken, and not by this node ({error})") from error
    return f"this node answers C-ECHO on port {receiving.port}"


def _spool(settings: Settings) -> str:
    free = Spool(settings.spool).free_share()
    least = settings.node.receiving.refuse_below_free
    if free < least:
        raise _Unfit(f"{free:.1%} of {settings.spool} is free and {least:.1%} must stay so: C-STORE is answered A700")
    return f"{settings.spool}, {free:.1%} free"


def _flush(settings: Settings) -> str:
    probe, twin = (settings.spool / "tmp" / f"{name}_{os.getpid()}" for name in ("flush", "link"))
    try:
        with probe.open("wb", buffering=0) as stream:
            os.link(probe, twin)  # as an instance is put in its place
            began = time.perf_counter()
            for _ in range(_FLUSHES):
                stream.write(b"\0" * 4096)
                os.fsync(stream.fileno())
            seconds = (time.perf_counter() - began) / _FLUSHES
    finally:
        probe.unlink(missing_ok=True)
        twin.unlink(missing_ok=True)
    if seconds < _LYING_DISK_SECONDS:
        raise _Unfit(f"a flush takes {seconds * 1e6:.0f} us: this disk keeps nothing; put the spool on another one")
    return f"{seconds * 1e3:.2f} ms"


def _ledger(settings: Settings) -> str:
    with opened(settings.ledger_url) as ledger:
        lost = ledger.waiting_for() - {destination.name for destination in settings.destinations}
        if lost:
            raise _Unfit(
                f"results wait for {', '.join(sorted(lost))}, which destinations.yaml does not have: add it again"
            )
        return f"{len(ledger.closed_series())} Series recorded"


def _transfer_syntaxes(settings: Settings) -> str:
    accepted = settings.node.receiving.negotiated
    broken = [uid for uid in accepted if not can_decode(uid)]
    if broken:
        packages = sorted({PLUGIN_PACKAGES[PLUGINS[uid]] for uid in broken})
        raise _Unfit(f"{', '.join(broken)} are accepted and cannot be decoded: install {' '.join(packages)} again")
    missing = sorted({package for uid in ACCEPTED if (package := missing_package(uid))})
    return f"{len(accepted)} accepted" + (f"; {', '.join(missing)} would add more" if missing else "")


def _models(settings: Settings) -> str:
    packages = router_for(settings).packages
    for package in packages.values():
        verify(package)
        if package.weights.suffix == LISTING_SUFFIX:
            verify_files(package)
            require_allowed(package, settings.environment)
    return ", ".join(f"{name} {package.manifest.version}" for name, package in sorted(packages.items())) or "none"


def _certificates(settings: Settings) -> Iterator[Line]:
    files = certificate_files(settings)
    if files:
        yield _look("tls", lambda: _tls(settings))
    for path in files:
        try:
            found = read_certificates(path)
        except IsocenterError as error:
            yield Line(f"certificate {path.name}", False, str(error))
            continue
        for certificate in found:
            yield _look(f"certificate {path.name}", partial(_certificate, certificate))


def _tls(settings: Settings) -> str:
    require_usable(settings)
    return "keys fit their certificates, and nobody else may read them"


def _certificate(certificate: Certificate) -> str:
    sentence = f"{certificate.subject}: {words(certificate.not_after, now())}"
    if remaining(certificate.not_after, now()) <= Remaining.A_DAY:
        raise _Unfit(f"{sentence}: have it renewed")
    return sentence


def _destination(settings: Settings, destination: Destination) -> str:
    if isinstance(destination, DicomWebDestination):
        server = web_server_for(settings, destination, answer_seconds=destination.answer_seconds)
        QidoIndex(server).require_answer()
        return f"{server} answers QIDO-RS"
    if isinstance(destination, FolderDestination):
        folder = folder_for(settings, destination)
        folder.probe()
        return f"{folder} can be written"
    remote = remote_for(settings, destination)
    echo(remote)
    may_report = destination.ae_title in {peer.ae_title for peer in settings.node.receiving.peers}
    if may_report or "commitment" not in destination.proof:
        return f"{remote} answers C-ECHO"
    return (
        f"{remote} answers C-ECHO; name it among receiving.peers, or its reports on storage commitment are turned away"
    )


def main() -> None:
    """`python -m service.commands.doctor <configuration folder>`; exit code 1 when anything is not well."""
    os.umask(OWNER_ONLY)
    unfit = 0
    for line in examine(Path(sys.argv[1])):
        unfit += not line.well
        sys.stdout.write(f"{'ok  ' if line.well else 'FAIL'}  {line.check}: {line.words}\n")
        sys.stdout.flush()
    sys.exit(1 if unfit else 0)


if __name__ == "__main__":
    main()
