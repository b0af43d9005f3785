"""Attacks by number: connections by the thousand, and associations that end as soon as they begin."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.hostile import wire
from tests.hostile.client import EVIL, EVIL_ADDRESS, STRANGER_ADDRESS, Client, NotServedError, dial
from tests.hostile.crowd import Crowd, offer
from tests.hostile.receiver import HANDSHAKE_SECONDS, IDLE_SECONDS
from tests.hostile.slow_attacks import MARGIN_SECONDS

_STORM = 300
_AT_ONCE = 8
_ADMITTED = 16 + 2 + 4  # by the limits: an address of a peer, its reserve, and strangers


def two_thousand_connections(crowd: Crowd) -> None:
    """2,000 connections from two addresses, held for as long as the receiver lets them."""
    for number in range(1000):
        offer(crowd.connect(EVIL_ADDRESS), wire.associate_rq(EVIL))
        crowd.connect(STRANGER_ADDRESS)
        if number % 100 == 99:
            crowd.still_open()
    crowd.await_end(0.5, at_most=_ADMITTED)
    crowd.await_end(IDLE_SECONDS + HANDSHAKE_SECONDS + MARGIN_SECONDS)


def abort_storm(crowd: Crowd) -> None:
    """Associate, abort; 300 times."""
    _storm(crowd, Client.abort)


def release_storm(crowd: Crowd) -> None:
    """Associate, release; 300 times."""
    _storm(crowd, Client.release)


def reset_storm(crowd: Crowd) -> None:
    """Associate, begin a data set, vanish; 300 times."""

    def vanish(client: Client) -> None:
        client.send(wire.store_command("1.2.3.4.5.6") + wire.p_data(wire.STORE.context_id, 0, bytes(1000)))
        client.reset()

    _storm(crowd, vanish)


def early_end_storm(crowd: Crowd) -> None:
    """An A-ASSOCIATE-RQ with an A-ABORT right behind it, or an A-RELEASE-RQ, or nothing; 300 times."""
    ends = [wire.pdu(wire.ABORT, bytes(4)), wire.pdu(wire.RELEASE_RQ, bytes(4)), b""]
    for number in range(_STORM):
        with dial(crowd.port, EVIL_ADDRESS) as connection:
            offer(connection, wire.associate_rq(EVIL) + ends[number % len(ends)])


def _storm(crowd: Crowd, end: Callable[[Client], None]) -> None:
    def once(_: int) -> None:
        with dial(crowd.port, EVIL_ADDRESS) as connection:
            client = Client(connection)
            try:
                client.associate(EVIL)
                end(client)
            except NotServedError:  # over a limit: the storm goes on
                return

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(once, range(_STORM)))
