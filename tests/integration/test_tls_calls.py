"""Our calls over TLS: whom we trust, who trusts us, and what is said when either does not."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from socket import create_connection
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification

from service.commands.archive import free_port
from service.core.errors import Unreached
from service.core.outbox import Trouble
from service.derived.encoding import encode
from service.edge.archive_index import SeriesName
from service.edge.query import count_instances
from service.edge.storage_scu import Remote, echo, store
from service.edge.tls import TlsFiles, server_context
from service.roles.reaching import remote_for
from service.settings import Settings
from service.settings.destinations import DicomDestination
from service.settings.node import Node
from service.settings.terms import ClientTls
from tests import factories
from tests.certificates import Authority, Identity
from tests.node import until

PROFILES = ("--profile-bcp195-nd", "--profile-bcp195", "--profile-bcp195-ex")
SERIES = SeriesName("1.2.3", "1.2.3.4")
ASK: dict[str, Callable[[Remote], object]] = {
    "C-ECHO": echo,
    "C-FIND": lambda remote: count_instances(remote, SERIES),
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("foreign"), "foreign")


def secured(peer: Identity, trusts: Authority) -> list[str]:
    """DCMTK's options for TLS."""
    return ["+tls", str(peer.private_key), str(peer.certificate), "+cf", str(trusts.certificate)]


Serving = Callable[..., AbstractContextManager[int]]


@pytest.fixture
def serving(outside_tool: Callable[[str], str], tmp_path: Path) -> Serving:
    """DCMTK's storescp with some options, which keeps what it takes in `kept`; gives its port."""
    program, folder = outside_tool("storescp"), tmp_path / "kept"
    folder.mkdir()

    @contextmanager
    def serve(*options: str) -> Iterator[int]:
        port = free_port()
        with (tmp_path / "storescp.log").open("wb") as log:
            line = [program, *options, "-od", str(folder), str(port)]
            process = subprocess.Popen(line, stdout=log, stderr=log)
        try:
            until(lambda: _listens(port), "storescp listens", seconds=15, pause=0.05)
            yield port
        finally:
            process.terminate()
            process.wait(15)

    return serve


def _listens(port: int) -> bool:
    with suppress(ConnectionRefusedError), create_connection(("127.0.0.1", port)):
        return True
    return False


def called(port: int, authority: Authority, identity: Identity | None, host: str = "localhost") -> Remote:
    """A destination as the dispatcher calls it."""
    own = authority.client_settings(identity) if identity else {"authorities": str(authority.certificate)}
    tls = ClientTls.model_validate(own)
    destination = DicomDestination(name="pacs", ae_title="PACS", host=host, port=port, tls=tls)
    settings = Settings(folder=Path("/"), node=Node(), destinations=(destination,), rules=())
    return remote_for(settings, destination)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("images")
    paths = [folder / f"{number}.dcm" for number in range(3)]
    for path, image in zip(paths, factories.ct_series(factories.grid(shape=(3, 64, 64))), strict=True):
        path.write_bytes(encode(image))
    return paths


@pytest.mark.parametrize("key", ["ec", "rsa"])
@pytest.mark.parametrize("profile", PROFILES)
def test_dcmtk_takes_our_objects_by_each_of_its_profiles(
    serving: Serving, authority: Authority, images: list[Path], tmp_path: Path, profile: str, key: str
) -> None:
    peer, own = (authority.certified(name, key=key) for name in ("PACS", "ISOCENTER"))
    with serving(*secured(peer, authority), profile) as port:
        remote = called(port, authority, own)
        echo(remote)
        assert [status for _, status in store(remote, images)] == [0x0000] * len(images)
    assert _uids((tmp_path / "kept").iterdir()) == _uids(images)


def _uids(paths: Iterator[Path] | Sequence[Path]) -> set[str]:
    return {str(dcmread(path).SOPInstanceUID) for path in paths}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another host": ({"hosts": ("pacs.example",)}, "Hostname mismatch, certificate is not valid for 'localhost'"),
    "an expired certificate": ({"days": (-9, -1)}, "certificate has expired"),
    "a certificate for later": ({"days": (1, 9)}, "certificate is not yet valid"),
}


