"""TLS towards a peer: what goes through, and the words for what does not."""

import ssl
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.core.errors import Unreached
from service.core.outbox import Trouble
from service.edge.dialing import Deadlines, Remote
from service.edge.storage_scu import echo, store
from tests.delivery import certificates
from tests.delivery.certificates import Authority, authority, certified
from tests.delivery.objects import write_object
from tests.delivery.peers import Gone, Script, Visit, peer
from tests.hostile import wire

SHORT = Deadlines(negotiation_seconds=1.0, stall_seconds=0.5)


@dataclass(frozen=True, slots=True)
class Keys:
    """The authority of a site, a stranger's, and certificates by what they are good for."""

    folder: Path
    site: Authority
    stranger: Authority

    def certified(self, name: str, **wrong: str | int) -> Path:
        return certified(self.folder, self.site, name, **wrong)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder = tmp_path_factory.mktemp("keys")
    return Keys(folder, authority(folder, "site"), authority(folder, "stranger"))


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


def remote(port: int, context: ssl.SSLContext) -> Remote:
    return Remote("ISOCENTER", "PACS", "127.0.0.1", port, context, answer_seconds=5)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_objects_go_through_mutual_tls(tmp_path: Path, keys: Keys, version: ssl.TLSVersion) -> None:
    paths = [write_object(tmp_path / f"{size}.dcm", size) for size in (100, 3_000_000)]
    context = certificates.client(keys.site.file, keys.certified("us"))
    context.minimum_version = context.maximum_version = version
    with peer(secured(certificates.server(keys.certified("pacs"), keys.site.file), takes=2)) as port:
        assert list(store(remote(port, context), paths)) == [(path, 0x0000) for path in paths]


def test_a_peer_that_stops_taking_what_comes_through_tls_is_given_up(tmp_path: Path, keys: Keys) -> None:
    path = write_object(tmp_path / "object.dcm", 24 << 20)
    context = certificates.server(keys.certified("pacs"))

    def stalls(visit: Visit) -> None:
        visit.connection = context.wrap_socket(visit.connection, server_side=True)
        visit.accept()
        visit.connection.recv(1000)
        visit.wait()

    with peer(stalls) as port:
        began = time.monotonic()
        assert list(store(remote(port, certificates.client(keys.site.file)), [path], SHORT)) == [(path, None)]
        assert time.monotonic() - began < 4


def refused(port: int, context: ssl.SSLContext) -> tuple[Trouble, str]:
    with pytest.raises(Unreached) as caught:
        echo(remote(port, context), SHORT)
    return Trouble(caught.value.trouble), str(caught.value)


def test_a_certificate_that_is_wrong_is_told_as_what_is_wrong_with_it(keys: Keys) -> None:
    wrong = {
        "its certificate has expired": keys.certified("expired", ended_days_ago=1),
        "its certificate is not for the host name 127.0.0.1": keys.certified("elsewhere", address="10.0.0.5"),
        "its certificate is of an authority that is not trusted here": certified(keys.folder, keys.stranger, "foreign"),
    }
    for words, certificate in wrong.items():
        with peer(secured(certificates.server(certificate))) as port:
            trouble, sentence = refused(port, certificates.client(keys.site.file))
        assert trouble is Trouble.CONFIGURATION
        assert sentence == f"PACS at 127.0.0.1:{port}: {words}"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("ours", "words"),
    [
        pytest.param("", "certificate of ours", id="none"),
        pytest.param("foreign", "it does not know the authority of our certificate", id="of an unknown authority"),
        pytest.param("expired", "it says that our certificate has expired", id="expired"),
    ],
)
def test_a_peer_that_refuses_our_certificate_is_a_matter_of_configuration(
    keys: Keys, version: ssl.TLSVersion, ours: str, words: str
) -> None:
    of_ours = {
        "": None,
        "foreign": certified(keys.folder, keys.stranger, "us"),
        "expired": keys.certified("late", ended_days_ago=1),
    }
    context = certificates.client(keys.site.file, of_ours[ours])
    context.minimum_version = context.maximum_version = version
    with peer(secured(certificates.server(keys.certified("pacs"), keys.site.file))) as port:
        trouble, sentence = refused(port, context)
    assert trouble is Trouble.CONFIGURATION
    assert words in sentence


def test_a_peer_without_tls_says_so(keys: Keys) -> None:
    def speaks_plainly(visit: Visit) -> None:
        visit.connection.recv(1000)
        visit.say(wire.pdu(wire.ABORT, bytes(4)))
        visit.wait()

    with peer(speaks_plainly) as port:
        trouble, sentence = refused(port, certificates.client(keys.site.file))
    assert trouble is Trouble.CONFIGURATION
    assert sentence.endswith("it does not speak TLS on this port")


def test_a_peer_that_never_shakes_hands_is_unreachable_within_the_deadline(keys: Keys) -> None:
    with peer(lambda visit: visit.wait()) as port:
        began = time.monotonic()
        trouble, sentence = refused(port, certificates.client(keys.site.file))
    assert trouble is Trouble.NETWORK
    assert "TLS" in sentence
    assert time.monotonic() - began < 3
