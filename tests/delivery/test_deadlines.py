"""How long a peer may keep us: a black hole never long, a slow link as long as it takes."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from service.core.errors import Unreached
from service.edge.dialing import Deadlines, Remote
from service.edge.storage_scu import echo, store
from tests.delivery.objects import write_object
from tests.delivery.peers import Visit, peer, storing
from tests.delivery.proxy import Action, Fault, Way, proxied
from tests.delivery.test_outcomes import SLACK_SECONDS, dropping_port
from tests.node import run_command

LARGE_BYTES = 24 << 20  # more than the kernel takes on both sides of a connection
REAL_SECONDS = 15.0
SMALL_BUFFER = 16 * 1024


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_object(tmp_path_factory.mktemp("large") / "large.dcm", LARGE_BYTES)


def remote(port: int, answer_seconds: float) -> Remote:
    return Remote("ISOCENTER", "PACS", "127.0.0.1", port, answer_seconds=answer_seconds)


def test_a_slow_link_is_never_cut_however_much_longer_than_its_deadlines_an_object_takes(tmp_path: Path) -> None:
    """1 Mbit/s and 10 s, scaled: 250 kB/s, half a second for a stall and one for an answer, an object of 1.2 MB."""
    path = write_object(tmp_path / "object.dcm", 1_200_000)
    slow = Fault(Action.SLOW, Way.UP, after=1000, bytes_per_second=250_000)
    deadlines = Deadlines(stall_seconds=0.5)
    with peer(storing(0x0000)) as archive, proxied(archive, [slow], receive_buffer=SMALL_BUFFER) as proxy:
        began = time.monotonic()
        assert list(store(remote(proxy.port, 1.0), [path], deadlines)) == [(path, 0x0000)]
        assert time.monotonic() - began > 4


def test_an_answer_that_takes_longer_than_it_may_is_none_even_when_the_sending_was_slow(tmp_path: Path) -> None:
    path = write_object(tmp_path / "object.dcm", 300_000)
    slow = Fault(Action.SLOW, Way.UP, after=1000, bytes_per_second=250_000)

    def never_answers(visit: Visit) -> None:
        visit.accept()
        visit.request()
        visit.wait()

    with peer(never_answers) as archive, proxied(archive, [slow], receive_buffer=SMALL_BUFFER) as proxy:
        began = time.monotonic()
        assert list(store(remote(proxy.port, 1.0), [path])) == [(path, None)]
        assert 2 < time.monotonic() - began < 2.2 + SLACK_SECONDS


@pytest.mark.parametrize("after", [0, 300, 100_000, 5_000_000], ids=lambda after: f"after {after} bytes")
def test_a_stall_at_any_byte_ends_within_its_deadline(large: Path, after: int) -> None:
    deadlines = Deadlines(connect_seconds=0.5, negotiation_seconds=0.5, stall_seconds=0.5, release_seconds=0.5)
    stall = Fault(Action.STALL, Way.UP, after)
    with peer(storing(0x0000)) as archive, proxied(archive, [stall], receive_buffer=SMALL_BUFFER) as proxy:
        began = time.monotonic()
        try:
            assert list(store(remote(proxy.port, 0.5), [large], deadlines)) == [(large, None)]
        except Unreached:
            assert after < 1000  # in the request for an association
        assert time.monotonic() - began < 0.5 + SLACK_SECONDS


def silent(visit: Visit) -> None:
    visit.wait()


def stalls_in_mid_send(visit: Visit) -> None:
    visit.accept()
    visit.connection.recv(100_000)
    visit.wait()


def stalls_before_its_answer(visit: Visit) -> None:
    visit.accept()
    visit.request()
    visit.wait()


def takes_a_little_now_and_then(visit: Visit) -> None:
    visit.accept()
    while visit.connection.recv(200):
        time.sleep(0.5)


def drips_its_answer(visit: Visit) -> None:
    visit.accept()
    visit.request()
    while True:
        visit.say(b"\x04")
        time.sleep(1)


BLACK_HOLES: dict[str, Callable[[], AbstractContextManager[int]]] = {
    "SYN dropped": dropping_port,
    "accepts and is silent": lambda: peer(silent),
    "stalls in mid-send": lambda: peer(stalls_in_mid_send),
    "takes a little now and then": lambda: peer(takes_a_little_now_and_then, receive_buffer=SMALL_BUFFER),
    "stalls before its answer": lambda: peer(stalls_before_its_answer),
    "one byte per second in its answer": lambda: peer(drips_its_answer),
}


@pytest.mark.exhaustive
def test_no_black_hole_keeps_a_sender_for_fifteen_seconds(large: Path) -> None:
    """All at once, by the deadlines as they are."""
    taken: dict[str, float] = {}

    def fall_into(name: str, hole: Callable[[], AbstractContextManager[int]]) -> None:
        with hole() as port:
            began = time.monotonic()
            outcome: object
            try:
                outcome = list(store(Remote("ISOCENTER", "PACS", "127.0.0.1", port), [large]))
            except Unreached as error:
                outcome = error
            taken[f"{name}: {outcome}"] = time.monotonic() - began

    threads = [threading.Thread(target=fall_into, args=hole) for hole in BLACK_HOLES.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("\n".join(f"{seconds:5.1f} s {what}" for what, seconds in taken.items()))
    assert len(taken) == len(BLACK_HOLES)
    assert max(taken.values()) < REAL_SECONDS


@pytest.mark.exhaustive
@pytest.mark.parametrize("moment", ["in mid-send", "before its answer"])
def test_a_host_that_is_gone_without_a_word_keeps_a_sender_no_longer(large: Path, moment: str) -> None:
    line = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-m", "tests.delivery.vanishing"]
    if subprocess.run([*line[:4], "true"], check=False, capture_output=True).returncode:
        pytest.skip("this kernel gives nobody a network of their own")
    ran = subprocess.run([*line, str(large), moment], capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stderr
    seconds, outcome = ran.stdout.splitlines()[-1].split()
    assert outcome == "None"
    assert 1 < float(seconds) < REAL_SECONDS


def test_a_name_that_no_resolver_knows_is_unreachable() -> None:
    with pytest.raises(Unreached, match="the name "):
        echo(Remote("ISOCENTER", "PACS", "isocenter.invalid", 104))


def test_the_command_says_how_many_files_a_silent_peer_left_unsent(tmp_path: Path) -> None:
    for number in range(3):
        write_object(tmp_path / f"{number}.dcm", 1000)

    def answers_one(visit: Visit) -> None:
        visit.accept()
        visit.answer(visit.request())
        visit.request()

    with peer(answers_one) as port:
        ran = run_command("send", str(tmp_path), "127.0.0.1", str(port), "PACS")
    assert ran.returncode == 1
    assert "1 of 3 sent" in ran.stdout
    assert "1.dcm: no answer" in ran.stderr
