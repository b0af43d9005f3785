"""What the tests of single modules share: an empty spool and an empty ledger."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.edge.ledger import Ledger, opened
from service.edge.spool import Spool


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with opened(f"sqlite:///{tmp_path / 'ledger.sqlite3'}") as ledger:
        yield ledger
