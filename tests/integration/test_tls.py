"""The TLS port: who comes in, who does not, and that a good peer notices nothing of those who do not."""

import ssl
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from socket import create_server, socket
from threading import Thread

import pytest

from service.commands.archive import free_port
from service.core.doorkeeping import Admitted, objection
from service.derived.encoding import encode
from service.edge.intake import Answer, Refused
from service.edge.listening import listening
from service.edge.storage_scp import Door, StorageScp
from service.edge.tls import Credentials, TlsFiles, server_context
from tests import factories
from tests.certificates import Authority, Identity
from tests.hostile.client import GOOD, GOOD_ADDRESS, Client, NotServedError, dial, dial_secured
from tests.hostile.good_peer import GoodPeer
from tests.hostile.receiver import Receiver, receiving
from tests.node import run_command, until

PROFILES = ("--profile-bcp195-nd", "--profile-bcp195", "--profile-bcp195-ex")
PATIENT = {"handshake_seconds": 10.0, "pdu_seconds": 10.0, "idle_seconds": 30.0}
NAMED, PINNED = "NAMED", "PINNED"
ATTACK_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Site:
    """A receiver with both ports, and whoever is to call it."""

    receiver: Receiver
    authority: Authority
    foreign: Authority
    own: Identity
    good: Identity

    def dial(self, identity: Identity | None) -> socket:
        """A connection to the TLS port."""
        return self.secured(self.authority.context(identity))

    def secured(self, context: ssl.SSLContext) -> socket:
        """A connection to the TLS port by a context."""
        return dial_secured(self.receiver.tls_port, GOOD_ADDRESS, context)

    def stranger(self) -> socket:
        """A connection to the TLS port, by a certificate of an authority that the receiver does not know."""
        context = self.authority.context(None)
        theirs = self.foreign.certified("GOOD")
        context.load_cert_chain(theirs.certificate, theirs.private_key)
        return self.secured(context)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "foreign").mkdir()
    authority, foreign = Authority(folder), Authority(folder / "foreign", "foreign")
    own, good = authority.certified("ISOCENTER"), authority.certified("GOOD", hosts=("Good.Hospital.example",))
    peers = [
        {"ae_title": NAMED, "host": "127.0.0.1", "certificate": "good.hospital.example"},
        {"ae_title": PINNED, "host": "127.0.0.1", "certificate": f"sha256:{good.sha256}"},
    ]
    tls = authority.settings(own, free_port())
    with receiving(folder / "receiver", limits=PATIENT, tls=tls, peers=peers) as receiver:
        yield Site(receiver, authority, foreign, own, good)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def echoes(connection: socket, calling: str = GOOD) -> bool:
    """C-ECHO in an association over the connection. Raises NotServedError when there is none to be had."""
    with closing(connection):
        client = Client(connection)
        client.associate(calling)
        answered = client.echo() == 0
        client.release()
    return answered


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("images")
    paths = [folder / f"{number}.dcm" for number in range(3)]
    for path, image in zip(paths, factories.ct_series(factories.grid(shape=(3, 64, 64))), strict=True):
        path.write_bytes(encode(image))
    return [str(path) for path in paths]


@pytest.mark.parametrize("key", ["ec", "rsa"])
@pytest.mark.parametrize("profile", PROFILES)
def test_dcmtk_verifies_and_stores_by_each_of_its_profiles(
    site: Site, images: list[str], outside_tool: Callable[[str], str], profile: str, key: str
) -> None:
    peer = site.authority.certified(GOOD, key=key, file=key)
    options = ["+tls", str(peer.private_key), str(peer.certificate), "+cf", str(site.authority.certificate), profile]
    where = ["-aet", GOOD, "-aec", "ISOCENTER", "127.0.0.1", str(site.receiver.tls_port)]
    for program, files in (("echoscu", []), ("storescu", images)):
        seen = subprocess.run(
            [outside_tool(program), *options, *where, *files], capture_output=True, text=True, check=False, timeout=60
        )
        assert seen.returncode == 0, seen.stderr
    assert len(site.receiver.kept()) >= len(images)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_both_versions_of_tls_that_are_allowed_are_served(site: Site, version: ssl.TLSVersion) -> None:
    context = site.authority.context(site.good)
    context.minimum_version = context.maximum_version = version
    assert echoes(site.secured(context))


