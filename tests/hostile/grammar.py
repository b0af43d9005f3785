"""Sessions as a peer could hold them, made by chance: a list of PDUs, most of which are right."""

import random
from collections.abc import Callable

from tests.hostile import wire
from tests.hostile.client import EVIL, GOOD
from tests.hostile.images import small_ct

_NAMES = [f"1.2.3.{number}" for number in range(900_000_000_000, 900_000_000_032)]  # few: the spool stays small
_SYNTAXES = (wire.EXPLICIT_LITTLE_ENDIAN, wire.IMPLICIT_LITTLE_ENDIAN, wire.DEFLATED, wire.EXPLICIT_BIG_ENDIAN)
_ODD_TEXTS = (b"", b"1.2.3.4.5", b"../../x", b"\xff" * 64, b"1" * 70, b"A\\B", b"\0")
_GREATEST_ECHOES = 20


def session(chance: random.Random) -> list[bytes]:
    """An association with up to four exchanges and an end."""
    exchanges = [exchange for _ in range(chance.randrange(5)) for exchange in _exchange(chance)]
    return [_request(chance), *exchanges, *_end(chance)]


def _request(chance: random.Random) -> bytes:
    syntaxes = tuple(chance.sample(_SYNTAXES, chance.randrange(1, 5)))
    contexts = [wire.ECHO, wire.STORE, wire.Context(chance.randrange(256), wire.CT, syntaxes)]
    calling = chance.choice([EVIL] * 30 + [GOOD, "", "A" * 16])
    called = chance.choice(["ISOCENTER"] * 30 + ["", "\x00"])
    return wire.associate_rq(calling, chance.sample(contexts, chance.choice([3, 3, 3, 2, 1, 0])), called)


def _exchange(chance: random.Random) -> list[bytes]:
    kinds: list[Callable[[random.Random], list[bytes]]] = [_echo, _echoes, _store, _store, _store, _other]
    return chance.choice(kinds)(chance)


def _echo(chance: random.Random) -> list[bytes]:
    return [_command(chance, wire.ECHO.context_id, wire.echo_elements(chance.randrange(65536)))]


def _echoes(chance: random.Random) -> list[bytes]:
    return [wire.echo_request(number) for number in range(chance.randrange(_GREATEST_ECHOES))]


def _store(chance: random.Random) -> list[bytes]:
    name = chance.choice(_NAMES)
    content = small_ct(chance.choice([name] * 8 + _NAMES[:1]))
    if chance.random() < 0.3:
        content = _damaged(chance, content)
    command = _command(chance, wire.STORE.context_id, wire.store_elements(name, chance.randrange(65536)))
    return [command, *_fragments(chance, content)]


def _fragments(chance: random.Random, content: bytes) -> list[bytes]:
    cuts = sorted(chance.choices(range(len(content) + 1), k=chance.randrange(6)))
    edges = list(zip([0, *cuts], [*cuts, len(content)], strict=True))
    last = len(edges) - 1
    return [
        wire.p_data(wire.STORE.context_id, wire.LAST if number == last else 0, content[start:stop])
        for number, (start, stop) in enumerate(edges)
    ]


def _damaged(chance: random.Random, content: bytes) -> bytes:
    damaged = bytearray(content)
    for _ in range(chance.randrange(1, 30)):
        damaged[chance.randrange(min(400, len(damaged)))] = chance.randrange(256)
    return bytes(damaged[: chance.choice([len(damaged)] * 3 + [chance.randrange(len(damaged) + 1)])])


def _other(chance: random.Random) -> list[bytes]:
    """A command that no Storage SCP knows, or a response that nobody asked for."""
    field = chance.choice([0x0010, 0x0020, 0x0021, 0x0100, 0x0140, 0x0FFF, 0x8001, 0x8030, chance.randrange(65536)])
    elements = [each for each in wire.store_elements(_NAMES[0]) if each.element != 0x0100]
    return [_command(chance, wire.STORE.context_id, [*elements, wire.Element(0x0100, field.to_bytes(2, "little"))])]


def _command(chance: random.Random, context_id: int, elements: list[wire.Element]) -> bytes:
    """The command set, and one time in four with an element missing, unknown, twice, or with another content."""
    changes: list[Callable[[list[wire.Element]], None]] = [
        lambda them: them.remove(chance.choice(them)),
        lambda them: them.append(wire.Element(chance.randrange(65536), chance.randbytes(chance.randrange(40)))),
        lambda them: them.append(chance.choice(them)),
        lambda them: _replace(chance, them, chance.randbytes(chance.randrange(9))),
        lambda them: _replace(chance, them, chance.choice(_ODD_TEXTS)),
    ]
    if chance.random() < 0.25:
        chance.choice(changes)(elements)
    return wire.message(context_id, wire.COMMAND, wire.command_set(elements))


def _replace(chance: random.Random, elements: list[wire.Element], content: bytes) -> None:
    place = chance.randrange(len(elements))
    elements[place] = wire.Element(elements[place].element, content)


def _end(chance: random.Random) -> list[bytes]:
    release, abort = wire.pdu(wire.RELEASE_RQ, bytes(4)), wire.pdu(wire.ABORT, bytes(4))
    return chance.choice([[release], [release], [abort], [], [release, abort], [release, release]])
