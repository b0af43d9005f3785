"""Many senders at once, and one after another for long: what was acknowledged is there, and nothing else is."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.hostile import wire
from tests.hostile.client import GOOD, GOOD_ADDRESS, Client, association, dial
from tests.hostile.footprint import MEBIBYTE, settled
from tests.hostile.images import new_uid, small_ct
from tests.hostile.receiver import Receiver, receiving
from tests.hostile.standing import came_back, warm

AT_ONCE = 200
ROOMY = {
    "associations": 2 * AT_ONCE,
    "associations_per_address": 2 * AT_ONCE,
    "handshake_seconds": 10,
    "pdu_seconds": 10,
    "idle_seconds": 60,
}
WARM_UP = 300
STORES_EVERY = 10


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    """A receiver that takes everybody."""
    with receiving(tmp_path, ROOMY) as receiver:
        yield warm(receiver)


def test_two_hundred_senders_at_once_keep_what_was_acknowledged_and_nothing_of_those_that_aborted(
    receiver: Receiver,
) -> None:
    before, kept_before = settled(receiver.process.pid), receiver.kept()
    all_in = threading.Barrier(AT_ONCE, timeout=30)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = pool.map(lambda number: send(receiver.port, all_in, aborts=number % 10 == 0), range(AT_ONCE))
        acknowledged = {uid for uid in outcomes if uid}
    assert len(acknowledged) == AT_ONCE * 9 // 10
    assert receiver.kept() - kept_before == acknowledged
    came_back(receiver, before)


def send(port: int, all_in: threading.Barrier, *, aborts: bool) -> str:
    """One C-STORE once everybody has associated: its name when it was acknowledged, empty when we aborted midway."""
    uid = new_uid()
    content = small_ct(uid)
    with dial(port, GOOD_ADDRESS) as connection:
        client = associated(connection, all_in)
        if aborts:
            client.send(wire.store_command(uid) + wire.p_data(wire.STORE.context_id, 0, content[: len(content) // 2]))
            client.abort()
            return ""
        assert client.store(uid, content) == 0
        client.release()
    return uid


def associated(connection: socket.socket, all_in: threading.Barrier) -> Client:
    """An association among all the others; when one fails, nobody waits for it."""
    client = Client(connection)
    try:
        client.associate(GOOD)
        all_in.wait()
    except Exception:
        all_in.abort()
        raise
    return client


@pytest.mark.parametrize(
    "associations", [500, pytest.param(10_000, marks=[pytest.mark.exhaustive, pytest.mark.timeout(900)])]
)
def test_associations_one_after_another_leave_nothing_behind(receiver: Receiver, associations: int) -> None:
    one_after_another(receiver.port, WARM_UP)
    before = settled(receiver.process.pid)
    one_after_another(receiver.port, associations)
    came_back(receiver, before)
    grown = settled(receiver.process.pid).memory_bytes - before.memory_bytes
    assert grown < MEBIBYTE * max(1, associations // 1000), f"memory grew by {grown // 1024} KiB"


def one_after_another(port: int, associations: int) -> None:
    """As many associations with a C-ECHO each, and a C-STORE in each tenth."""
    for number in range(associations):
        with association(port, GOOD, GOOD_ADDRESS) as client:
            assert client.echo() == 0
            if number % STORES_EVERY == 0:
                uid = new_uid()
                assert client.store(uid, small_ct(uid)) == 0