def of_tls_1_1(authority: Authority, identity: Identity) -> ssl.SSLContext:
    """A client that speaks TLS 1.1 and nothing later."""
    context = authority.context(identity)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


REFUSED: dict[str, tuple[Callable[[Site], socket], str]] = {
    "no certificate": (lambda site: site.dial(None), "peer did not return a certificate"),
    "an expired one": (
        lambda site: site.dial(site.authority.certified(GOOD, days=(-9, -1), file="expired")),
        "certificate has expired",
    ),
    "one for later": (
        lambda site: site.dial(site.authority.certified(GOOD, days=(1, 9), file="later")),
        "certificate is not yet valid",
    ),
    "one of a foreign authority": (Site.stranger, "unable to get local issuer certificate"),
    "TLS 1.1": (lambda site: site.secured(of_tls_1_1(site.authority, site.good)), "unsupported protocol"),
    "no TLS": (lambda site: dial(site.receiver.tls_port, GOOD_ADDRESS), "wrong version number"),
    "TLS on the plain port": (
        lambda site: dial_secured(site.receiver.port, GOOD_ADDRESS, site.authority.context(site.good)),
        "the first PDU announces",
    ),
}


@pytest.mark.parametrize(("attempt", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_who_does_not_prove_who_he_is_is_refused_and_the_log_says_why(
    site: Site, attempt: Callable[[Site], socket], reason: str
) -> None:
    before = len(site.receiver.reasons())
    with pytest.raises((NotServedError, OSError)):
        echoes(attempt(site))
    until(lambda: len(site.receiver.reasons()) > before, "the refusal is logged", seconds=10, pause=0.05)
    assert reason in site.receiver.reasons()[before]


def test_the_client_of_tls_1_1_would_be_served_by_a_server_that_allows_it(site: Site) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(site.own.certificate, site.own.private_key)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1_1

    def serve(listener: socket) -> None:
        connection, _ = listener.accept()
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)

    with create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve, args=[listener])
        thread.start()
        client = of_tls_1_1(site.authority, site.good)
        with dial_secured(listener.getsockname()[1], GOOD_ADDRESS, client) as connection:
            assert connection.version() == "TLSv1.1"
        thread.join()


@pytest.mark.parametrize("calling", [NAMED, PINNED])
def test_an_ae_title_with_a_certificate_comes_in_by_that_certificate(site: Site, calling: str) -> None:
    assert echoes(site.dial(site.good), calling)


@pytest.mark.parametrize("calling", [NAMED, PINNED])
@pytest.mark.parametrize(
    ("name", "hosts"),
    [
        pytest.param("OTHER", ("other.hospital.example",), id="another name"),
        pytest.param("OTHER", ("good.hospital.example.evil.example",), id="a longer name"),
        pytest.param("OTHER", ("*.hospital.example",), id="a wildcard"),
        pytest.param("good.hospital.example\0.evil.example", ("good.hospital.example\0x",), id="a NUL inside"),
        pytest.param("Good.Hospital.Example", ("127.0.0.1",), id="a common name of another case"),
    ],
)
def test_an_ae_title_with_a_certificate_is_refused_by_that_of_another(
    site: Site, calling: str, name: str, hosts: tuple[str, ...]
) -> None:
    before = len(site.receiver.reasons())
    other = site.authority.certified(name, hosts=hosts, file="other")
    with pytest.raises(NotServedError, match="PDU type 3 00010103"):  # rejected: calling AE title not recognized
        echoes(site.dial(other), calling)
    until(lambda: len(site.receiver.reasons()) > before, "the refusal is logged", seconds=10, pause=0.05)
    assert f"'{calling}' from 127.0.0.1 showed the certificate of " in site.receiver.reasons()[before]
    assert "its entry of peers names another" in site.receiver.reasons()[before]


def test_an_ae_title_with_a_certificate_is_refused_on_the_plain_port(site: Site) -> None:
    before = len(site.receiver.reasons())
    with pytest.raises(NotServedError, match="PDU type 3 00010103"):
        echoes(dial(site.receiver.port, GOOD_ADDRESS), NAMED)
    until(lambda: len(site.receiver.reasons()) > before, "the refusal is logged", seconds=10, pause=0.05)
    assert "'NAMED' from 127.0.0.1 came without TLS" in site.receiver.reasons()[before]


