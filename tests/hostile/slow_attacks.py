"""Attacks that take little of the attacker: connections held by saying nothing, or next to nothing."""

from tests.hostile import wire
from tests.hostile.client import EVIL
from tests.hostile.crowd import Crowd
from tests.hostile.images import new_uid
from tests.hostile.receiver import HANDSHAKE_SECONDS, IDLE_SECONDS, PDU_SECONDS

MARGIN_SECONDS = 2.0
MANY = 100
FEW = 10  # fewer than an address may have


def half_a_header(crowd: Crowd) -> None:
    """Half a PDU header, then silence, over many connections."""
    crowd.say(wire.associate_rq(EVIL)[:3], MANY)
    crowd.await_end(HANDSHAKE_SECONDS + MARGIN_SECONDS)


def half_a_header_inside(crowd: Crowd) -> None:
    """Half a PDU header, then silence, in associations."""
    for member in crowd.associated(FEW):
        member.sendall(wire.echo_request()[:3])
    crowd.await_end(PDU_SECONDS + MARGIN_SECONDS)


def say_nothing(crowd: Crowd) -> None:
    """Connect, and say nothing."""
    crowd.say(b"", MANY)
    crowd.await_end(HANDSHAKE_SECONDS + MARGIN_SECONDS)


def associate_and_say_nothing(crowd: Crowd) -> None:
    """Associate, and say nothing."""
    crowd.associated(FEW)
    crowd.await_end(IDLE_SECONDS + MARGIN_SECONDS)


def stop_inside_a_message(crowd: Crowd) -> None:
    """A whole PDU with half a message, then silence."""
    for member in crowd.associated(FEW):
        member.sendall(wire.store_command(new_uid()) + wire.p_data(wire.STORE.context_id, 0, bytes(1000)))
    crowd.await_end(IDLE_SECONDS + MARGIN_SECONDS)


def one_byte_a_second_before(crowd: Crowd) -> None:
    """An A-ASSOCIATE-RQ by one byte a second."""
    crowd.say(wire.associate_rq(EVIL)[:6], FEW)
    crowd.drip(b"\0", pause=1.0, seconds=HANDSHAKE_SECONDS + MARGIN_SECONDS)


def one_byte_a_second_inside(crowd: Crowd) -> None:
    """A P-DATA by one byte a second."""
    for member in crowd.associated(FEW):
        member.sendall(wire.pdu(wire.P_DATA, b"", length=100))
    crowd.drip(b"\0", pause=1.0, seconds=PDU_SECONDS + MARGIN_SECONDS)


def tiny_fragments(crowd: Crowd) -> None:
    """A data set by one fragment of 64 bytes each half second."""
    for member in crowd.associated(FEW):
        member.sendall(wire.store_command(new_uid()))
    crowd.drip(wire.p_data(wire.STORE.context_id, 0, bytes(64)), pause=0.5, seconds=IDLE_SECONDS + MARGIN_SECONDS)


def tiny_command_fragments(crowd: Crowd) -> None:
    """A command set by one byte each half second."""
    crowd.associated(FEW)
    fragment = wire.p_data(wire.ECHO.context_id, wire.COMMAND, b"\0")
    crowd.drip(fragment, pause=0.5, seconds=IDLE_SECONDS + MARGIN_SECONDS)


def empty_fragments(crowd: Crowd) -> None:
    """A data set in many fragments with nothing in them."""
    for member in crowd.associated(FEW):
        member.sendall(wire.store_command(new_uid()))
    fragments = wire.p_data(wire.STORE.context_id, 0, b"") * 100
    crowd.drip(fragments, pause=0.02, seconds=IDLE_SECONDS + MARGIN_SECONDS)
