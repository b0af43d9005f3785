"""Peers that answer with garbage: a defined outcome, soon, and in little memory."""

import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from service.core.errors import Unreached
from service.core.outbox import Trouble
from service.derived.encoding import encode
from service.edge.dialing import Deadlines, Remote
from service.edge.storage_scu import echo, store
from tests import factories
from tests.delivery.peers import Gone, Script, Visit, peer, response
from tests.hostile import wire
from tests.hostile.wire import COMMAND, LAST

SHORT = Deadlines(connect_seconds=0.5, negotiation_seconds=0.5, stall_seconds=0.5, release_seconds=0.5)
ANSWER_SECONDS = 0.5
SLACK_SECONDS = 2.0
MOST_MIB = 8


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile") / "image.dcm"
    path.write_bytes(encode(factories.ct_series(factories.grid(shape=(1, 8, 8)))[0]))
    return path


def remote(port: int) -> Remote:
    return Remote("ISOCENTER", "PACS", "127.0.0.1", port, answer_seconds=ANSWER_SECONDS)


def flood(visit: Visit, content: bytes) -> None:
    while True:
        visit.say(content)


def drip(visit: Visit, content: bytes) -> None:
    for byte in content:
        visit.say(bytes((byte,)))
        time.sleep(0.1)


def after_a_request(reply: Callable[[Visit, bytes], None]) -> Script:
    """Accept, read a request, and reply; the reply is given the right response to alter."""

    def script(visit: Visit) -> None:
        visit.accept()
        request = visit.request()
        reply(visit, wire.message(request.context_id, COMMAND, response(request, 0x0000)))
        visit.wait()

    return script


def with_another_message_id(visit: Visit) -> None:
    visit.accept()
    request = visit.request()
    visit.answer(request, message_id=request.message_id + 7)
    visit.wait()


def with_pending_for_ever(visit: Visit) -> None:
    visit.accept()
    request = visit.request()
    while True:
        visit.answer(request, 0xFF00)


def in_another_context(visit: Visit, answer: bytes) -> None:
    visit.say(answer[:10] + bytes((answer[10] + 2,)) + answer[11:])


def says_instead(content: bytes) -> Script:
    return after_a_request(lambda visit, _: visit.say(content))


def floods_instead(content: bytes) -> Script:
    return after_a_request(lambda visit, _: flood(visit, content))


ANSWERS = [
    pytest.param(says_instead(wire.pdu(4, b"", 0xFFFFFFFF)), id="PDU of 4 GiB"),
    pytest.param(floods_instead(wire.pdu(4, b"", 0xFFFFFFFF)), id="PDUs of 4 GiB, flooded"),
    pytest.param(after_a_request(drip), id="one byte now and then"),
    pytest.param(says_instead(wire.pdu(4, b"")), id="empty P-DATA"),
    pytest.param(floods_instead(wire.p_data(3, COMMAND, b"")), id="empty fragments"),
    pytest.param(floods_instead(wire.p_data(3, COMMAND, b"x" * 999)), id="endless answer"),
    pytest.param(says_instead(wire.p_data(3, COMMAND | LAST, b"junk")), id="no command"),
    pytest.param(says_instead(wire.p_data(3, LAST, b"data")), id="data for an answer"),
    pytest.param(says_instead(wire.p_data(3, COMMAND | LAST, b"", 0x7FFFFFFF)), id="fragment too long"),
    pytest.param(says_instead(wire.pdu(9, b"?")), id="PDU of no known type"),
    pytest.param(says_instead(b"HTTP/1.1 400 Bad Request\r\n\r\n"), id="HTTP"),
    pytest.param(says_instead(wire.pdu(wire.ASSOCIATE_AC, bytes(68))), id="a second AC"),
    pytest.param(after_a_request(in_another_context), id="answer in another context"),
    pytest.param(with_another_message_id, id="answer to another message"),
    pytest.param(with_pending_for_ever, id="pending for ever"),
]


@pytest.mark.parametrize("script", ANSWERS)
def test_an_answer_that_is_none_counts_as_no_answer(image: Path, script: Script) -> None:
    with peer(script) as port:
        tracemalloc.start()
        began = time.monotonic()
        answers = list(store(remote(port), [image, image], SHORT))
        seconds, peak = time.monotonic() - began, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert answers == [(image, None)]
    assert seconds < ANSWER_SECONDS + SLACK_SECONDS
    assert peak < MOST_MIB << 20


