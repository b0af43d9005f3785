"""The frames of a Segmentation, read with no help from the library that wrote them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from models.volume import Vector
from service.core.entities import FrameReference
from service.derived.checks import same
from service.derived.sources import reference


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame: its segment, the image it was drawn on, its plane in LPS mm and its pixels (row, column)."""

    number: int
    segment_number: int
    source: FrameReference
    position_mm: Vector
    orientation: Vector
    spacing_mm: Vector
    pixels: NDArray[np.bool_]


def frames(segmentation: Dataset) -> Iterator[Frame]:
    """The frames of a BINARY Segmentation in their order; raises Unproven when there are not as many as it says."""
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    groups = segmentation.PerFrameFunctionalGroupsSequence
    same("number of frames", int(segmentation.NumberOfFrames), len(groups))
    for number, (group, pixels) in enumerate(zip(groups, _pixels(segmentation), strict=True), start=1):
        yield Frame(
            number=number,
            segment_number=int(_macro("SegmentIdentificationSequence", group, shared).ReferencedSegmentNumber),
            source=_source(group),
            position_mm=_numbers(_macro("PlanePositionSequence", group, shared).ImagePositionPatient),
            orientation=_numbers(_macro("PlaneOrientationSequence", group, shared).ImageOrientationPatient),
            spacing_mm=_numbers(_macro("PixelMeasuresSequence", group, shared).PixelSpacing),
            pixels=pixels,
        )


def _macro(keyword: str, group: Dataset, shared: Dataset) -> Dataset:
    """What a functional group says of a frame, be it for this frame or for all (PS3.3 C.7.6.16.1.1)."""
    return (group if keyword in group else shared)[keyword][0]


def _pixels(segmentation: Dataset) -> Iterator[NDArray[np.bool_]]:
    """One (row, column) array for each frame; frames follow each other with no bits between them (PS3.5 8.1.1)."""
    shape = (int(segmentation.Rows), int(segmentation.Columns))
    size, count = shape[0] * shape[1], int(segmentation.NumberOfFrames)
    packed = np.frombuffer(segmentation.PixelData, dtype=np.uint8)
    same("bytes of pixels", len(packed), (count * size + 15) // 16 * 2)
    for first in range(0, count * size, size):
        bits = np.unpackbits(packed[first // 8 : (first + size + 7) // 8], bitorder="little")
        yield bits[first % 8 : first % 8 + size].reshape(shape).astype(np.bool_)


def _source(group: Dataset) -> FrameReference:
    images = [image for step in group.DerivationImageSequence for image in step.SourceImageSequence]
    same("source images of a frame", len(images), 1)
    return reference(images[0], "ReferencedSOPInstanceUID")


def _numbers(values: Sequence[float]) -> Vector:
    return np.array(values, dtype=np.float64)
