"""What the acceptance tests share: an Orthanc as the PACS, and the outside tools by name."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.commands.archive import Orthanc, orthanc
from tests.unit.models import packages


@pytest.fixture(scope="module")
def pacs(outside_tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """A running Orthanc, empty at the start of a module."""
    with orthanc(outside_tool("Orthanc"), tmp_path_factory.mktemp("orthanc")) as archive:
        yield archive


@pytest.fixture(scope="session")
def packages_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, `tiny`, that takes any CT and no time."""
    folder = tmp_path_factory.mktemp("packages")
    packages.with_weights(folder / "tiny")
    return folder


@pytest.fixture(scope="session")
def storescu(outside_tool: Callable[[str], str]) -> str:
    """DCMTK's storescu."""
    return outside_tool("storescu")


@pytest.fixture(scope="session")
def real_study(real_images: Callable[[str], Path]) -> Path:
    """One MR study of a patient, six series; one of them is the crop that the hippocampus model is for."""
    return real_images("hippocampus_dicom") / "Study3_PGBM-003"