class Secured:
    """An SCP whose every connection is one with TLS."""

    def __init__(self, scp: StorageScp, credentials: Credentials) -> None:
        self._credentials = credentials
        self._scp = scp
        self.stop = scp.stop

    def serve(self, connection: socket, address: str) -> None:
        """Serve one."""
        self._scp.serve(connection, address, tls=self._credentials)


@pytest.mark.parametrize("engine", ["fast", "stock"])
def test_both_engines_ask_for_the_certificate_of_an_ae_title(authority: Authority, engine: str) -> None:
    own, good, other = (authority.certified(name) for name in ("ISOCENTER", "GOOD", "OTHER"))
    entry = Admitted(GOOD, "ISOCENTER", ip_network("127.0.0.1"), "GOOD")
    scp = StorageScp(
        Door("ISOCENTER", partial(objection, [entry]), engine=engine), lambda _: Refused(Answer(0)), lambda _: None
    )
    files = TlsFiles("here", authority.certificate, own.certificate, own.private_key)
    with listening(Secured(scp, Credentials(files, server_context))) as port:
        assert echoes(dial_secured(port, GOOD_ADDRESS, authority.context(good)))
        with pytest.raises(NotServedError, match="PDU type 3 00010103"):
            echoes(dial_secured(port, GOOD_ADDRESS, authority.context(other)))
        until(lambda: not scp.open_associations(), "the associations are over", seconds=10, pause=0.05)


def test_a_good_peer_is_served_on_both_ports_while_others_are_refused(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    secured = GoodPeer(partial(site.dial, site.good))
    plain = GoodPeer(partial(dial, site.receiver.port, GOOD_ADDRESS))
    refused, end = 0, time.monotonic() + ATTACK_SECONDS
    with secured, plain:
        while time.monotonic() < end:
            for attempt, _ in REFUSED.values():
                with suppress(NotServedError, OSError):
                    assert not echoes(attempt(site))
                refused += 1
            with suppress(NotServedError, OSError):
                assert not echoes(site.dial(site.good), "UNKNOWN")
    assert (secured.failures, plain.failures) == ([], [])
    assert min(len(secured.stored), len(plain.stored), refused) >= 3
    assert secured.stored | plain.stored <= site.receiver.kept()
    assert site.receiver.unhandled() == []
    with capsys.disabled():
        print(f" [{refused} refused beside {len(secured.stored)} good rounds with TLS, {len(plain.stored)} without]")


def test_a_new_certificate_is_shown_without_a_restart_and_a_broken_one_never(
    authority: Authority, tmp_path: Path
) -> None:
    own, good = authority.certified("ISOCENTER"), authority.certified("GOOD")
    successor = authority.certified("ISOCENTER", key="rsa", file="successor")

    def shown(receiver: Receiver) -> set[str]:
        """What connections are shown that are open at once, and so are served by all acceptors."""
        with ExitStack() as stack:
            context = authority.context(good)
            dialled = [dial_secured(receiver.tls_port, GOOD_ADDRESS, context) for _ in range(4)]
            secured = [stack.enter_context(connection) for connection in dialled]
            return {ssl.DER_cert_to_PEM_cert(each.getpeercert(binary_form=True) or b"") for each in secured}

    with receiving(tmp_path / "receiver", limits=PATIENT, tls=authority.settings(own, free_port())) as receiver:
        assert shown(receiver) == {own.certificate.read_text()}
        own.replace_with(successor)
        assert shown(receiver) == {successor.certificate.read_text()}
        own.certificate.write_text("damaged")
        assert shown(receiver) == {successor.certificate.read_text()}
        assert any("receiving.tls: " in reason and "cannot be used" in reason for reason in receiver.reasons())


def test_a_node_whose_key_others_may_read_does_not_start(authority: Authority, tmp_path: Path) -> None:
    own = authority.certified("ISOCENTER")
    own.private_key.chmod(0o640)
    tls = ", ".join(f"{name}: {path}" for name, path in authority.client_settings(own).items())
    (tmp_path / "node.yaml").write_text(f"receiving: {{port: {free_port()}, tls: {{port: {free_port()}, {tls}}}}}\n")
    for name in ("destinations", "rules"):
        (tmp_path / f"{name}.yaml").write_text(f"{name}: []\n")
    seen = run_command("serve", "--config", str(tmp_path))
    assert seen.returncode == 1
    assert f"receiving.tls: {own.private_key} may be read by others (640): chmod 600" in seen.stderr
