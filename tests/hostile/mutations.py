"""Ways in which a session goes wrong: each takes a list of PDUs and changes it in place."""

import random
import struct
from collections.abc import Callable

from tests.hostile import wire

Mutation = Callable[[random.Random, list[bytes]], None]

_LENGTHS = (0, 1, 5, 0x7FFFFFFF, wire.GREATEST, 131072, 131073, 65536)
_KINDS = (0, *range(1, 9), 0x80, 0xFF)


def mutate(chance: random.Random, pdus: list[bytes]) -> int:
    """Change a session in up to four ways; returns in how many."""
    chosen = chance.choices(MUTATIONS, k=chance.choice([0, 1, 1, 1, 2, 2, 3, 4]))
    for mutation in chosen:
        mutation(chance, pdus)
    return len(chosen)


def _flip_bits(chance: random.Random, pdus: list[bytes]) -> None:
    def flip(pdu: bytearray) -> None:
        for _ in range(chance.choice([1, 1, 2, 8, 64])):
            pdu[chance.randrange(len(pdu))] ^= 1 << chance.randrange(8)

    _change(chance, pdus, flip, at_least=1)


def _lie_about_length(chance: random.Random, pdus: list[bytes]) -> None:
    def lie(pdu: bytearray) -> None:
        pdu[2:6] = _length(chance, len(pdu) - 6)

    _change(chance, pdus, lie, at_least=6)


def _lie_about_fragment_length(chance: random.Random, pdus: list[bytes]) -> None:
    def lie(pdu: bytearray) -> None:
        pdu[6:10] = _length(chance, len(pdu) - 10)

    _change(chance, pdus, lie, at_least=12)


def _lie_about_item_length(chance: random.Random, pdus: list[bytes]) -> None:
    """Any two bytes of the A-ASSOCIATE-RQ's items."""
    if len(pdus[0]) > 80:
        changed = bytearray(pdus[0])
        place = chance.randrange(74, len(changed) - 2)
        changed[place : place + 2] = struct.pack(">H", chance.choice([0, 1, 0xFFFF, chance.randrange(65536)]))
        pdus[0] = bytes(changed)


def _change_context(chance: random.Random, pdus: list[bytes]) -> None:
    _set_byte(chance, pdus, 10, [0, 2, 5, 255, chance.randrange(256)])


def _change_control_header(chance: random.Random, pdus: list[bytes]) -> None:
    _set_byte(chance, pdus, 11, [0, 1, 2, 3, 4, 0xFC, 0xFF, chance.randrange(256)])


def _change_kind(chance: random.Random, pdus: list[bytes]) -> None:
    _set_byte(chance, pdus, 0, _KINDS)


def _truncate(chance: random.Random, pdus: list[bytes]) -> None:
    place = chance.randrange(len(pdus))
    pdus[place] = pdus[place][: chance.randrange(len(pdus[place]) + 1)]


def _truncate_the_session(chance: random.Random, pdus: list[bytes]) -> None:
    _truncate(chance, pdus)
    del pdus[chance.randrange(len(pdus)) + 1 :]


def _duplicate(chance: random.Random, pdus: list[bytes]) -> None:
    place = chance.randrange(len(pdus))
    pdus[place:place] = [pdus[place]] * chance.choice([1, 1, 1, 10])


def _drop(chance: random.Random, pdus: list[bytes]) -> None:
    if len(pdus) > 1:
        del pdus[chance.randrange(len(pdus))]


def _reorder(chance: random.Random, pdus: list[bytes]) -> None:
    keep = chance.choice([0, 1, 1])
    rest = pdus[keep:]
    chance.shuffle(rest)
    pdus[keep:] = rest


def _insert_garbage(chance: random.Random, pdus: list[bytes]) -> None:
    content = chance.randbytes(chance.randrange(200))
    framed = wire.pdu(chance.choice(_KINDS), content)
    pdus.insert(chance.randrange(len(pdus) + 1), chance.choice([content, framed]))


def _insert_fragment(chance: random.Random, pdus: list[bytes]) -> None:
    content = chance.randbytes(chance.choice([0, 1, 8, 12, 100]))
    said = chance.choice([None, 0, 1, 2, wire.GREATEST])
    odd = wire.p_data(chance.choice([0, 1, 3, 7]), chance.randrange(8), content, said)
    pdus.insert(chance.randrange(len(pdus) + 1), chance.choice([odd, wire.pdu(wire.P_DATA, b"")]))


MUTATIONS: tuple[Mutation, ...] = (
    _flip_bits,
    _lie_about_length,
    _lie_about_fragment_length,
    _lie_about_item_length,
    _change_context,
    _change_control_header,
    _change_kind,
    _truncate,
    _truncate_the_session,
    _duplicate,
    _drop,
    _reorder,
    _insert_garbage,
    _insert_fragment,
)


def _length(chance: random.Random, truth: int) -> bytes:
    near = max(0, truth + chance.randrange(-8, 9))
    return struct.pack(">I", chance.choice([near, near, *_LENGTHS]))


def _set_byte(chance: random.Random, pdus: list[bytes], place: int, values: tuple[int, ...] | list[int]) -> None:
    def set_it(pdu: bytearray) -> None:
        pdu[place] = chance.choice(values)

    _change(chance, pdus, set_it, at_least=place + 1)


def _change(chance: random.Random, pdus: list[bytes], change: Callable[[bytearray], None], *, at_least: int) -> None:
    """Change one PDU that has so many bytes, where there is one."""
    places = [place for place, pdu in enumerate(pdus) if len(pdu) >= at_least]
    if places:
        place = chance.choice(places)
        changed = bytearray(pdus[place])
        change(changed)
        pdus[place] = bytes(changed)
