"""Attacks by size: lengths that lie, messages without end, bombs, and answers that nobody reads."""

import random
import zlib

import pytest

from tests.hostile import wire
from tests.hostile.client import EVIL, Client, NotServedError
from tests.hostile.crowd import Crowd, offer
from tests.hostile.footprint import MEBIBYTE
from tests.hostile.images import new_uid, small_ct
from tests.hostile.receiver import HANDSHAKE_SECONDS, IDLE_SECONDS, INSTANCE_BYTES, PDU_SECONDS
from tests.hostile.slow_attacks import MARGIN_SECONDS

IN_FLIGHT = 48 * MEBIBYTE  # what the sockets of both sides may hold
FEW = 4
_BOMB = zlib.compress(bytes(256 * MEBIBYTE), 9)


def four_gibibytes_first(crowd: Crowd) -> None:
    """An A-ASSOCIATE-RQ of 4 GiB."""
    crowd.say(wire.pdu(wire.ASSOCIATE_RQ, b"", length=wire.GREATEST), FEW)
    crowd.flood(bytes(MEBIBYTE), IN_FLIGHT, MARGIN_SECONDS)


def four_gibibytes_inside(crowd: Crowd) -> None:
    """A P-DATA of 4 GiB."""
    for member in crowd.associated(FEW):
        member.sendall(wire.pdu(wire.P_DATA, b"", length=wire.GREATEST))
    crowd.flood(bytes(MEBIBYTE), IN_FLIGHT, MARGIN_SECONDS)


def endless_data_set(crowd: Crowd) -> None:
    """Fragments of a data set, none of which is the last."""
    for member in crowd.associated(FEW):
        member.sendall(wire.store_command(new_uid()))
    fragment = wire.p_data(wire.STORE.context_id, 0, bytes(wire.FRAGMENT_BYTES - 6))
    crowd.flood(fragment * 64, INSTANCE_BYTES + IN_FLIGHT, IDLE_SECONDS + MARGIN_SECONDS)


def endless_command_set(crowd: Crowd) -> None:
    """Fragments of a command set, none of which is the last."""
    crowd.associated(FEW)
    fragment = wire.p_data(wire.ECHO.context_id, wire.COMMAND, bytes(wire.FRAGMENT_BYTES - 6))
    crowd.flood(fragment * 64, IN_FLIGHT, MARGIN_SECONDS)


def pipelined_stores(crowd: Crowd) -> None:
    """400 C-STORE requests in one go; the answers are not read."""
    uids = [new_uid() for _ in range(400)]
    (member,) = crowd.associated(1)
    offer(member, b"".join(wire.store_request(uid, small_ct(uid), number) for number, uid in enumerate(uids)))


def unread_answers(crowd: Crowd) -> None:
    """C-ECHO requests for as long as the receiver takes them; the answers are not read."""
    crowd.associated(FEW, receive_buffer=4096)
    crowd.flood(wire.echo_request() * 500, 4 * IN_FLIGHT, 4 * IDLE_SECONDS)


def large_request(crowd: Crowd) -> None:
    """An A-ASSOCIATE-RQ of 900 KiB in which every item is well formed."""
    syntaxes = tuple(f"1.2.3.{10**50 + number}" for number in range(900))
    contexts = [wire.Context(number, wire.CT, syntaxes) for number in range(1, 32, 2)]
    for _ in range(FEW):
        member = crowd.connect()
        offer(member, wire.associate_rq(EVIL, contexts))
        with pytest.raises(NotServedError):
            Client(member).expect(wire.ASSOCIATE_AC)
    crowd.await_end(HANDSHAKE_SECONDS + MARGIN_SECONDS)


def garbage(crowd: Crowd) -> None:
    """Random bytes, another protocol, and PDUs of types that are none."""
    chance = random.Random(1)
    noise = [chance.randbytes(chance.randrange(1, 4096)) for _ in range(40)]
    strange = [wire.pdu(kind, bytes(64)) for kind in (0, 8, 0x80, 0xFF)]
    for content in [*noise, *strange, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"]:
        crowd.say(content, 1)
    crowd.await_end(HANDSHAKE_SECONDS + MARGIN_SECONDS)


def garbage_inside(crowd: Crowd) -> None:
    """The same in associations."""
    chance = random.Random(2)
    for member in crowd.associated(10):
        offer(member, chance.randbytes(chance.randrange(6, 4096)))
    crowd.await_end(PDU_SECONDS + IDLE_SECONDS + MARGIN_SECONDS)


def deflated_bomb(crowd: Crowd) -> None:
    """256 MiB as 256 KiB, in a syntax that is not to be accepted."""
    _unaccepted(crowd, wire.DEFLATED, _BOMB)


def big_endian(crowd: Crowd) -> None:
    """A data set in the retired Explicit VR Big Endian, which is not to be accepted."""
    _unaccepted(crowd, wire.EXPLICIT_BIG_ENDIAN, bytes(4096))


def _unaccepted(crowd: Crowd, syntax: str, content: bytes) -> None:
    refused = wire.Context(wire.STORE.context_id, wire.CT, (syntax,))
    client = Client(crowd.connect())
    assert client.associate(EVIL, [wire.ECHO, refused]) == {wire.ECHO.context_id}
    offer(client.connection, wire.store_request(new_uid(), content))
    crowd.await_end(PDU_SECONDS + MARGIN_SECONDS)
