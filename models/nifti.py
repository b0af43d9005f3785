"""Volumes as NIfTI files: their world is RAS in mm, ours is LPS."""

import gzip
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from models.volume import Grid, LabelMap, Volume

IMAGES, LABELS, SUFFIX = "images", "labels", ".nii.gz"  # the Decathlon's layout: files of equal names in both folders
DATASET = "dataset.json"  # its description of a folder of cases
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])  # and back
_MILLIMETRES = 2  # NIfTI-1 units
_COMPRESSION = 6  # of 9: labels are mostly background
_SCANNER = 1  # the form's code: scanner-based coordinates


def read_volume(path: Path) -> Volume:
    """A NIfTI file as a volume; the voxels stay in their order in the file."""
    image = nibabel.load(path)
    return Volume(Grid(image.shape, RAS_TO_LPS @ image.affine), np.asarray(image.dataobj, dtype=np.float32))


def write_volume(path: Path, volume: Volume) -> None:
    """Write a volume, axes in NIfTI's usual order (column, row, slice); whole numbers as 16-bit ones where they fit.

    The values are kept to the last bit, positions to the 24 bits of NIfTI's affine.
    """
    _write(path, volume.grid, _smallest(volume.values))


def write_labels(path: Path, label_map: LabelMap) -> None:
    """Write a label map, as `write_volume` does."""
    _write(path, label_map.grid, label_map.labels)


def encode_labels(label_map: LabelMap) -> bytes:
    """A label map as a compressed file (.nii.gz): the same bytes for the same label map."""
    return gzip.compress(_image(label_map.grid, label_map.labels).to_bytes(), _COMPRESSION, mtime=0)


def _write(path: Path, grid: Grid, array: NDArray[np.generic]) -> None:
    nibabel.save(_image(grid, array), path)


def _image(grid: Grid, array: NDArray[np.generic]) -> nibabel.Nifti1Image:
    affine = (RAS_TO_LPS @ grid.affine)[:, [2, 1, 0, 3]]
    image = nibabel.Nifti1Image(np.ascontiguousarray(array.transpose(2, 1, 0)), affine)
    image.header.set_xyzt_units(_MILLIMETRES)
    image.set_sform(affine, _SCANNER)
    return image


def _smallest(values: NDArray[np.float32]) -> NDArray[np.generic]:
    span = np.iinfo(np.int16)
    if values.min() < span.min or values.max() > span.max or not np.array_equal(values, np.rint(values)):
        return values
    return values.astype(np.int16)
