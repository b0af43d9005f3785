"""An Orthanc with DICOMweb, the releases of OHIF, a browser, and a node that has answered two studies."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from models.phantom import abdomen
from service.commands.archive import AE_TITLE, Orthanc, orthanc
from service.derived.encoding import encode
from service.derived.synthetic import Subject, ct_series
from service.edge.storage_scu import Remote, store
from tests.conftest import DICOM_WEB_PLUGIN, SHARED_DATA
from tests.node import SENDER, all_ended, configure, rule, running, until
from tests.viewer.browser import BROWSER_OPTIONS

RELEASES = Path(__file__).parent / "ohif"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pictures", type=Path, help="a folder to keep the screenshots in")


@pytest.fixture(scope="session")
def ohif() -> Callable[[str], Path]:
    """The files of a release of OHIF."""
    return lambda release: _present(RELEASES / release / "dist")


def _present(path: Path) -> Path:
    if path.exists():
        return path
    message = f"{path} is absent: run `make accept-viewer` as root on Debian"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def browser(outside_tool: Callable[[str], str]) -> Iterator[Any]:
    """The system's Chromium, driven from here."""
    driver = pytest.importorskip("playwright.sync_api", reason="pip install -e '.[viewer]'")
    with driver.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=outside_tool("chromium"), args=list(BROWSER_OPTIONS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def answered(
    outside_tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory, real_study: Path | None
) -> Iterator[Callable[[str], Orthanc]]:
    """For a profile, an Orthanc that speaks DICOMweb, with the images and what a node made of them for that profile."""
    ready: dict[str, Orthanc] = {}
    plugins = [_present(DICOM_WEB_PLUGIN)]
    with ExitStack() as open_archives:

        def for_profile(profile: str) -> Orthanc:
            if profile not in ready:
                folder = tmp_path_factory.mktemp("orthanc")
                ready[profile] = open_archives.enter_context(orthanc(outside_tool("Orthanc"), folder, plugins=plugins))
                _answer(ready[profile], profile, tmp_path_factory.mktemp("node"), real_study)
            return ready[profile]

        yield for_profile


def _answer(pacs: Orthanc, profile: str, folder: Path, real_study: Path | None) -> None:
    """Send a phantom's CT, and the real MR study where it is at hand, to the PACS and to a node that answers there."""
    paths = []
    for number, image in enumerate(ct_series(abdomen(11, (64, 104, 112), (3.0, 3.0, 3.0)).volume, Subject("viewer"))):
        paths.append(folder / f"{number:03}.dcm")
        paths[-1].write_bytes(encode(image))
    if real_study:
        paths += sorted(path for path in real_study.rglob("*") if path.is_file())
    rules = [rule("phantom_abdomen", modality="CT"), rule("hippocampus", modality="MR")]
    with running(configure(folder / "site", pacs.port, rules, profile=profile)) as node:
        for receiver in (Remote(SENDER, AE_TITLE, "127.0.0.1", pacs.port), node.remote):
            assert {status for _, status in store(receiver, paths)} == {0x0000}
        until(lambda: all_ended(node, 2 if real_study else 1), "the jobs have ended", seconds=240)


@pytest.fixture(scope="session")
def real_study() -> Path | None:
    """The MR study whose crop the hippocampus model is for; None where the real images are absent."""
    folder = SHARED_DATA / "hippocampus_dicom" / "Study3_PGBM-003"
    return folder if folder.is_dir() else None
