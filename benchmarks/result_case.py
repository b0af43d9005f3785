"""What is written: a label map of many blobs on the planes of a synthetic CT, with its files on disk."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from models.findings import Algorithm
from models.sections import Label
from models.terms import Code
from models.volume import Grid, Volume
from service.derived.encoding import encode
from service.derived.synthetic import Subject, ct_series

SHAPE = (400, 512, 512)
GRID = Grid(SHAPE, np.array([[0.0, 0, 0.8, -200], [0, 0.8, 0, -200], [2.5, 0, 0, -500], [0, 0, 0, 1]]))
ALGORITHM = Algorithm("benchmark", "1", "benchmark", "ab" * 32, "benchmark", "cd" * 32)
ORGAN = Code(value="123037004", scheme="SCT", meaning="Anatomical Structure")
KIND = Code(value="113343008", scheme="SCT", meaning="Organ")


def write_case(folder: Path, segments: int) -> Path:
    """The label map, for Python and as NIfTI for dcmqi, with dcmqi's description of it."""
    import nibabel

    folder.mkdir()
    labels = _blobs(segments)
    np.save(folder / "labels.npy", labels)
    to_ras = np.diag((-1.0, -1.0, 1.0, 1.0)) @ GRID.affine
    nibabel.save(nibabel.Nifti1Image(labels, to_ras), folder / "labels.nii")
    described = [[_for_dcmqi(label) for label in structures(segments)]]
    header = {"SeriesDescription": "benchmark", "SeriesNumber": "1", "InstanceNumber": "1", "ContentCreatorName": "b"}
    (folder / "dcmqi.json").write_text(json.dumps({**header, "segmentAttributes": described}), encoding="utf-8")
    return folder


def write_images(folder: Path) -> Path:
    """The images of the source series."""
    folder.mkdir()
    for number, image in enumerate(ct_series(Volume(GRID, np.zeros(SHAPE, dtype=np.float32)), Subject("results"))):
        (folder / f"{number:04d}.dcm").write_bytes(encode(image))
    return folder


def sources(folder: Path) -> list[Dataset]:
    """The headers of the images in the order of slices."""
    return [dcmread(path, stop_before_pixels=True) for path in sorted(folder.iterdir())]


def labels(folder: Path) -> NDArray[np.uint8]:
    """The label map of a case."""
    return np.asarray(np.load(folder / "labels.npy"))


def structures(segments: int) -> Sequence[Label]:
    """As many labels."""
    colour = (200, 100, 50)
    return [
        Label(value=number, name=f"Structure {number}", category=ORGAN, type=KIND, color_rgb=colour)
        for number in range(1, segments + 1)
    ]


def _blobs(segments: int) -> NDArray[np.uint8]:
    """Ellipsoids all over the volume, later ones over earlier ones, the same ones each time."""
    random = np.random.default_rng(7)
    drawn = np.zeros(SHAPE, dtype=np.uint8)
    for number in range(1, segments + 1):
        half = random.uniform((45, 25, 25), (95, 75, 75)).astype(int)
        centre = random.uniform(half * 0.7, np.array(SHAPE) - half * 0.7).astype(int)
        low, high = np.maximum(centre - half, 0), np.minimum(centre + half + 1, SHAPE)
        axes = np.ogrid[tuple(slice(*ends) for ends in zip(low, high, strict=True))]
        inside = sum(((axis - middle) / size) ** 2 for axis, middle, size in zip(axes, centre, half, strict=True)) <= 1
        drawn[tuple(slice(*ends) for ends in zip(low, high, strict=True))][inside] = number
    return drawn


def _for_dcmqi(label: Label) -> dict[str, object]:
    def coded(code: Code) -> dict[str, str]:
        return {"CodeValue": code.value, "CodingSchemeDesignator": code.scheme, "CodeMeaning": code.meaning}

    return {
        "labelID": label.value,
        "SegmentDescription": label.name,
        "SegmentLabel": label.name,
        "SegmentAlgorithmType": "AUTOMATIC",
        "SegmentAlgorithmName": "benchmark",
        "SegmentedPropertyCategoryCodeSequence": coded(label.category),
        "SegmentedPropertyTypeCodeSequence": coded(label.type),
    }
