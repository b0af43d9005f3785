"""The frames of a Segmentation, read with no help from the library that wrote them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels import get_decoder
from pydicom.uid import RLELossless

from models.volume import Vector
from service.core.entities import FrameReference
from service.derived.checks import same
from service.derived.sources import reference


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One segment of a frame: the image it was drawn on, its plane in LPS mm and its pixels (row, column).

    A LABELMAP frame is as many of these as it has segments, and the background is its segment 0.
    """

    number: int
    segment_number: int
    source: FrameReference
    position_mm: Vector
    orientation: Vector
    spacing_mm: Vector
    pixels: NDArray[np.bool_]


def frames(segmentation: Dataset) -> Iterator[Frame]:
    """The frames of a Segmentation in their order; raises Unproven when there are not as many as it says."""
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    groups = segmentation.PerFrameFunctionalGroupsSequence
    same("number of frames", int(segmentation.NumberOfFrames), len(groups))
    is_label_map = segmentation.SegmentationType == "LABELMAP"
    stored = _STORED[segmentation.SegmentationType](segmentation)
    for number, (group, pixels) in enumerate(zip(groups, stored, strict=True), start=1):
        if is_label_map:
            segments = [(int(value), pixels == value) for value in np.flatnonzero(np.bincount(pixels.ravel()))]
        else:
            identification = _macro("SegmentIdentificationSequence", group, shared)
            segments = [(int(identification.ReferencedSegmentNumber), pixels.view(np.bool_))]
        source = _source(group)
        position_mm = _numbers(_macro("PlanePositionSequence", group, shared).ImagePositionPatient)
        orientation = _numbers(_macro("PlaneOrientationSequence", group, shared).ImageOrientationPatient)
        spacing_mm = _numbers(_macro("PixelMeasuresSequence", group, shared).PixelSpacing)
        for segment, mask in segments:
            yield Frame(number, segment, source, position_mm, orientation, spacing_mm, mask)


def _macro(keyword: str, group: Dataset, shared: Dataset) -> Dataset:
    """What a functional group says of a frame, be it for this frame or for all (PS3.3 C.7.6.16.1.1)."""
    return (group if keyword in group else shared)[keyword][0]


def _bits(segmentation: Dataset) -> Iterator[NDArray[np.uint8]]:
    """One (row, column) array of 0 and 1 for each frame, which follow each other with no gap (PS3.5 8.1.1)."""
    shape, count = _shape(segmentation), int(segmentation.NumberOfFrames)
    size = shape[0] * shape[1]
    packed = np.frombuffer(segmentation.PixelData, dtype=np.uint8)
    same("bytes of pixels", len(packed), (count * size + 15) // 16 * 2)
    for first in range(0, count * size, size):
        bits = np.unpackbits(packed[first // 8 : (first + size + 7) // 8], bitorder="little")
        yield bits[first % 8 : first % 8 + size].reshape(shape)


def _fractions(segmentation: Dataset) -> Iterator[NDArray[np.uint8]]:
    """One (row, column) array of 0 and 1 for each frame of a FRACTIONAL that has nothing in between."""
    whole = int(segmentation.MaximumFractionalValue)
    for pixels in _labels(segmentation):
        same("fractions between none and all", int(np.count_nonzero((pixels != 0) & (pixels != whole))), 0)
        yield (pixels == whole).view(np.uint8)


def _labels(segmentation: Dataset) -> Iterator[NDArray[np.uint8]]:
    """One (row, column) array of bytes for each frame: of a LABELMAP, segment numbers."""
    shape, count = _shape(segmentation), int(segmentation.NumberOfFrames)
    size = shape[0] * shape[1]
    same("bits of a pixel", int(segmentation.BitsAllocated), 8)
    if segmentation.file_meta.TransferSyntaxUID == RLELossless:
        decoded = get_decoder(RLELossless).iter_array(segmentation, raw=True, decoding_plugin="pydicom")
        yield from (pixels for pixels, _ in decoded)
        return
    same("bytes of pixels", len(segmentation.PixelData), (count * size + 1) // 2 * 2)
    for first in range(0, count * size, size):
        yield np.frombuffer(segmentation.PixelData, np.uint8, size, first).reshape(shape)


_STORED = {"BINARY": _bits, "FRACTIONAL": _fractions, "LABELMAP": _labels}


def _shape(segmentation: Dataset) -> tuple[int, int]:
    return int(segmentation.Rows), int(segmentation.Columns)


def _source(group: Dataset) -> FrameReference:
    images = [image for step in group.DerivationImageSequence for image in step.SourceImageSequence]
    same("source images of a frame", len(images), 1)
    return reference(images[0], "ReferencedSOPInstanceUID")


def _numbers(values: Sequence[float]) -> Vector:
    return np.array(values, dtype=np.float64)
