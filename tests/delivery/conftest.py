"""A reported job with objects to deliver, and a clock."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.edge.ledger import Ledger
from service.edge.spool import Spool
from tests.delivery.stage import Clock, reported


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture
def ledger(tmp_path: Path, spool: Spool) -> Iterator[Ledger]:
    """A reported job with two objects for two destinations."""
    with reported(tmp_path / "ledger.sqlite3", spool) as ledger:
        yield ledger
