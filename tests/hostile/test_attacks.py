"""Whatever a hostile peer does, a good one beside it is served, and nothing of the attack is left afterwards."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from service.commands.archive import free_port
from tests.certificates import Authority
from tests.hostile import crowding_attacks, large_attacks, slow_attacks, wire
from tests.hostile.client import EVIL, EVIL_ADDRESS, GOOD_ADDRESS, association, dial_secured
from tests.hostile.crowd import Crowd, offer
from tests.hostile.images import new_uid, small_ct
from tests.hostile.receiver import HANDSHAKE_SECONDS, INSTANCE_BYTES, Receiver, receiving
from tests.hostile.standing import Shared, warm, withstanding
from tests.node import until

Attack = Callable[[Crowd], None]

ATTACKS = {
    "half a PDU header": slow_attacks.half_a_header,
    "half a PDU header in an association": slow_attacks.half_a_header_inside,
    "a silent connection": slow_attacks.say_nothing,
    "a silent association": slow_attacks.associate_and_say_nothing,
    "silence inside a message": slow_attacks.stop_inside_a_message,
    "one byte a second of an A-ASSOCIATE-RQ": slow_attacks.one_byte_a_second_before,
    "one byte a second of a P-DATA": slow_attacks.one_byte_a_second_inside,
    "tiny fragments of a data set": slow_attacks.tiny_fragments,
    "tiny fragments of a command set": slow_attacks.tiny_command_fragments,
    "empty fragments": slow_attacks.empty_fragments,
    "an A-ASSOCIATE-RQ of 4 GiB": large_attacks.four_gibibytes_first,
    "a P-DATA of 4 GiB": large_attacks.four_gibibytes_inside,
    "an endless command set": large_attacks.endless_command_set,
    "400 pipelined C-STORE": large_attacks.pipelined_stores,
    "answers that nobody reads": large_attacks.unread_answers,
    "an A-ASSOCIATE-RQ of 900 KiB": large_attacks.large_request,
    "garbage": large_attacks.garbage,
    "garbage in an association": large_attacks.garbage_inside,
    "a deflated bomb": large_attacks.deflated_bomb,
    "a big endian data set": large_attacks.big_endian,
    "2,000 connections": crowding_attacks.two_thousand_connections,
    "a storm of A-ABORT": crowding_attacks.abort_storm,
    "a storm of A-RELEASE": crowding_attacks.release_storm,
    "a storm of resets inside a data set": crowding_attacks.reset_storm,
    "a storm of ends before the answer": crowding_attacks.early_end_storm,
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_a_good_peer_is_served_during_an_attack_and_nothing_of_it_is_left(shared: Shared, attack: Attack) -> None:
    with shared.lent() as receiver, withstanding(receiver), Crowd(receiver.port) as crowd:
        attack(crowd)


def test_a_data_set_without_end_is_cut_at_its_limit(shared: Shared) -> None:
    cap = large_attacks.FEW * INSTANCE_BYTES
    with shared.lent() as receiver, withstanding(receiver, cap_bytes=cap), Crowd(receiver.port) as crowd:
        large_attacks.endless_data_set(crowd)


@pytest.mark.parametrize(
    "context",
    [
        pytest.param(wire.Context(1, "", (wire.IMPLICIT_LITTLE_ENDIAN,)), id="no abstract syntax"),
        pytest.param(wire.Context(1, wire.CT, ()), id="no transfer syntax"),
        pytest.param(wire.Context(1, wire.CT, ("",)), id="an empty transfer syntax"),
        pytest.param(wire.Context(0, wire.CT, (wire.IMPLICIT_LITTLE_ENDIAN,)), id="a context of an even number"),
    ],
)
def test_a_presentation_context_that_is_none_is_the_peers_fault_and_logged_as_such(
    shared: Shared, context: wire.Context
) -> None:
    with shared.lent() as receiver, Crowd(receiver.port) as crowd:
        member = crowd.connect()
        offer(member, wire.associate_rq(EVIL, [context]))
        assert member.recv(1) in {b"\x02", b"\x03", b"\x07"}  # accepted, rejected or aborted, and never silence
        assert receiver.unhandled() == []


def test_a_peer_that_holds_all_shared_slots_leaves_the_others_theirs(tmp_path: Path) -> None:
    limits = {"associations": 4}
    with receiving(tmp_path, limits) as receiver, withstanding(warm(receiver)), Crowd(receiver.port) as crowd:
        for _ in range(20):
            offer(crowd.connect(), wire.associate_rq(EVIL))
        crowd.await_end(HANDSHAKE_SECONDS, at_most=4 + 2)
        assert crowd.still_open(), "the attacker held no slot"


def test_a_peer_over_its_limit_is_told_that_it_may_come_again(shared: Shared) -> None:
    with shared.lent() as receiver, withstanding(receiver), Crowd(receiver.port) as crowd:
        answers = [first_answer(crowd) for _ in range(20)]
        assert answers.count(ACCEPTED) in {16, 18}  # the address's limit, without or with its peer's reserve
        assert set(answers) <= {ACCEPTED, TRY_LATER, CLOSED}
        crowd.leave()
        until(lambda: first_answer(crowd) == ACCEPTED, "the peer is accepted again", seconds=2)


def test_a_slow_but_steady_sender_is_served(shared: Shared) -> None:
    uid = new_uid()
    content = small_ct(uid)
    with shared.lent() as receiver, association(receiver.port, EVIL, EVIL_ADDRESS) as client:
        client.send(wire.store_command(uid))
        for start in range(0, len(content), 400):
            control = wire.LAST if start + 400 >= len(content) else 0
            client.send(wire.p_data(wire.STORE.context_id, control, content[start : start + 400]))
            time.sleep(0.25)
        assert wire.status(client.expect(wire.P_DATA)) == 0
        assert uid in receiver.kept()


ACCEPTED, TRY_LATER, CLOSED = b"\x02", b"\x03\x02\x03\x02", b""  # PS3.8 9.3.4: transient, local limit exceeded


def first_answer(crowd: Crowd) -> bytes:
    """How the receiver answers one more A-ASSOCIATE-RQ: the PDU type, and for an A-ASSOCIATE-RJ result to reason."""
    member = crowd.connect()
    offer(member, wire.associate_rq(EVIL))
    try:
        answer = member.recv(10)
    except ConnectionResetError:
        return CLOSED
    return answer[:1] + answer[7:10] if answer[:1] == b"\x03" else answer[:1]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs certificates for this module."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def tls_receiver(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Receiver]:
    """A receiver with a second port for mutual TLS."""
    own = authority.certified("ISOCENTER")
    with receiving(tmp_path_factory.mktemp("tls"), tls=authority.settings(own, free_port())) as receiver:
        yield warm(receiver)


TLS_ATTACKS = {
    "silence": b"",
    "half a record": b"\x16\x03\x01\x02",
    "garbage": bytes(range(256)),
    "DICOM without TLS": wire.associate_rq(EVIL),
}


@pytest.mark.parametrize("said", TLS_ATTACKS.values(), ids=TLS_ATTACKS.keys())
def test_a_peer_that_does_not_finish_its_tls_handshake_keeps_nobody_waiting(
    tls_receiver: Receiver, authority: Authority, said: bytes
) -> None:
    context = authority.context(authority.certified("GOOD"))
    good = partial(dial_secured, tls_receiver.tls_port, GOOD_ADDRESS, context)
    with withstanding(tls_receiver, good_dial=good), Crowd(tls_receiver.tls_port) as crowd:
        crowd.say(said, slow_attacks.MANY)
        crowd.await_end(HANDSHAKE_SECONDS + slow_attacks.MARGIN_SECONDS)


def test_who_finds_no_place_on_the_tls_port_is_told_nothing_in_plain_words(tls_receiver: Receiver) -> None:
    with withstanding(tls_receiver), Crowd(tls_receiver.tls_port) as crowd:
        members = [crowd.connect() for _ in range(30)]
        assert [member.recv(10) for member in members] == [b""] * len(members)
    assert any("shared connections open" in reason for reason in tls_receiver.reasons())
