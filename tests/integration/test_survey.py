"""`isocenter inspect` and `isocenter export`, as a newcomer calls them."""

import json
import re
from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom import Dataset

from models.nifti import read_volume
from service.derived.encoding import encode
from tests import factories
from tests.enhanced import enhanced
from tests.node import run_command

GRID = factories.grid("oblique", shape=(9, 20, 14), spacing_mm=(3.3, 0.7, 1.9))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An oblique CT, an MR with a hole, and a file that is not DICOM."""
    images = [*factories.ct_series(GRID, seed="whole"), *factories.mr_series(seed="hole", missing=[4])]
    return stored(images, tmp_path / "images")


def stored(images: list[Dataset], folder: Path) -> Path:
    folder.mkdir()
    for number, image in enumerate(images):
        (folder / f"{number}.dcm").write_bytes(encode(image))
    (folder / "README").write_text("not an image\n")
    return folder


def told(folder: Path) -> list[dict[str, object]]:
    """The parts that inspect tells of, as JSON."""
    parts: list[dict[str, object]] = json.loads(run_command("inspect", str(folder), "--json").stdout)["parts"]
    return parts


def test_every_part_is_told_with_geometry_values_and_reason(folder: Path) -> None:
    stack, hole = sorted(told(folder), key=lambda part: str(part["modality"]))
    assert stack["what"] == "oblique, 9 x 20 x 14 voxels of 3.3 x 0.7 x 1.9 mm"
    assert stack["spacing_mm"] == [3.3, 0.7, 1.9]
    assert stack["values"]["minimum"] < stack["values"]["median"] < stack["values"]["maximum"]  # type: ignore[index]
    assert sum(stack["values"]["histogram"]) > 0.9 * 9 * 20 * 14  # type: ignore[index]
    assert str(hole["what"]).startswith("hole: 1 of 12 slices missing")
    assert hole["values"] is None


def test_a_value_far_from_all_others_is_flagged(tmp_path: Path) -> None:
    images = factories.ct_series(GRID)
    pixels = np.frombuffer(images[3].PixelData, dtype="<u2").copy()
    pixels[17] = 60000
    images[3].PixelData = pixels.tobytes()
    images[3].BitsStored, images[3].HighBit = 16, 15
    (part,) = told(stored(images, tmp_path / "images"))
    assert "the highest value 58976 lies" in part["values"]["outliers"][0]  # type: ignore[index]
    assert part["values"]["metal_share"] > 0  # type: ignore[index]


def test_what_differs_from_slice_to_slice_and_what_is_missing_is_told(tmp_path: Path) -> None:
    images = factories.ct_series(GRID)
    images[2].BodyPartExamined = "CHEST"
    for image in images:
        del image.KVP
    (part,) = told(stored(images, tmp_path / "images"))
    assert part["disagreements"] == ["BodyPartExamined: ABDOMEN, CHEST"]
    assert "KVP" in part["missing"]  # type: ignore[operator]


def test_a_file_under_the_name_of_another_is_told(tmp_path: Path) -> None:
    images = factories.ct_series(GRID)
    seen = run_command("inspect", str(stored([*images, images[0]], tmp_path / "images"))).stdout
    assert "1 files: its SOP Instance UID is that of another file" in seen


def test_the_page_shows_three_planes_of_every_stack_and_needs_nothing_but_itself(folder: Path) -> None:
    page = folder.parent / "page.html"
    run_command("inspect", str(folder), "--html", str(page))
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/jpeg;base64,") == 3
    assert "hole: 1 of 12 slices missing" in text
    assert not re.findall(r"(?:src|href)=\"(?!data:)|https?:", text)


def test_a_folder_without_images_is_named(tmp_path: Path) -> None:
    run = run_command("inspect", str(tmp_path))
    assert run.returncode == 1
    assert f"there is no DICOM file in {tmp_path}" in run.stderr


@pytest.mark.parametrize("kind", ["single-frame", "multi-frame"])
def test_a_stack_comes_back_from_nifti_exactly(kind: str, tmp_path: Path) -> None:
    images = factories.ct_series(GRID)
    sent = [enhanced(images)] if kind == "multi-frame" else images
    run_command("export", str(stored(sent, tmp_path / "images")), str(tmp_path / "out"))
    (path,) = (tmp_path / "out").iterdir()
    back = read_volume(path)
    stored_values = [np.frombuffer(image.PixelData, dtype="<u2").reshape(20, 14) for image in images]
    assert np.array_equal(back.values.transpose(2, 1, 0), np.stack(stored_values) - 1024.0)
    voxel = np.array([[3.0, 5.0, 2.0]])
    assert np.abs(back.grid.to_world(voxel[:, ::-1]) - GRID.to_world(voxel)).max() < 1e-3
    assert nibabel.load(path).get_data_dtype() == np.int16


def test_what_is_no_stack_is_not_written_and_told(folder: Path) -> None:
    run = run_command("export", str(folder), str(folder.parent / "out"))
    assert len(list((folder.parent / "out").iterdir())) == 1
    assert "not written: hole: 1 of 12 slices missing" in run.stdout
