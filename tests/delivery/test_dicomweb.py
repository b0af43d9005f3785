"""What becomes of an object that goes by STOW-RS, whatever the server does."""

import logging
import socket
import ssl
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread
from structlog.testing import capture_logs

from service.commands.archive import Orthanc, free_port
from service.core.errors import TryAgain, Unreached, Unsuitable
from service.core.outbox import UNREADABLE, DeliveryState, Trouble, judge
from service.derived.encoding import encode
from service.edge.dicomweb import DicomWebPeer
from service.edge.part10 import read_reference
from service.edge.web import WebServer
from tests import factories
from tests.certificates import Authority, Identity
from tests.delivery.scripted import (
    Answer,
    Scripted,
    dripping,
    flood,
    hanging_up,
    listing,
    scripted,
    silence,
    status,
    told,
)

TOKEN = "mF_9.B5f-4.1JqM"
PATIENCE = 1.5  # of the tests, for an answer
GARBAGE = b'{"00081199": {"vr": "SQ", "Value": [17, null, {"00081155": []}]'
PAGE_OF_A_GATEWAY = b"<html>Please log in</html>"
HUGE = {"Content_Length": str(4 * 1024**3)}


def peer(server: Scripted, **more: Path | float | None) -> DicomWebPeer:
    return DicomWebPeer(WebServer(server.url, **{"answer_seconds": PATIENCE, **more}))  # type: ignore[arg-type]


def statuses(carrier: DicomWebPeer, paths: list[Path]) -> list[int | None]:
    return [each for _, each in carrier.store(paths)]


def test_orthanc_has_the_same_bytes_and_says_which_it_has(objects: list[Path], pacs: Orthanc) -> None:
    carrier = DicomWebPeer(WebServer(f"http://127.0.0.1:{pacs.http_port}/dicom-web"))
    references = [read_reference(path) for path in objects]
    assert carrier.held(references) == set()

    assert list(carrier.store(objects)) == [(path, 0x0000) for path in objects]

    kept = {str(dataset.SOPInstanceUID): dataset for dataset in pacs.datasets()}
    assert [kept[path.stem] for path in objects] == [dcmread(path) for path in objects]
    assert carrier.held(references) == {path.stem for path in objects}


def test_a_request_is_one_object_as_multipart_related(objects: list[Path]) -> None:
    with scripted(told(200)) as server:
        assert statuses(peer(server), objects) == [0, 0]
    first = server.asked[0]
    kind, form, boundary = first.headers["Content-Type"].split("; ")
    assert (first.path, kind, form) == ("/dicom-web/studies", "multipart/related", 'type="application/dicom"')
    assert first.headers["Accept"] == "application/dicom+json"
    head, content, tail = first.body.split(f"--{boundary.removeprefix('boundary=')}".encode())
    assert (head, tail) == (b"", b"--\r\n")
    assert content == b"\r\nContent-Type: application/dicom\r\n\r\n" + objects[0].read_bytes() + b"\r\n"


@pytest.mark.parametrize(
    ("answer", "expected", "state"),
    [
        pytest.param(told(200), 0x0000, "SENT", id="200"),
        pytest.param(told(202), 0x0000, "SENT", id="202"),
        pytest.param(told(200, warning=0xB006), 0xB000, "SENT", id="200 with a warning"),
        pytest.param(told(202, failed=0xA900), 0xA900, "WAITING", id="202 and it failed"),
        pytest.param(told(409, failed=0x0122), 0x0122, "PARKED", id="409 and the SOP Class is not supported"),
        pytest.param(told(409, failed=0x0111), 0x0111, "SENT", id="409 and it has it already"),
        pytest.param(told(409, failed=0xA700), 0xA700, "WAITING", id="409 and out of resources"),
        pytest.param(told(200, failed=0x0000), 0x0110, "WAITING", id="failed for success"),
        pytest.param(told(200, failed=0xB000), 0x0110, "WAITING", id="failed for a warning"),
        pytest.param(status(200, GARBAGE), 0x0110, "WAITING", id="200 with half of JSON"),
        pytest.param(status(200, GARBAGE + b"}]"), 0x0110, "WAITING", id="200 with JSON of another shape"),
        pytest.param(status(200, b"[" * 100_000), 0x0110, "WAITING", id="200 with JSON nested too deeply"),
        pytest.param(status(200, PAGE_OF_A_GATEWAY), 0x0110, "WAITING", id="200 of something else"),
        pytest.param(status(200), 0x0110, "WAITING", id="200 without a body"),
        pytest.param(status(409), 0x0110, "WAITING", id="409 without a body"),
        pytest.param(status(400), 0xC000, "WAITING", id="400"),
        pytest.param(status(413, PAGE_OF_A_GATEWAY), 0xC000, "WAITING", id="413"),
        pytest.param(status(415), 0xC000, "WAITING", id="415"),
        pytest.param(status(500), 0x0110, "WAITING", id="500"),
        pytest.param(status(502), None, "WAITING", id="502"),
        pytest.param(status(504), None, "WAITING", id="504"),
        pytest.param(status(200, b"", **HUGE), 0x0110, "WAITING", id="4 GiB announced"),
        pytest.param(flood, 0x0110, "WAITING", id="gigabytes"),
        pytest.param(silence, None, "WAITING", id="silence"),
        pytest.param(hanging_up, None, "WAITING", id="hanging up"),
        pytest.param(dripping(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), None, "WAITING", id="a head that drips"),
        pytest.param(dripping(b"HTTP/1.1 200 OK\r\n\r\n"), None, "WAITING", id="a body that drips"),
        pytest.param(dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), None, "WAITING", id="100 Continue for ever"),
        pytest.param(status(200, b"", Bad_Header="x" * 200_000), None, "WAITING", id="a head without end"),
    ],
)
def test_an_answer_becomes_its_status_in_time(
    objects: list[Path], answer: Answer, expected: int | None, state: str
) -> None:
    began = time.monotonic()
    with scripted(answer) as server:
        assert statuses(peer(server), objects[:1]) == [expected]
        assert time.monotonic() - began < PATIENCE + 1
    assert judge(expected, attempts=0).state == DeliveryState(state)


