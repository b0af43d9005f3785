"""What the tests of delivery are lent: objects, a reported job with some, a clock, an Orthanc with DICOMweb."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.commands.archive import Orthanc, free_port, orthanc
from service.derived.encoding import encode
from service.edge.ledger import Ledger
from service.edge.spool import Spool
from tests import factories
from tests.delivery.stage import Clock, reported


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """An empty spool."""
    return Spool(tmp_path / "spool")


@pytest.fixture
def ledger(tmp_path: Path, spool: Spool) -> Iterator[Ledger]:
    """A reported job with two objects for two destinations."""
    with reported(tmp_path / "ledger.sqlite3", spool) as ledger:
        yield ledger


@pytest.fixture
def objects(spool: Spool) -> list[Path]:
    """Two objects of a job in outbox/."""
    paths = []
    for image in factories.ct_series(factories.grid(shape=(2, 8, 8))):
        paths.append(spool.outbox("job") / f"{image.SOPInstanceUID}.dcm")
        spool.place(paths[-1], encode(image))
    return paths


@pytest.fixture(scope="session")
def pacs(
    outside_tool: Callable[[str], str], dicom_web_plugin: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Orthanc]:
    """An Orthanc with DICOMweb; it lets ISOCENTER ask by C-FIND."""
    folder = tmp_path_factory.mktemp("pacs")
    with orthanc(outside_tool("Orthanc"), folder, node_port=free_port(), plugins=[dicom_web_plugin]) as running:
        yield running
