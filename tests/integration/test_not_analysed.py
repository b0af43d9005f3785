"""A notice before the validators of other makers, and from end to end: a hole in, one report and one picture out."""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import BasicTextSRStorage, SecondaryCaptureImageStorage

from service.commands.archive import Orthanc, orthanc
from service.core.entities import Reason
from service.core.jobs import Job, State
from service.core.refusals import Notice, SayWhyNot, cure_of
from service.derived import content_tree, not_analysed
from service.derived.encoding import encode
from tests import factories
from tests.node import Node, all_ended, configure, rule, running, until
from tests.unit.models import packages
from tests.validators import faults

GRID = factories.grid(shape=(24, 48, 48), spacing_mm=(4.0, 4.0, 4.0))
WHY = "hole: 1 of 24 slices missing; the first gap is after slice 11, where one is expected at -160.12 mm"
NOTICE = Notice("Tiny", WHY, cure_of(Reason.HOLE), SayWhyNot.BOTH)
JOB = Job("j", "s", "1.2.3", "1.2", "tiny", "1.0.0", "r", ("pacs",), State.INFERRED, 0, datetime(2026, 1, 1), NOTICE)

Tool = Callable[[str], str]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A series on disk and what was said of it."""

    images: list[Path]
    report: Path
    picture: Path


SERIES = {"synthetic CT": factories.ct_series, "synthetic MR": factories.mr_series}
REAL = {
    "MR, cropped": ("hippocampus_dicom", "Study3_PGBM-003/11_HCropVolume"),
    "CT of a head": ("ct_philips_S21570_localizer_axial_sc", "S2010"),
}


@pytest.fixture(params=[*SERIES, *REAL])
def case(request: pytest.FixtureRequest, tmp_path: Path, real_images: Callable[[str], Path]) -> Case:
    if request.param in SERIES:
        series = SERIES[request.param](missing=[5])
    else:
        name, folder = REAL[request.param]
        files = sorted(path for path in (real_images(name) / folder).rglob("*") if path.is_file())
        series = [image for image in map(dcmread, files) if "ImagePositionPatient" in image]
    said = not_analysed.lines(series, JOB, NOTICE, factories.ORIGIN)
    report = not_analysed.build_report(series, said, NOTICE, factories.ORIGIN)
    picture = not_analysed.build_picture(series, said, NOTICE, factories.ORIGIN)
    images = [tmp_path / f"{number}.dcm" for number in range(len(series))]
    for path, image in zip(images, series, strict=True):
        image.save_as(path)
    return Case(images, _write(tmp_path / "report.dcm", report), _write(tmp_path / "picture.dcm", picture))


def _write(path: Path, dataset: Dataset) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(encode(dataset))
    return path


def test_dciodvfy_finds_no_fault_in_report_and_picture(case: Case, outside_tool: Tool) -> None:
    dciodvfy = outside_tool("dciodvfy")
    assert {path.name: faults(dciodvfy, path) for path in (case.report, case.picture)} == {
        "report.dcm": [],
        "picture.dcm": [],
    }


def test_dcentvfy_finds_patient_and_study_equal_to_those_of_the_images(case: Case, outside_tool: Tool) -> None:
    dcentvfy = outside_tool("dcentvfy")
    about_the_images_alone = set(faults(dcentvfy, *case.images))
    assert set(faults(dcentvfy, *case.images, case.report, case.picture)) <= about_the_images_alone


def test_dsrdump_reads_the_reason_and_what_to_do(case: Case, outside_tool: Tool) -> None:
    dsrdump = outside_tool("dsrdump")
    seen = subprocess.run([dsrdump, "+Pl", str(case.report)], capture_output=True, text=True, check=True).stdout
    assert faults(dsrdump, case.report) == []
    for words in ("Basic Text SR Document", "NOT ANALYSED", WHY, NOTICE.cure, "No finding is implied"):
        assert words in seen


@pytest.fixture(scope="module")
def pacs(outside_tool: Tool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with orthanc(outside_tool("Orthanc"), tmp_path_factory.mktemp("orthanc")) as archive:
        yield archive


def run_with_hole(
    pacs: Orthanc, storescu: str, folder: Path, seed: str, kill: Sequence[str] = (), **say: str
) -> list[Dataset]:
    """What the archive has of a series with a missing slice once the node is done with it, some roles killed in it."""
    packages.with_weights(folder / "packages" / "tiny")
    rules: list[dict[str, Any]] = [rule("tiny", modality="CT") | say]
    settings = configure(folder / "site", pacs.port, rules, inferring={"packages": [str(folder / "packages")]})
    series = factories.ct_series(GRID, seed=seed, missing=[11])
    for number, image in enumerate(series):
        _write(folder / "series" / f"{number}.dcm", image)
    with running(settings) as node:
        assert node.storescu(storescu, "+sd", str(folder / "series")).returncode == 0
        until(lambda: _was_logged(node, "stack routed"), "the Series is routed")
        for role in kill:
            node.kill(role)
        until(lambda: all_ended(node, 1) or not say, "the notice is delivered")
        assert [row["not_analysed"][:5] for row in node.jobs()] == (["hole:"] if say else [])
    return [found for found in pacs.datasets() if found.StudyInstanceUID == series[0].StudyInstanceUID]


def _was_logged(node: Node, event: str) -> bool:
    return any(line["event"] == event for line in node.events())


def test_the_archive_receives_one_report_and_one_picture_of_a_series_with_a_hole(
    pacs: Orthanc, outside_tool: Tool, tmp_path: Path
) -> None:
    found = run_with_hole(pacs, outside_tool("storescu"), tmp_path, "told", say_why_not="both")
    by_class = {str(dataset.SOPClassUID): dataset for dataset in found}
    assert len(found) == 2
    assert set(by_class) == {BasicTextSRStorage, SecondaryCaptureImageStorage}
    said = content_tree.contained(by_class[BasicTextSRStorage], "TEXT", "TextValue")
    assert said[1] == "Computed phantom, number 1, 23 images"
    assert said[2].startswith("hole: 1 of 24 slices missing; the first gap is after slice 11, where one is expected at")
    assert {dataset.SeriesDescription for dataset in found} == {"AI not analysed: Tiny"}


@pytest.mark.exhaustive  # half a minute
def test_the_archive_receives_them_once_though_worker_and_dispatcher_are_killed(
    pacs: Orthanc, outside_tool: Tool, tmp_path: Path
) -> None:
    killed = ("worker", "dispatcher")
    found = run_with_hole(pacs, outside_tool("storescu"), tmp_path, "killed", killed, say_why_not="both")
    assert sorted(dataset.Modality for dataset in found) == ["OT", "SR"]


def test_a_rule_that_does_not_say_why_not_sends_nothing(pacs: Orthanc, outside_tool: Tool, tmp_path: Path) -> None:
    assert run_with_hole(pacs, outside_tool("storescu"), tmp_path, "untold") == []