def test_what_is_told_of_another_object_is_not_taken_for_this_one(objects: list[Path]) -> None:
    other = b'{"00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2.3"]}}]}}'
    with scripted(status(200, other)) as server:
        assert statuses(peer(server), objects[:1]) == [0x0110]


@pytest.mark.parametrize(
    ("code", "trouble", "words"),
    [
        pytest.param(301, Trouble.CONFIGURATION, "redirects are not followed", id="301"),
        pytest.param(401, Trouble.CONFIGURATION, "see token_file", id="401"),
        pytest.param(403, Trouble.CONFIGURATION, "have it allowed there", id="403"),
        pytest.param(404, Trouble.CONFIGURATION, "see url", id="404"),
        pytest.param(406, Trouble.CONFIGURATION, "application/dicom[+]json", id="406"),
        pytest.param(429, Trouble.BUSY, "it is busy", id="429"),
        pytest.param(503, Trouble.BUSY, "it is busy", id="503"),
    ],
)
def test_a_server_that_takes_nothing_is_named_with_its_path_and_the_cure(
    objects: list[Path], code: int, trouble: Trouble, words: str
) -> None:
    with scripted(told(200), status(code, Location="http://127.0.0.1:1/elsewhere")) as server:
        sending = peer(server).store(objects)
        assert next(sending) == (objects[0], 0)
        with pytest.raises(Unreached, match=f"{server.url}/studies answered {code}: .*{words}") as raised:
            next(sending)
    assert raised.value.trouble == trouble
    assert len(server.asked) == 2


def test_a_redirect_is_not_followed(objects: list[Path]) -> None:
    with scripted(told(200)) as elsewhere, scripted(status(307, Location=elsewhere.url)) as server:
        with pytest.raises(Unreached):
            statuses(peer(server), objects)
        assert elsewhere.asked == []


