"""Five seconds of the fuzzer; `python -m tests.hostile.fuzz` runs it for longer."""

import random

from tests.hostile.fuzz import fuzz
from tests.hostile.grammar import session
from tests.hostile.mutations import mutate
from tests.hostile.standing import Shared


def test_sessions_by_chance_disturb_neither_the_receiver_nor_a_good_peer(shared: Shared) -> None:
    with shared.lent() as receiver:
        run = fuzz(receiver, seed=1, seconds=5)
    assert run.sessions > 100
    assert run.mutations > 100


def test_the_same_seed_makes_the_same_session() -> None:
    assert [made(seed) for seed in (1, 2)] == [made(seed) for seed in (1, 2)]
    assert made(1) != made(2)


def made(seed: int) -> list[bytes]:
    """A session of its own, mutated."""
    chance = random.Random(seed)
    pdus = session(chance)
    mutate(chance, pdus)
    return pdus
