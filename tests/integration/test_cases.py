"""`isocenter cases`: Series and their Segmentations become cases that training reads, as a user calls it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from models.training.cases import names_in, patients_in, read_case
from models.volume import Grid
from service.core.profiles import PRESETS, Profile
from service.derived import segmentation, synthetic
from service.derived.encoding import encode
from tests import factories
from tests.node import run_command
from tests.unit.models.packages import CODE, put, written

GRID = factories.grid("oblique", shape=(12, 40, 30), spacing_mm=(2.5, 0.8, 1.1))


def drawn(
    images: Sequence[Dataset], array: NDArray[np.uint8] | None = None, on: Grid = GRID, profile: Profile | None = None
) -> Dataset:
    """A Segmentation of liver and spleen on these images."""
    findings = factories.findings(on, array)
    origin = replace(factories.ORIGIN, job_id=str(images[0].SeriesInstanceUID))
    made_of = factories.material(factories.headers(images), findings, origin, profile or PRESETS["usual"])
    (dataset,) = segmentation.build(made_of, {})
    return dataset


def series(number: int, patient: str, on: Grid = GRID) -> list[Dataset]:
    """A CT of a patient who must not be named."""
    subject = synthetic.Subject(seed=str(number), patient_id=f"PHANTOM-{patient}", name=f"Secret^{patient}")
    return synthetic.ct_series(factories.volume(on), subject)


def stored(folder: Path, *objects: Dataset) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for dataset in objects:
        (folder / f"{dataset.SOPInstanceUID}.dcm").write_bytes(encode(dataset))
    return folder


@pytest.mark.parametrize("form", ["binary", "fractional, RLE", "label map, deflated"])
def test_image_and_segmentation_become_a_case_on_the_images_own_grid(tmp_path: Path, form: str) -> None:
    images = factories.ct_series(GRID)
    folder = stored(tmp_path / "study", *images, drawn(images, profile=factories.SEGMENTATION_FORMS[form]))
    ended = run_command("cases", str(folder), str(tmp_path / "out"))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert names_in(tmp_path / "out") == ["case_001"]
    case = read_case(tmp_path / "out", "case_001")
    back = case.truth.grid.to_index(GRID.to_world(np.argwhere(factories.labels(GRID) == 2).astype(float)))
    at = np.rint(back).astype(int)
    assert np.abs(back - at).max() < 1e-3
    assert {tuple(each) for each in at} == {tuple(each) for each in np.argwhere(case.truth.labels == 2)}
    assert np.count_nonzero(case.truth.labels == 1) == np.count_nonzero(factories.labels(GRID) == 1)
    here = GRID.to_index(case.volume.grid.to_world(np.array([[3.0, 7.0, 5.0]])))
    value = factories.volume(GRID).values[tuple(np.rint(here[0]).astype(int))]
    assert case.volume.values[3, 7, 5] == pytest.approx(value, abs=0.51)  # stored as whole numbers


def test_cases_say_whose_they_are_without_a_name_and_what_their_labels_mean(tmp_path: Path) -> None:
    for number, patient in enumerate(["A", "B", "A"]):
        images = series(number, patient)
        stored(tmp_path / "all" / str(number), *images, drawn(images))
    ended = run_command("cases", str(tmp_path / "all"), str(tmp_path / "out"))
    assert "3 cases are in" in ended.stdout
    assert sorted(patients_in(tmp_path / "out").values()) == ["patient_001", "patient_001", "patient_002"]
    described = (tmp_path / "out" / "dataset.json").read_text(encoding="utf-8")
    assert json.loads(described)["labels"] == {"0": "background", "1": "Liver", "2": "Spleen"}
    assert "Secret" not in described
    assert "PHANTOM" not in described


def test_labels_are_numbered_as_a_package_numbers_them(tmp_path: Path) -> None:
    spleen, liver = (
        {"value": number, "name": name, "category": CODE, "color_rgb": [1, 2, 3]}
        for number, name in ((1, "Milt"), (2, "Leber"))
    )
    labels = [spleen | {"type": {"value": "78961009", "scheme": "SCT", "meaning": "Spleen"}}, liver | {"type": CODE}]
    package = put(tmp_path / "tiny", written(labels=labels))
    images = factories.ct_series(GRID)
    folder = stored(tmp_path / "study", *images, drawn(images))
    run_command("cases", str(folder), str(tmp_path / "out"), "--package", str(package))
    counts = np.bincount(read_case(tmp_path / "out", "case_001").truth.labels.ravel())
    ours = np.bincount(factories.labels(GRID).ravel())
    assert counts.tolist() == [ours[0], ours[2], ours[1]]


def test_what_is_no_case_is_named_with_its_reason(tmp_path: Path) -> None:
    images, others = factories.ct_series(GRID), factories.ct_series(GRID, seed="elsewhere")
    moved = drawn(images)
    for group in moved.PerFrameFunctionalGroupsSequence:
        group.PlanePositionSequence[0].ImagePositionPatient[0] += 0.5
    moved.SOPInstanceUID = moved.file_meta.MediaStorageSOPInstanceUID = "2.25.77"
    folder = stored(tmp_path / "study", *images, drawn(others), moved)
    ended = run_command("cases", str(folder), str(tmp_path / "out"))
    assert ended.returncode == 1
    assert "not a case: it is drawn on images of 0 stacks that are here" in ended.stdout
    assert "2.25.77.dcm: not a case: frame 1 does not lie on a slice of the image" in ended.stdout
    assert "0 cases are in" in ended.stdout


def test_a_second_segmentation_of_the_same_images_is_not_mixed_in(tmp_path: Path) -> None:
    images = factories.ct_series(GRID)
    again = drawn(images)
    again.SOPInstanceUID = again.file_meta.MediaStorageSOPInstanceUID = "2.25.78"
    ended = run_command("cases", str(stored(tmp_path / "study", *images, drawn(images), again)), str(tmp_path / "out"))
    assert "not a case: its images are a case already, with another Segmentation" in ended.stdout
    assert "1 cases are in" in ended.stdout


def test_training_starts_from_the_command_line_and_says_what_is_wrong_in_a_sentence(tmp_path: Path) -> None:
    ended = run_command("train", str(tmp_path / "nothing"), "--device", "cpu")
    assert ended.returncode == 1
    assert "there is no package" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_cases_of_a_study_train_a_package_from_the_command_line(tmp_path: Path) -> None:
    grid = factories.grid(shape=(9, 20, 14))
    for number, patient in enumerate("ABC"):
        images = series(number, patient, grid)
        stored(tmp_path / "all", *images, drawn(images, (factories.labels(grid) == 1).astype(np.uint8), grid))
    package = put(tmp_path / "tiny", written(inference={"patch": [8, 8, 8]}))
    recipe = (
        "{cases: {kind: folder, held_out: 1, validation: 1, seed: 1}, augmentation: {}, seed: 1, iterations: 4, "
        "batch: 2, learning_rate: 0.01, validate_every: 2}"
    )
    (package / "training.yaml").write_text(recipe, encoding="utf-8")
    run_command("cases", str(tmp_path / "all"), str(tmp_path / "cases"), "--package", str(package))
    where = ["--data", str(tmp_path / "cases"), "--run", str(tmp_path / "run"), "--device", "cpu"]
    ended = run_command("train", str(package), *where)
    assert ended.returncode == 0, ended.stderr
    assert "weights.safetensors is new" in ended.stdout
    seen = {path.name for path in (tmp_path / "run").iterdir()}
    assert seen == {"best.safetensors", "last.safetensors", "checkpoint.pt", "log.csv", "curves.png"}