def test_no_proxy_of_the_environment_is_used(objects: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(told(200)) as proxy, scripted(told(200)) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert statuses(peer(server), objects) == [0, 0]
        assert proxy.asked == []


@contextmanager
def nobody() -> Iterator[int]:
    yield free_port()


@contextmanager
def black_hole() -> Iterator[int]:
    """Connections are made, and nothing is ever read."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield int(listener.getsockname()[1])


@contextmanager
def full_queue() -> Iterator[int]:
    """Nothing is even accepted: the queue of the listener is full, as behind a firewall that drops."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = int(listener.getsockname()[1])
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        yield port
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("place", [nobody, full_queue], ids=["nobody listens", "nothing is accepted"])
def test_a_server_that_is_not_there_is_a_matter_of_the_network(
    objects: list[Path], place: Callable[[], AbstractContextManager[int]], scheme: str
) -> None:
    began = time.monotonic()
    with place() as port, pytest.raises(Unreached, match="is not reachable") as raised:
        statuses(DicomWebPeer(WebServer(f"{scheme}://127.0.0.1:{port}/dicom-web")), objects)
    assert raised.value.trouble == Trouble.NETWORK
    assert time.monotonic() - began < 8


def test_a_black_hole_is_left_in_less_than_fifteen_seconds(objects: list[Path]) -> None:
    began = time.monotonic()
    with black_hole() as port:
        assert statuses(DicomWebPeer(WebServer(f"http://127.0.0.1:{port}/x")), objects[:1]) == [None]
    assert time.monotonic() - began < 15


def test_a_server_that_does_not_read_is_left_in_mid_send(tmp_path: Path) -> None:
    began = time.monotonic()
    with black_hole() as port:
        carrier = DicomWebPeer(WebServer(f"http://127.0.0.1:{port}/x", answer_seconds=PATIENCE))
        assert statuses(carrier, [large(tmp_path)]) == [None]
    assert 5 < time.monotonic() - began < 15


def large(folder: Path, mebibytes: int = 32) -> Path:
    image = factories.ct_series(factories.grid(shape=(1, 8, 8)))[0]
    image.PixelData = bytes(mebibytes * 1024 * 1024)
    path = folder / f"{image.SOPInstanceUID}.dcm"
    path.write_bytes(encode(image))
    return path


def test_a_large_object_is_never_in_memory(tmp_path: Path) -> None:
    path = large(tmp_path)
    with scripted(told(200)) as server:
        tracemalloc.start()
        try:
            assert statuses(peer(server, answer_seconds=30.0), [path]) == [0]
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert server.asked[0].length > path.stat().st_size
    assert peak < 6 * 1024 * 1024


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"x" * 200)], ids=["gone", "damaged"])
def test_a_file_that_cannot_be_read_holds_up_no_other(objects: list[Path], damage: Callable[[Path], object]) -> None:
    damage(objects[0])
    with scripted(told(200)) as server:
        assert statuses(peer(server), objects) == [UNREADABLE, 0]


def secret(path: Path, content: str = TOKEN, mode: int = 0o600) -> Path:
    path.touch()
    path.write_text(content)
    path.chmod(mode)
    return path


def test_the_token_is_read_anew_for_each_connection(objects: list[Path], tmp_path: Path) -> None:
    token = secret(tmp_path / "token", "the old one\n".replace(" ", "-"))
    with scripted(told(200), token="the-old-one") as server:
        carrier = peer(server, token_file=token)
        assert statuses(carrier, objects) == [0, 0]
        server.token = TOKEN
        secret(token)
        assert statuses(carrier, objects) == [0, 0]


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        pytest.param(TOKEN, 0o640, "others can read .*token: chmod 600 it", id="readable by a group"),
        pytest.param(TOKEN, 0o604, "others can read", id="readable by all"),
        pytest.param("", 0o600, "has to hold a token", id="empty"),
        pytest.param(f"{TOKEN}\r\nX-Evil: 1", 0o600, "has to hold a token", id="two lines"),
    ],
)
def test_a_token_file_that_is_no_secret_or_no_token_is_refused_before_anything_is_sent(
    objects: list[Path], tmp_path: Path, content: str, mode: int, words: str
) -> None:
    token = secret(tmp_path / "token", content, mode)
    with scripted(told(200)) as server, pytest.raises(Unreached, match=words) as raised:
        statuses(peer(server, token_file=token), objects)
    assert raised.value.trouble == Trouble.CONFIGURATION
    assert TOKEN not in str(raised.value)
    assert server.asked == []


def test_the_token_is_neither_logged_nor_shown(
    objects: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token = secret(tmp_path / "token")
    said: list[object] = []
    with caplog.at_level(logging.DEBUG), capture_logs() as events, scripted(told(200), status(413)) as server:
        carrier = peer(server, token_file=token)
        said += [carrier, repr(carrier), statuses(carrier, objects)]
        server.token = "another"
        with pytest.raises(Unreached) as raised:
            statuses(carrier, objects)
        said += [raised.value, repr(raised.value)]
    assert server.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in f"{said} {events} {caplog.text}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "authority")


def context_of(identity: Identity, clients_of: Authority | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.private_key)
    if clients_of:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients_of.certificate)
    return context


