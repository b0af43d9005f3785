"""TLS towards a peer: what goes through, and the words for what does not."""

import ssl
import time
from pathlib import Path

import pytest
from pynetdicom import build_context
from pynetdicom.sop_class import Verification

from service.core.errors import Unreached
from service.core.outbox import Trouble
from service.edge.dialing import Deadlines, Remote
from service.edge.storage_scu import associated, echo, store
from service.edge.tls import Credentials, TlsFiles, client_context, server_context
from tests.certificates import Authority
from tests.delivery.objects import write_object
from tests.delivery.peers import Gone, Script, Visit, peer

SHORT = Deadlines(negotiation_seconds=1.0, stall_seconds=0.5)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("keys"))


def server(site: Authority) -> ssl.SSLContext:
    """The context of a peer that asks us for a certificate."""
    return server_context(files(site, "pacs"))


def files(site: Authority, name: str) -> TlsFiles:
    identity = site.certified(name)
    return TlsFiles(name, site.certificate, identity.certificate, identity.private_key)


def secured(context: ssl.SSLContext, *, takes: int = 1) -> Script:
    """A script: TLS, then store as many objects as it is sent."""

    def script(visit: Visit) -> None:
        try:
            visit.connection = context.wrap_socket(visit.connection, server_side=True)
        except OSError:
            return
        visit.accept()
        for _ in range(takes):
            visit.answer(visit.request())
        with pytest.raises(Gone):
            visit.request()

    return script


def remote(port: int, site: Authority, version: ssl.TLSVersion | None = None) -> Remote:
    def context(named: TlsFiles) -> ssl.SSLContext:
        made = client_context(named)
        if version:
            made.minimum_version = made.maximum_version = version
        return made

    return Remote("ISOCENTER", "PACS", "127.0.0.1", port, Credentials(files(site, "us"), context), answer_seconds=5)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_objects_go_through_mutual_tls(tmp_path: Path, site: Authority, version: ssl.TLSVersion) -> None:
    paths = [write_object(tmp_path / f"{size}.dcm", size) for size in (100, 3_000_000)]
    with peer(secured(server(site), takes=2)) as port:
        assert list(store(remote(port, site, version), paths)) == [(path, 0x0000) for path in paths]


def test_other_services_go_through_tls_too(site: Authority) -> None:
    with (
        peer(secured(server(site))) as port,
        associated(remote(port, site), [build_context(Verification)]) as association,
    ):
        assert association.send_c_echo().Status == 0x0000


def test_a_peer_that_stops_taking_what_comes_through_tls_is_given_up(tmp_path: Path, site: Authority) -> None:
    path = write_object(tmp_path / "object.dcm", 24 << 20)
    context = server(site)

    def stalls(visit: Visit) -> None:
        visit.connection = context.wrap_socket(visit.connection, server_side=True)
        visit.accept()
        visit.connection.recv(1000)
        visit.wait()

    with peer(stalls) as port:
        began = time.monotonic()
        assert list(store(remote(port, site), [path], SHORT)) == [(path, None)]
        assert time.monotonic() - began < 4


def refused(port: int, site: Authority) -> tuple[Trouble, str]:
    with pytest.raises(Unreached) as caught:
        echo(remote(port, site), SHORT)
    return Trouble(caught.value.trouble), str(caught.value)


def test_a_peer_that_never_shakes_hands_is_unreachable_within_the_deadline(site: Authority) -> None:
    with peer(lambda visit: visit.wait()) as port:
        began = time.monotonic()
        trouble, sentence = refused(port, site)
    assert trouble is Trouble.NETWORK
    assert "TLS" in sentence
    assert time.monotonic() - began < 3
