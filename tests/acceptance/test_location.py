"""A model that finds boxes, made from the template and taught on phantoms: its report of another phantom in Orthanc."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from pydicom import Dataset
from pydicom.uid import (
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    KeyObjectSelectionDocumentStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from models.boxes import Corners, around, overlap
from models.phantom import abdomen
from models.sections import BoxStructure
from models.templates import write_new
from models.training.cases import Case
from models.training.locating_lesson import true_box
from models.training.train import train
from service.commands.archive import Orthanc
from service.core.profiles import Kind
from service.derived import content_tree
from service.derived.encoding import encode
from service.derived.synthetic import ct_series
from tests.node import all_ended, configure, rule, running, until
from tests.validators import faults

CATEGORY = {"value": "91723000", "scheme": "SCT", "meaning": "Anatomical Structure"}
CODES = {"Liver": ("10200004", 1, [2]), "Spleen": ("78961009", 3, [])}  # type, label, other labels in it
LEAST_OVERLAP, MOST_MM = 0.5, 20.0
MANIFEST = {
    "evidence": "phantom",
    "intake": {"modalities": ["CT"], "spacing_mm": {"minimum": 2, "maximum": 8}},
    "preprocessing": {"spacing_mm": [12, 12, 12], "intensity": {"kind": "window", "minimum": -160, "maximum": 240}},
    "network": {"name": "residual_unet", "channels": [8, 16, 32]},
    "inference": {"window_mm": [240, 384, 384], "spread_mm": 40},
    "licences": {"training_data": "Apache-2.0", "weights": "Apache-2.0"},
    "structures": [
        {
            "name": name,
            "value": value,
            "includes": includes,
            "category": CATEGORY,
            "type": {"value": code, "scheme": "SCT", "meaning": name},
            "color_rgb": [200, 100, 60],
            "plausible_mm": {side: {"minimum": 40, "maximum": 350} for side in ("width", "depth", "height")},
        }
        for name, (code, value, includes) in CODES.items()
    ],
}
RECIPE = {
    "cases": {
        "kind": "phantoms",
        "training": 8,
        "validation": 1,
        "held_out": 1,
        "shape": [24, 42, 42],
        "spacing_mm": [9, 9, 9],
    },
    "augmentation": {"shift_voxels": 1, "scale": 0.1, "noise": 0.1},
    "iterations": 150,
    "batch": 2,
    "learning_rate": 0.01,
    "warm_up": 5,
    "average_decay": 0.9,
    "validate_every": 75,
}


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """The phantom that was sent, its images, and what the PACS has of it by SOP Class."""

    case: Case
    images: list[Dataset]
    objects: dict[str, Dataset]

    @property
    def report(self) -> Dataset:
        return self.objects[Comprehensive3DSRStorage]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package in a folder of packages, from the template by way of a training of seconds."""
    folder = write_new("abdomen_boxes", "locate", tmp_path_factory.mktemp("packages")).folder
    for name, changes in (("manifest.yaml", MANIFEST), ("training.yaml", RECIPE)):
        written = yaml.safe_load((folder / name).read_text(encoding="utf-8")) | changes
        (folder / name).write_text(yaml.safe_dump(written), encoding="utf-8")
    train(folder, None, tmp_path_factory.mktemp("run"), "cpu")
    return folder


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory, pacs: Orthanc, storescu: str, package: Path) -> Result:
    folder = tmp_path_factory.mktemp("node")
    made = abdomen(30_001, shape=(36, 64, 64), spacing_mm=(6.0, 6.0, 6.0))
    images = ct_series(made.volume)
    (folder / "images").mkdir()
    for number, image in enumerate(images):
        (folder / "images" / f"{number:03d}.dcm").write_bytes(encode(image))
    kinds = [kind.value for kind in Kind]
    settings = configure(
        folder,
        pacs.port,
        [rule("abdomen_boxes", modality="CT")],
        destination={"profile": {"preset": "usual", "objects": kinds}},
        inferring={"packages": [str(package.parent)]},
    )
    with running(settings) as node:
        assert node.storescu(storescu, "+sd", str(folder / "images")).returncode == 0
        until(lambda: all_ended(node, 1), "one ended job", seconds=240)
        assert [job["state"] for job in node.jobs()] == ["DELIVERED"], [job["reason"] for job in node.jobs()]
    return Result(
        Case("sent", made.volume, made.label_map), images, {each.SOPClassUID: each for each in pacs.datasets()}
    )


