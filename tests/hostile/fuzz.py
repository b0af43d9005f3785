"""A seeded fuzzer of the receiver: `python -m tests.hostile.fuzz --seconds 120 --seed 1` prints one JSON line."""

import argparse
import json
import random
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

from tests.hostile.client import EVIL_ADDRESS, Client, NotServedError, dial
from tests.hostile.good_peer import GoodPeer
from tests.hostile.grammar import session
from tests.hostile.mutations import mutate
from tests.hostile.receiver import Receiver, receiving
from tests.hostile.standing import warm, withstanding

CONNECTIONS_AT_ONCE = 8
_FIRST_ANSWER_SECONDS = 0.2
_LISTEN_SECONDS = (0.0, 0.0, 0.01, 0.05)
_HELD = 0.01  # of the sessions stay open without a word until the receiver ends them
_HELD_SECONDS = 5.0  # longer than any limit of the receiver under test


@dataclass(frozen=True, slots=True)
class Run:
    """What one run did and saw."""

    seed: int
    sessions: int
    mutations: int
    seconds: float
    good_echoes: int
    worst_echo_seconds: float


class Fuzzer:
    """Plays sessions by number; the same seed and number make the same bytes."""

    def __init__(self, port: int, seed: int) -> None:
        self._port, self._seed = port, seed
        self._numbers = count()
        self._counting = threading.Lock()
        self.sessions = self.mutations = 0

    def play_until(self, deadline: float) -> None:
        """Play one session after another."""
        while time.monotonic() < deadline:
            self.play(next(self._numbers))

    def play(self, number: int) -> None:
        """Play one session."""
        chance = random.Random(f"{self._seed} {number}")
        pdus = session(chance)
        mutations = mutate(chance, pdus)
        with dial(self._port, EVIL_ADDRESS) as connection:
            _converse(chance, Client(connection), pdus)
        with self._counting:
            self.sessions += 1
            self.mutations += mutations


def _converse(chance: random.Random, client: Client, pdus: list[bytes]) -> None:
    waits, resets, held = chance.random() < 0.8, chance.random() < 0.1, chance.random() < _HELD
    listens = _HELD_SECONDS if held else chance.choice(_LISTEN_SECONDS)
    try:
        if waits:
            client.send(pdus[0])
            _listen(client.connection, _FIRST_ANSWER_SECONDS, once=True)
        client.send(b"".join(pdus[1:] if waits else pdus))
        _listen(client.connection, listens)
    except NotServedError:  # the receiver has had enough of this session
        return
    if resets:
        client.reset()


def _listen(connection: socket.socket, seconds: float, *, once: bool = False) -> None:
    """Read what comes for some time, or until the receiver closes, or only the first of it."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            if not connection.recv(65536) or once:
                break
        except OSError:
            break
    connection.settimeout(_HELD_SECONDS)


def fuzz(receiver: Receiver, seed: int, seconds: float) -> Run:
    """Play sessions against a receiver for some time; fails as `withstanding` does."""
    fuzzer, began = Fuzzer(receiver.port, seed), time.monotonic()
    with withstanding(receiver) as peer:
        _at_once(lambda: fuzzer.play_until(began + seconds))
        took = time.monotonic() - began
    return _summary(fuzzer, seed, took, peer)


def _at_once(play: Callable[[], None]) -> None:
    with ThreadPoolExecutor(CONNECTIONS_AT_ONCE) as pool:
        for player in [pool.submit(play) for _ in range(CONNECTIONS_AT_ONCE)]:
            player.result()


def _summary(fuzzer: Fuzzer, seed: int, seconds: float, peer: GoodPeer) -> Run:
    worst = round(max(peer.echo_seconds), 3)
    return Run(seed, fuzzer.sessions, fuzzer.mutations, round(seconds, 1), len(peer.echo_seconds), worst)


def main() -> int:
    """Run it against a receiver of its own; 1 when something did not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            with receiving(Path(folder)) as receiver:
                run = fuzz(warm(receiver), chosen.seed, chosen.seconds)
        except AssertionError as failure:
            print(json.dumps({"seed": chosen.seed, "failure": str(failure)}))
            return 1
    print(json.dumps(asdict(run)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