@pytest.mark.parametrize("script", ANSWERS)
def test_an_echo_that_is_none_is_no_answer(script: Script) -> None:
    with peer(script) as port, pytest.raises(Unreached, match="did not answer C-ECHO") as caught:
        echo(remote(port), SHORT)
    assert caught.value.trouble is Trouble.NO_ANSWER


def says(content: bytes) -> Script:
    """Read the request for an association, and answer it with bytes."""

    def script(visit: Visit) -> None:
        visit.pdu()
        visit.say(content)
        visit.wait()

    return script


def drips_its_acceptance(visit: Visit) -> None:
    visit.pdu()
    drip(visit, wire.pdu(wire.ASSOCIATE_AC, bytes(4000)))


@pytest.mark.parametrize(
    ("script", "trouble"),
    [
        pytest.param(says(b"SSH-2.0-OpenSSH_9.2\r\n"), Trouble.NETWORK, id="another protocol"),
        pytest.param(says(wire.pdu(wire.ASSOCIATE_AC, b"", 0xFFFFFFFF)), Trouble.NETWORK, id="AC of 4 GiB"),
        pytest.param(says(wire.pdu(wire.ASSOCIATE_AC, b"\xff" * 500)), Trouble.NETWORK, id="AC of noise"),
        pytest.param(says(wire.pdu(wire.ASSOCIATE_AC, bytes(68))), Trouble.CONFIGURATION, id="AC with nothing in it"),
        pytest.param(says(wire.pdu(wire.ASSOCIATE_AC, b"")), Trouble.NETWORK, id="empty AC"),
        pytest.param(says(wire.pdu(wire.ASSOCIATE_RJ, b"\0\2\7\7")), Trouble.BUSY, id="RJ for no known reason"),
        pytest.param(says(wire.pdu(wire.ASSOCIATE_RJ, b"")), Trouble.NETWORK, id="empty RJ"),
        pytest.param(says(wire.pdu(wire.RELEASE_RP, bytes(4))), Trouble.NETWORK, id="release for an answer"),
        pytest.param(drips_its_acceptance, Trouble.NETWORK, id="one byte now and then"),
        pytest.param(lambda visit: visit.accept(maximum_length=7), Trouble.NETWORK, id="PDUs of seven bytes"),
    ],
)
def test_a_negotiation_that_goes_wrong_is_told_as_what_it_is(image: Path, script: Script, trouble: Trouble) -> None:
    began = time.monotonic()
    with peer(script) as port, pytest.raises(Unreached) as caught:
        list(store(remote(port), [image], SHORT))
    assert caught.value.trouble is trouble
    assert time.monotonic() - began < SHORT.negotiation_seconds + SLACK_SECONDS


def test_what_was_accepted_without_being_proposed_is_not_used(image: Path) -> None:
    def accepts_more(visit: Visit) -> None:
        explicit, deflated = wire.EXPLICIT_LITTLE_ENDIAN.encode(), wire.DEFLATED.encode()
        visit.accept(contexts=[(3, 0, deflated), (77, 0, explicit), (1, 0, wire.IMPLICIT_LITTLE_ENDIAN.encode())])
        with pytest.raises(Gone):
            visit.request()

    with peer(accepts_more) as port:
        assert list(store(remote(port), [image], SHORT)) == [(image, 0x0122)]


def test_a_peer_that_answers_before_it_is_asked_has_not_answered_what_comes(image: Path) -> None:
    def answers_ahead(visit: Visit) -> None:
        visit.accept()
        request = visit.request()
        visit.answer(request)
        visit.answer(request)
        visit.request()
        visit.wait()

    with peer(answers_ahead) as port:
        assert list(store(remote(port), [image, image], SHORT)) == [(image, 0x0000), (image, None)]


def test_a_data_set_goes_out_in_pdus_as_small_as_the_peer_asks(image: Path) -> None:
    sizes: list[int] = []

    def measures(visit: Visit) -> None:
        visit.accept(maximum_length=201)
        kind, last = 0, False
        while not last:
            kind, body = visit.pdu()
            assert kind == wire.P_DATA
            length, _, control = struct.unpack_from(">IBB", body)
            sizes.append(len(body))
            assert length % 2 == 0
            last = control == LAST
        visit.wait()

    with peer(measures) as port:
        assert list(store(remote(port), [image], SHORT)) == [(image, None)]
    assert max(sizes) == 200
    assert sum(sizes) > image.stat().st_size - 400
