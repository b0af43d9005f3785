"""Many senders at once, and one after another for long: what was acknowledged is there, and nothing else is."""

import os
import signal
import socket
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from service.commands.archive import free_port
from tests.hostile import wire
from tests.hostile.client import GOOD, GOOD_ADDRESS, Client, association, dial
from tests.hostile.footprint import MEBIBYTE, settled
from tests.hostile.good_peer import GoodPeer
from tests.hostile.images import new_uid, small_ct
from tests.hostile.receiver import Receiver, receiving
from tests.hostile.standing import came_back, warm
from tests.node import until

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
GREEDY = 8


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


def test_a_good_peer_is_echoed_within_a_second_while_others_send_all_they_can(receiver: Receiver) -> None:
    ending = threading.Event()
    with ThreadPoolExecutor(GREEDY) as pool:
        sent = [pool.submit(send_until, ending, receiver.port) for _ in range(GREEDY)]
        with GoodPeer(lambda: dial(receiver.port, GOOD_ADDRESS)) as good:
            ending.wait(2.0)
        ending.set()
    assert good.failures == []
    assert max(good.echo_seconds) < 1.0
    brought = [each.result() for each in sent]
    assert min(brought) > max(brought) / 4, "one sender starved another"


def send_until(ending: threading.Event, port: int) -> int:
    """How many C-STOREs of half a megabyte one association brought until told to end."""
    count, padding = 0, b"\xfc\xff\xfc\xffOB\x00\x00" + (524_288).to_bytes(4, "little") + bytes(524_288)
    with dial(port, GOOD_ADDRESS) as connection:
        client = Client(connection)
        client.associate(GOOD)
        while not ending.is_set():
            uid = new_uid()
            assert client.store(uid, small_ct(uid) + padding) == 0
            count += 1
        client.release()
    return count


def test_an_acceptor_that_is_killed_is_replaced_and_its_connections_are_counted_no_more(receiver: Receiver) -> None:
    lost = [dial(receiver.port, GOOD_ADDRESS) for _ in range(6)]
    for connection in lost:
        Client(connection).associate(GOOD)
    acceptors = sorted(receiver.footprint().pids - {receiver.process.pid})
    os.kill(acceptors[0], signal.SIGKILL)
    until(lambda: len(receiver.footprint().pids) == 1 + len(acceptors), "another acceptor runs", 15)
    with association(receiver.port, GOOD, GOOD_ADDRESS) as client:
        uid = new_uid()
        assert client.store(uid, small_ct(uid)) == 0
    assert acceptors[0] not in receiver.footprint().pids
    for connection in lost:
        connection.close()
    assert receiver.half_written() == []


def test_what_was_received_is_counted_for_prometheus(tmp_path: Path) -> None:
    metrics_port = free_port()
    with receiving(tmp_path, metrics_port=metrics_port) as receiver:
        with association(receiver.port, GOOD, GOOD_ADDRESS) as client:
            uid = new_uid()
            assert client.store(uid, small_ct(uid)) == 0
        counted = f'isocenter_instances_received_total{{calling_ae_title="{GOOD}",status="0000"}} 1.0'
        until(lambda: counted in published(metrics_port), "the instance is counted", 10)
        said = published(metrics_port)
    assert 'ended="released"' in said
    assert "isocenter_store_seconds_count 1.0" in said
    assert "isocenter_open_connections" in said


def published(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return str(answer.read().decode())
