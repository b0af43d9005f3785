"""What a builder needs to know of its source images, and nothing that could upset it.

Images of the wild lack Type 2 attributes, repeat an orientation with rounding noise or carry a sex that no edition
of the Standard lists. Builders get lean copies that hold geometry and references; identity is copied by `finish`.
"""

from collections.abc import Sequence

import numpy as np
from pydicom import Dataset

from models.volume import Grid
from service.core.errors import Broken
from service.core.geometry import ORIENTATION_TOLERANCE

_REFERENCE = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
    "Rows",
    "Columns",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
)
_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "PositionReferenceIndicator",
)
_COMPRESSION = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")


def lean(sources: Sequence[Dataset], grid: Grid) -> list[Dataset]:
    """Copies of the sources, one for each slice of the grid and in that order.

    Raises Broken when sources and grid cannot belong together.
    """
    if not sources or (len(sources), *_size(sources[0])) != grid.shape:
        raise Broken(f"{len(sources)} source images do not fit a label map of shape {grid.shape}")
    spacing_mm = slice_spacing_mm(grid)
    copies = [_lean(source, sources[0], spacing_mm) for source in sources]
    _tell_of_lossy_compression(copies[0], sources)
    return copies


def slice_spacing_mm(grid: Grid) -> float:
    """Distance between neighbouring planes along their normal; a sheared grid steps further than that."""
    normal = np.cross(grid.direction[:, 1], grid.direction[:, 2])
    return float(abs(grid.affine[:3, 0] @ normal) / np.linalg.norm(normal))


def _size(source: Dataset) -> tuple[int, int]:
    return int(source.get("Rows") or 0), int(source.get("Columns") or 0)


def _lean(source: Dataset, first: Dataset, spacing_mm: float) -> Dataset:
    missing = [keyword for keyword in _REFERENCE if not source.get(keyword)]
    if missing:
        raise Broken(f"image {source.get('SOPInstanceUID')} has no {', '.join(missing)}")
    tilt = np.abs(np.subtract(source.ImageOrientationPatient, first.ImageOrientationPatient, dtype=np.float64)).max()
    if tilt > ORIENTATION_TOLERANCE:
        raise Broken(f"image {source.SOPInstanceUID} is not parallel to {first.SOPInstanceUID}")
    copy = Dataset()
    for keyword in _REFERENCE:
        copy.add(source[keyword])
    for keyword in _EMPTY:
        setattr(copy, keyword, "")
    copy.ImageOrientationPatient = first.ImageOrientationPatient
    copy.SliceThickness = source.get("SliceThickness") or round(spacing_mm, 6)
    copy.SpacingBetweenSlices = round(spacing_mm, 6)
    return copy


def _tell_of_lossy_compression(copy: Dataset, sources: Sequence[Dataset]) -> None:
    lossy = next((source for source in sources if source.get("LossyImageCompression") == "01"), None)
    if lossy is not None:
        for keyword in _COMPRESSION:
            if keyword in lossy:
                copy.add(lossy[keyword])