@pytest.mark.parametrize("ask", ASK.values(), ids=ASK.keys())
@pytest.mark.parametrize(("wrong", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_peer_that_does_not_prove_who_it_is_is_refused_with_the_reason(
    serving: Serving, authority: Authority, ask: Callable[[Remote], object], wrong: dict[str, Any], reason: str
) -> None:
    with serving(*secured(authority.certified("PACS", file="wrong", **wrong), authority)) as port:
        refused_by_us(called(port, authority, authority.certified("ISOCENTER")), ask, reason)


@pytest.mark.parametrize("ask", ASK.values(), ids=ASK.keys())
def test_a_peer_of_a_foreign_authority_is_refused_with_the_reason(
    serving: Serving, authority: Authority, foreign: Authority, ask: Callable[[Remote], object]
) -> None:
    with serving(*secured(foreign.certified("PACS"), authority)) as port:
        own = authority.certified("ISOCENTER")
        refused_by_us(called(port, authority, own), ask, "unable to get local issuer certificate")


def refused_by_us(remote: Remote, ask: Callable[[Remote], object], reason: str) -> None:
    """Fails unless we refuse the peer for that reason."""
    with pytest.raises(Unreached) as raised:
        ask(remote)
    assert raised.value.trouble == Trouble.CONFIGURATION
    assert f"{remote} shows a certificate that we refuse: {reason}" in str(raised.value)


@pytest.mark.parametrize("ask", ASK.values(), ids=ASK.keys())
@pytest.mark.parametrize("shown", ["one of a foreign authority", "none", "an expired one"])
def test_a_peer_that_refuses_our_certificate_is_a_matter_of_configuration(
    authority: Authority,
    foreign: Authority,
    serving: Serving,
    ask: Callable[[Remote], object],
    shown: str,
) -> None:
    own = {
        "one of a foreign authority": foreign.certified("ISOCENTER"),
        "none": None,
        "an expired one": authority.certified("ISOCENTER", days=(-9, -1), file="outdated"),
    }[shown]
    peer = secured(authority.certified("PACS"), authority)
    with serving(*peer) as port:
        remote = called(port, authority, own)
        with pytest.raises(Unreached, match="refuses our certificate or version of TLS: alert") as raised:
            ask(remote)
    assert raised.value.trouble == Trouble.CONFIGURATION


@pytest.mark.parametrize("ask", ASK.values(), ids=ASK.keys())
def test_a_peer_without_tls_is_named_as_such(
    serving: Serving, authority: Authority, ask: Callable[[Remote], object]
) -> None:
    with serving() as port:
        remote = called(port, authority, authority.certified("ISOCENTER"))
        with pytest.raises(Unreached, match="closed the connection within the TLS handshake"):
            ask(remote)
        echo(replace(remote, tls=None))


def test_an_archive_is_asked_over_tls(authority: Authority) -> None:
    peer, own = authority.certified("PACS"), authority.certified("ISOCENTER")
    files = TlsFiles("here", authority.certificate, peer.certificate, peer.private_key)
    entity = AE("PACS")
    entity.add_supported_context(Verification)
    entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    handlers = [(evt.EVT_C_FIND, _found)]
    server = entity.start_server(
        ("127.0.0.1", 0), block=False, ssl_context=server_context(files), evt_handlers=handlers
    )
    try:
        remote = called(server.socket.getsockname()[1], authority, own)
        echo(remote)
        assert count_instances(remote, SERIES) == 7
    finally:
        server.shutdown()


def _found(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
    answer = Dataset()
    answer.QueryRetrieveLevel, answer.SeriesInstanceUID = "SERIES", event.identifier.SeriesInstanceUID
    answer.NumberOfSeriesRelatedInstances = 7
    yield 0xFF00, answer
    yield 0x0000, None


def test_a_peer_that_is_not_there_is_a_matter_of_the_network(authority: Authority) -> None:
    with pytest.raises(Unreached, match="over TLS is not reachable: Connection refused") as raised:
        echo(called(free_port(), authority, authority.certified("ISOCENTER")))
    assert raised.value.trouble == Trouble.NETWORK
