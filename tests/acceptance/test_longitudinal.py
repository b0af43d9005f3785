"""A patient twice by storescu, a year apart and lying elsewhere, one tumour smaller: what the second report says."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from scipy.ndimage import distance_transform_edt
from scipy.ndimage import label as connected_components

from models.phantom import Phantom, abdomen
from models.volume import Grid, Volume
from service.commands.archive import Orthanc
from service.core.priors import IDENTITY_DIFFERS
from service.derived import content_tree
from service.derived.content_tree import Group
from service.derived.encoding import encode
from service.derived.synthetic import Subject, ct_series
from tests.node import Node, all_ended, configure, rule, run_command, running, until
from tests.validators import faults

SEED, TUMOUR, LIVER = 30007, 2, 1
RIND_MM = 5.0  # what the largest tumour has lost at its surface
MOVED_MM = (14.0, -8.0, 21.0)  # of the couch
DAYS = (date(2025, 3, 1), date(2026, 3, 1), date(2026, 6, 1))
THEN, NOW, SOMEBODY_ELSE = "then", "now", "somebody else"
DIFFERENCE, PERCENT, PER_YEAR = (
    ("VOLDIFF", "99ISOCENTER"),
    ("VOLDIFFPCT", "99ISOCENTER"),
    ("VOLDIFFYEAR", "99ISOCENTER"),
)
NEOPLASM, LIVER_CODE, SMALLER = ("108369006", "SCT"), ("10200004", "SCT"), ("19776001", "SCT")


@dataclass(frozen=True, slots=True)
class Course:
    """A node that has answered for all studies, and the report of each."""

    node: Node
    reports: dict[str, Dataset]

    def job_of(self, study: str) -> str:
        """The job whose report this is: they are listed as they were sent, one by one."""
        return str(self.node.jobs()[list(self.reports).index(study)]["job_id"])


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory, pacs: Orthanc, storescu: str) -> Iterator[Course]:
    folder = tmp_path_factory.mktemp("node")
    with running(configure(folder, pacs.port, [rule("phantom_abdomen", modality="CT")])) as node:
        reports = {}
        for number, (study, images) in enumerate(studies().items(), start=1):
            uid = send(node, storescu, folder / study, images)
            until(lambda number=number: all_ended(node, number), f"{number} ended jobs", seconds=400)  # type: ignore[misc]
            assert {job["state"] for job in node.jobs()} == {"DELIVERED"}, node.jobs()
            (reports[study],) = [
                each for each in pacs.datasets() if (each.Modality, each.StudyInstanceUID) == ("SR", uid)
            ]
        yield Course(node, reports)


def studies() -> dict[str, list[Dataset]]:
    phantom = abdomen(SEED)
    then, now, other = (
        Subject(seed=name, taken_at=datetime(day.year, day.month, day.day, 9))
        for name, day in zip((THEN, NOW, SOMEBODY_ELSE), DAYS, strict=True)
    )
    later = Volume(moved(phantom.volume.grid), with_a_smaller_tumour(phantom))
    images = {THEN: ct_series(phantom.volume, then), NOW: ct_series(later, now)}
    images[SOMEBODY_ELSE] = ct_series(phantom.volume, other)
    for image in images[SOMEBODY_ELSE]:
        image.PatientBirthDate = "19500101"
    return images


def with_a_smaller_tumour(phantom: Phantom) -> NDArray[np.float32]:
    """The values where the rind of the largest tumour is liver."""
    pieces, _ = connected_components(phantom.label_map.labels == TUMOUR)
    largest = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    rind = largest & (distance_transform_edt(largest, sampling=phantom.volume.grid.spacing_mm) < RIND_MM)
    values = phantom.volume.values.copy()
    liver = values[phantom.label_map.labels == LIVER]
    values[rind] = np.random.default_rng(SEED).choice(liver, int(rind.sum()))
    return values


def moved(grid: Grid) -> Grid:
    affine = grid.affine.copy()
    affine[:3, 3] += MOVED_MM
    return Grid(grid.shape, affine)


def send(node: Node, storescu: str, folder: Path, images: Sequence[Dataset]) -> str:
    folder.mkdir()
    for number, image in enumerate(images):
        (folder / f"{number:03d}.dcm").write_bytes(encode(image))
    assert node.storescu(storescu, "+sd", str(folder)).returncode == 0
    return str(images[0].StudyInstanceUID)


def groups(report: Dataset, finding: content_tree.Term, time_point: str | None) -> list[Group]:
    found = content_tree.groups(report)
    return [group for group in found if (group.finding, group.time_point) == (finding, time_point)]


def value(group: Group, name: content_tree.Term) -> float:
    return next(number.value for number in group.numbers if number.name == name)


VOLUME = ("118565006", "SCT")


def test_the_first_report_compares_nothing(course: Course) -> None:
    assert {group.time_point for group in content_tree.groups(course.reports[THEN])} == {None}


def test_the_second_report_tells_the_liver_of_both_days(course: Course) -> None:
    (was,) = groups(course.reports[THEN], LIVER_CODE, None)
    (liver,) = groups(course.reports[NOW], LIVER_CODE, None)
    (earlier,) = groups(course.reports[NOW], LIVER_CODE, "earlier")
    (now,) = groups(course.reports[NOW], LIVER_CODE, "now")

    before_ml, after_ml = value(was, VOLUME), value(liver, VOLUME)
    assert earlier.earlier is not None
    assert earlier.earlier[0] == DAYS[0]
    assert (value(earlier, VOLUME), value(now, VOLUME)) == pytest.approx((before_ml, after_ml), rel=1e-5)
    difference_ml = after_ml - before_ml
    assert value(now, DIFFERENCE) == pytest.approx(difference_ml, abs=0.02)
    assert value(now, PERCENT) == pytest.approx(100 * difference_ml / before_ml, abs=0.01)
    assert value(now, PER_YEAR) == pytest.approx(difference_ml * 365.25 / 365, abs=0.02)


def test_the_tumour_is_found_again_where_the_patient_lies_now_and_is_smaller(course: Course) -> None:
    of_lesions = [group for group in groups(course.reports[NOW], NEOPLASM, "now") if group.size]

    largest = min(of_lesions, key=lambda group: value(group, DIFFERENCE))
    assert largest.size == SMALLER
    assert value(largest, PERCENT) < -25
    assert len([group for group in of_lesions if group.size == SMALLER]) == 1


def test_another_birth_date_at_the_same_patient_id_is_not_compared_and_the_report_says_so(course: Course) -> None:
    said = content_tree.groups(course.reports[SOMEBODY_ELSE])

    assert {group.time_point for group in said} == {None}
    assert [group.comment for group in said if group.finding is None] == [IDENTITY_DIFFERS]


def test_validators_find_no_fault(course: Course, outside_tool: Callable[[str], str], tmp_path: Path) -> None:
    for study, report in course.reports.items():
        report.save_as(tmp_path / "sr")
        assert faults(outside_tool("dciodvfy"), tmp_path / "sr") == [], study
        assert faults(outside_tool("dsrdump"), tmp_path / "sr") == [], study


def test_a_second_run_is_bit_identical_also_when_the_earlier_study_has_left(course: Course) -> None:
    spool, earlier = course.node.settings.spool, course.job_of(THEN)
    shutil.rmtree(spool / "work" / earlier)

    seen = run_command("replay", course.job_of(NOW), "--config", str(course.node.settings.folder))

    assert (seen.returncode, "bit-identical" in seen.stdout) == (0, True), seen.stdout + seen.stderr
