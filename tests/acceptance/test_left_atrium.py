"""Studies of a real left atrium by storescu in: what Orthanc has of them.

One says height and weight, one does not, and one calls the same images a knee.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from models.preprocessing import Turn, turned_grid
from models.registry import find
from models.training.cases import Case, read_case
from models.training.evaluation import read_evaluation
from models.training.recipe import Folder, read_recipe
from models.training.scores import dice
from models.training.segmented import SegmentationEvaluation
from models.volume import LabelMap, Volume
from service.commands.archive import Orthanc
from service.derived import content_tree
from service.derived.encoding import encode
from service.derived.frames import frames
from service.derived.synthetic import Subject, mr_series
from tests.node import Node, all_ended, configure, rule, running, until
from tests.validators import faults

Number = TypeVar("Number", np.float32, np.uint8)
HEIGHT_M, WEIGHT_KG = 1.80, 76.0
SAGITTAL = Turn((2, 1, 0), (1, 2))  # of axes that run to Anterior, Superior, Right: to Right, Inferior, Posterior
NAMED = {"SIZED": (str(HEIGHT_M), str(WEIGHT_KG)), "UNSIZED": (None, None)}
KNEE = "KNEE"


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """What the PACS has of one study: images by UID, the segmentation, the report."""

    images: list[Dataset]
    segmentation: Dataset
    report: Dataset


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What became of the studies: results by patient, and the node's row for the Series that says it is a knee."""

    results: dict[str, Results]
    knee: dict[str, Any]


@pytest.fixture(scope="module")
def case(real_images: Callable[[str], Path]) -> Case:
    """A real case that the weights were not trained on, in sagittal slices as it was acquired."""
    folder = find()["left_atrium"].folder
    cases = read_recipe(folder).cases
    assert isinstance(cases, Folder)
    name = evaluation().shipped[0].name
    read = read_case(real_images("left_atrium_msd_2.5mm"), name, cases.axes)
    grid = turned_grid(read.volume.grid, SAGITTAL)
    return Case(name, Volume(grid, as_acquired(read.volume.values)), LabelMap(grid, as_acquired(read.truth.labels)))


def as_acquired(array: NDArray[Number]) -> NDArray[Number]:
    return np.ascontiguousarray(np.flip(array.transpose(SAGITTAL.order), SAGITTAL.flipped))


def evaluation() -> SegmentationEvaluation:
    written = read_evaluation(find()["left_atrium"].folder)
    assert isinstance(written, SegmentationEvaluation)
    return written


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, pacs: Orthanc, storescu: str, case: Case) -> Seen:
    folder = tmp_path_factory.mktemp("node")
    images = {patient: series(case, patient) for patient in (*NAMED, KNEE)}
    for number, image in enumerate(each for study in images.values() for each in study):
        (folder / "images").mkdir(exist_ok=True)
        (folder / "images" / f"{number:03d}.dcm").write_bytes(encode(image))
    with running(configure(folder, pacs.port, [rule("left_atrium", modality="MR")])) as node:
        assert node.storescu(storescu, "+sd", str(folder / "images")).returncode == 0
        until(lambda: len(node.series()) == len(images), "a row for each Series", seconds=60)
        until(lambda: all_ended(node, 2), "two ended jobs", seconds=240)
        assert {job["state"] for job in node.jobs()} == {"DELIVERED"}, reasons(node)
        (knee,) = (row for row in node.series() if row["series"] == images[KNEE][0].SeriesInstanceUID)
    return Seen({patient: of_study(pacs, images[patient]) for patient in NAMED}, knee)


@pytest.fixture(scope="module")
def results(seen: Seen) -> dict[str, Results]:
    return seen.results


def reasons(node: Node) -> list[str]:
    return [str(job["reason"]) for job in node.jobs()]


def series(case: Case, patient: str) -> list[Dataset]:
    """The case as MR images of a patient who is, or is not, measured and weighed."""
    body_part = KNEE if patient == KNEE else "HEART"
    subject = Subject(seed=patient, name=f"Heart^{patient}", patient_id=f"PHANTOM-{patient}", body_part=body_part)
    images = mr_series(case.volume, subject)
    height_m, weight_kg = NAMED.get(patient, (None, None))
    for image in images:
        if height_m and weight_kg:
            image.PatientSize, image.PatientWeight = height_m, weight_kg
    return images


def of_study(pacs: Orthanc, images: list[Dataset]) -> Results:
    made = [each for each in pacs.datasets() if each.StudyInstanceUID == images[0].StudyInstanceUID]
    by_modality = {each.Modality: each for each in made}
    assert set(by_modality) == {"SEG", "SR"}
    return Results(images, by_modality["SEG"], by_modality["SR"])


@pytest.mark.parametrize("patient", NAMED)
def test_the_segmentation_overlaps_the_truth_as_the_card_says(
    results: dict[str, Results], case: Case, patient: str
) -> None:
    slice_of = {str(image.SOPInstanceUID): index for index, image in enumerate(results[patient].images)}
    found = np.zeros(case.truth.labels.shape, bool)
    for frame in frames(results[patient].segmentation):
        index = slice_of[frame.source.sop_instance_uid]
        assert np.abs(frame.position_mm - case.volume.grid.affine[:3, :] @ (index, 0, 0, 1)).max() < 1e-3
        found[index] |= frame.pixels
    assert dice(found, case.truth.labels == 1) == pytest.approx(evaluation().shipped[0].labels[0].dice, abs=0.01)


def test_the_volume_is_indexed_where_height_and_weight_are_known_and_only_there(results: dict[str, Results]) -> None:
    volume, index = numbers(results["SIZED"])
    assert (index.name, index.unit) == (("LAVI", "99ISOCENTER"), ("ml/m2", "UCUM"))
    assert index.value == pytest.approx(volume.value / (HEIGHT_M * 100 * WEIGHT_KG / 3600) ** 0.5, rel=1e-5)
    (alone,) = numbers(results["UNSIZED"])
    assert alone.value == pytest.approx(volume.value)


def test_a_knee_is_declined_by_its_name(seen: Seen) -> None:
    assert "the body part is KNEE; the model was validated on HEART or CARDIAC" in str(seen.knee)


def numbers(of: Results) -> tuple[content_tree.Number, ...]:
    (group,) = content_tree.groups(of.report)
    return group.numbers


def test_other_makers_validators_find_no_fault(
    results: dict[str, Results], outside_tool: Callable[[str], str], tmp_path: Path
) -> None:
    for name, dataset in (("seg", results["SIZED"].segmentation), ("sr", results["SIZED"].report)):
        dataset.save_as(tmp_path / name)
    assert faults(outside_tool("dciodvfy"), tmp_path / "seg") == []
    assert faults(outside_tool("dciodvfy"), tmp_path / "sr") == []
    assert faults(outside_tool("dsrdump"), tmp_path / "sr") == []