@pytest.mark.parametrize("number", range(len(CODES)), ids=CODES)
def test_each_box_lies_where_the_phantom_has_the_structure(result: Result, number: int) -> None:
    structure = BoxStructure.model_validate(MANIFEST["structures"][number])  # type: ignore[index]  # it is a list
    truth = true_box(result.case, structure)
    assert truth is not None
    group = content_tree.groups(result.report)[number]
    assert group.finding == (structure.type.value, "SCT")
    found = box_in(group)
    assert overlap(found, truth) > LEAST_OVERLAP
    assert np.abs(found - truth).mean() < MOST_MM
    assert [each.value for each in group.numbers] == pytest.approx(np.ptp(found, axis=0).tolist(), abs=0.1)
    assert [each.name for each in group.numbers] == [("103355008", "SCT"), ("131197000", "SCT"), ("121207", "DCM")]


def box_in(group: content_tree.Group) -> Corners:
    """The box of a group's surfaces, (2, 3) mm."""
    points = np.array([each.at_mm for each in group.surfaces]).reshape(-1, 3)
    assert len(points) == 6 * 5  # six closed faces
    return around(points)


def test_there_is_no_segmentation_and_everything_else_that_boxes_can_become(result: Result) -> None:
    made = {uid for uid, each in result.objects.items() if each.get("Manufacturer") == "Isocenter"}
    pictures = made & {SecondaryCaptureImageStorage, MultiFrameTrueColorSecondaryCaptureImageStorage}
    assert len(pictures) == 1
    assert made - pictures == {Comprehensive3DSRStorage, EncapsulatedPDFStorage, KeyObjectSelectionDocumentStorage}


def test_the_key_images_are_those_through_the_middle_of_a_box(result: Result) -> None:
    heights = {str(image.SOPInstanceUID): float(image.ImagePositionPatient[2]) for image in result.images}
    document = result.objects[KeyObjectSelectionDocumentStorage]
    chosen = [each for each in document.ContentSequence if each.ValueType == "IMAGE"]
    shown = [heights[each.ReferencedSOPSequence[0].ReferencedSOPInstanceUID] for each in chosen]
    middles = [box_in(group).mean(axis=0)[2] for group in content_tree.groups(result.report)]
    assert all(min(abs(middle - height) for height in shown) <= 3.0 for middle in middles)


def test_other_makers_validators_find_no_fault(
    result: Result, outside_tool: Callable[[str], str], tmp_path: Path
) -> None:
    for uid, dataset in result.objects.items():
        if dataset.get("Manufacturer") == "Isocenter":
            dataset.save_as(tmp_path / uid)
            assert faults(outside_tool("dciodvfy"), tmp_path / uid) == []
    assert faults(outside_tool("dsrdump"), tmp_path / Comprehensive3DSRStorage) == []


def test_the_picture_shows_the_boxes_in_their_colour(result: Result, tmp_path: Path) -> None:
    (capture,) = (each for each in result.objects.values() if each.get("Modality") == "OT" and "PixelData" in each)
    pixels = capture.pixel_array.reshape(-1, *capture.pixel_array.shape[-3:])[0]
    Image.fromarray(pixels).save(tmp_path / "sheet.png")
    assert (np.abs(pixels.astype(int) - [200, 100, 60]).max(axis=-1) < 5).sum() > 500