def test_objects_go_over_tls_with_a_token(objects: list[Path], authority: Authority, tmp_path: Path) -> None:
    context = context_of(authority.certified("server"))
    with scripted(told(200), token=TOKEN, context=context) as server:
        carrier = peer(server, token_file=secret(tmp_path / "token"), authorities=authority.certificate)
        assert statuses(carrier, objects) == [0, 0]
        assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("address", "days", "known"),
    [
        pytest.param("127.0.0.1", 90, False, id="of an unknown authority"),
        pytest.param("127.0.0.2", 90, True, id="of another server"),
        pytest.param("127.0.0.1", -1, True, id="expired"),
    ],
)
def test_a_server_that_does_not_prove_itself_gets_neither_object_nor_token(
    objects: list[Path], authority: Authority, tmp_path: Path, address: str, days: int, known: bool
) -> None:
    trusted = authority if known else Authority(tmp_path, "stranger")
    context = context_of(authority.certified("impostor", hosts=(address,), days=(-9, days)))
    with (
        scripted(told(200), context=context) as server,
        pytest.raises(Unreached, match=r"its certificate is not trusted .*: see authorities") as raised,
    ):
        statuses(peer(server, authorities=trusted.certificate, token_file=secret(tmp_path / "token")), objects)
    assert raised.value.trouble == Trouble.CONFIGURATION
    assert server.asked == []


def test_a_server_may_want_our_certificate(objects: list[Path], authority: Authority) -> None:
    ours = authority.certified("isocenter")
    with scripted(told(200), context=context_of(authority.certified("server"), authority)) as server:
        with pytest.raises(Unreached, match="see url, certificate and private_key") as raised:
            statuses(peer(server, authorities=authority.certificate), objects)
        assert raised.value.trouble == Trouble.CONFIGURATION
        named = {"certificate": ours.certificate, "private_key": ours.private_key}
        assert statuses(peer(server, authorities=authority.certificate, **named), objects) == [0, 0]


def test_https_to_a_server_that_speaks_http_is_a_matter_of_configuration(objects: list[Path]) -> None:
    with scripted(told(200)) as server, pytest.raises(Unreached, match="no TLS with it") as raised:
        statuses(DicomWebPeer(WebServer(server.url.replace("http:", "https:"))), objects)
    assert raised.value.trouble == Trouble.CONFIGURATION


def test_a_server_that_drips_over_tls_is_cut_too(objects: list[Path], authority: Authority) -> None:
    began = time.monotonic()
    context = context_of(authority.certified("server"))
    with scripted(dripping(b"HTTP/1.1 200 OK\r\n\r\n"), context=context) as server:
        assert statuses(peer(server, authorities=authority.certificate), objects[:1]) == [None]
        assert time.monotonic() - began < PATIENCE + 1


def test_a_destination_is_another_one_when_its_files_are(tmp_path: Path) -> None:
    servers = [WebServer("https://a/b"), WebServer("https://a/b", token_file=tmp_path / "token")]
    assert len({str(DicomWebPeer(server)) for server in servers}) == 2


def test_pages_are_asked_for_until_all_is_found_or_nothing_new_comes(objects: list[Path]) -> None:
    references = [read_reference(path) for path in objects]
    first, second = (path.stem for path in objects)
    with scripted(listing("1.2", first), listing("1.3"), listing(second)) as server:
        assert peer(server).held(references) == {first, second}
    assert [each.path.rsplit("?", 1)[1] for each in server.asked] == [
        f"limit=100&offset={offset}" for offset in (0, 2, 3)
    ]
    with scripted(listing("1.2", first)) as server:
        assert peer(server).held(references) == {first}
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(status(403), Unsuitable, id="403"),
        pytest.param(status(404), Unsuitable, id="404"),
        pytest.param(status(501), Unsuitable, id="501"),
        pytest.param(status(200, PAGE_OF_A_GATEWAY), Unsuitable, id="no JSON"),
        pytest.param(flood, Unsuitable, id="gigabytes"),
        pytest.param(status(401), TryAgain, id="401"),
        pytest.param(status(500), TryAgain, id="500"),
        pytest.param(status(503), TryAgain, id="503"),
        pytest.param(silence, TryAgain, id="silence"),
        pytest.param(dripping(b"HTTP/1.1 200 OK\r\n\r\n"), TryAgain, id="a body that drips"),
    ],
)
def test_a_server_that_does_not_say_what_it_has_is_asked_again_or_cannot_be_asked(
    objects: list[Path], answer: Answer, kind: type[Exception]
) -> None:
    began = time.monotonic()
    with scripted(answer) as server:
        with pytest.raises(kind):
            peer(server).held([read_reference(path) for path in objects])
        assert time.monotonic() - began < PATIENCE + 1


def test_a_server_without_content_has_nothing(objects: list[Path]) -> None:
    with scripted(status(204)) as server:
        assert peer(server).held([read_reference(objects[0])]) == set()


def test_a_server_is_not_asked_to_commit(objects: list[Path]) -> None:
    with scripted(told(200)) as server, pytest.raises(Unsuitable):
        peer(server).ask_commitment("1.2.3", [read_reference(objects[0])])
