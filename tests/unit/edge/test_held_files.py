"""Whether a received file still is what came."""

from collections.abc import Callable
from pathlib import Path

import pytest

from service.core.commitment import Found, Standing
from service.edge.held_files import index, read_all
from service.edge.spool import InstanceName, Spool
from tests import factories
from tests.arriving import receive

CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "spool")
    receive(spool, factories.ct_series(factories.grid(shape=(2, 64, 64)))[0])
    return spool


@pytest.fixture
def name(spool: Spool) -> InstanceName:
    (name,) = spool.arrivals()
    return name


def test_a_file_as_it_came_is_whole_and_of_its_class(spool: Spool, name: InstanceName) -> None:
    assert read_all(spool, index(spool)[name.sop_instance_uid]) == [Found(Standing.WHOLE, CT)]


def test_an_instance_that_came_in_two_series_is_found_twice(spool: Spool, name: InstanceName) -> None:
    other = InstanceName("1.2.3", name.sop_instance_uid)
    spool.incoming(other).write_bytes(spool.incoming(name).read_bytes())
    assert set(index(spool)[name.sop_instance_uid]) == {name, other}


def last_byte_changed(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def cut_short(content: bytes) -> bytes:
    return content[:-100]


def without_digest(content: bytes) -> bytes:
    end = content.index(b"2.25.1") + len(b"2.25.1  ") + 32
    return content[: end - 32] + b"0" * 32 + content[end:]


@pytest.mark.parametrize("damage", [last_byte_changed, cut_short, without_digest])
def test_a_file_whose_bytes_are_not_those_that_came_is_damaged(
    spool: Spool, name: InstanceName, damage: Callable[[bytes], bytes]
) -> None:
    path = spool.incoming(name)
    path.write_bytes(damage(path.read_bytes()))
    assert read_all(spool, [name]) == [Found(Standing.DAMAGED, CT)]


@pytest.mark.parametrize("content", [b"", b"\0" * 200, b"\xff" * 200], ids=["empty", "zeros", "ones"])
def test_a_file_that_cannot_be_read_at_all_is_damaged(spool: Spool, name: InstanceName, content: bytes) -> None:
    spool.incoming(name).write_bytes(content)
    assert [found.standing for found in read_all(spool, [name])] == [Standing.DAMAGED]


def test_a_file_that_is_gone_is_not_found(spool: Spool, name: InstanceName) -> None:
    spool.remove(name)
    assert read_all(spool, [name]) == []
