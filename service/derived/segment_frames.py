"""The frames of a Segmentation as bytes: their pixels, and what is said of each.

A segmentation may have ten thousand frames. What is said of them is put together from few parts, one for each plane
and one for each segment, and pixels are packed frame by frame: no array of planes times segments is ever made.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_encoder
from pydicom.uid import RLELossless

from models.findings import Findings
from models.regions import plane_labels
from service.core.profiles import Profile
from service.derived.encoding import add_sequence, elements
from service.derived.sources import image_reference
from service.derived.terms import Structure

MAXIMUM = 255  # of a FRACTIONAL: the whole voxel
_GROUPS = "PerFrameFunctionalGroupsSequence"


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """What the frames of one object show: structures of the findings, in the form that the profile names."""

    findings: Findings
    structures: Sequence[Structure]
    profile: Profile

    @property
    def layers(self) -> dict[int, NDArray[np.uint8]]:
        """Every layer that one of the structures is in, on the source planes, (plane, row, column)."""
        return {layer: plane_labels(self.findings, layer) for layer in {each.region.layer for each in self.structures}}


@dataclass(frozen=True, slots=True)
class Place:
    """What one frame shows: a structure, or all where it is None, on a plane."""

    structure: Structure | None
    plane: int


def add_frames(segmentation: Dataset, drawing: Drawing, sources: Sequence[Dataset]) -> None:
    """Replace the one frame of a Segmentation, in the manner of that frame, by all that the drawing has."""
    places = list(_places(drawing))
    pattern = segmentation[_GROUPS].value[0]
    segmentation.NumberOfFrames = len(places)
    segmentation.add_new("PixelData", "OB", _pixels(drawing, places))
    if drawing.profile.compression == "rle":
        segmentation["PixelData"].is_undefined_length = True
    add_sequence(segmentation, _GROUPS, _groups(pattern, places, sources))


def _pixels(drawing: Drawing, places: Sequence[Place]) -> bytes:
    if drawing.profile.segmentation == "binary":
        return _packed(_masks(drawing, places))
    if drawing.profile.segmentation == "labelmap":
        return _stored(_labelled(drawing, places), drawing.profile)
    return _stored((mask * np.uint8(MAXIMUM) for mask in _masks(drawing, places)), drawing.profile)


def overlap(drawing: Drawing) -> bool:
    """True when two structures share a voxel."""
    layers = list(drawing.layers.values())
    return len(layers) > 1 and any(
        sum(plane.astype(bool) for plane in planes).max() > 1 for planes in zip(*layers, strict=True)
    )


def _places(drawing: Drawing) -> Iterator[Place]:
    shown = {layer: _labels_of_planes(labels) for layer, labels in drawing.layers.items()}
    if drawing.profile.empty_frames:
        shown = {layer: np.ones_like(present) for layer, present in shown.items()}
    if drawing.profile.segmentation != "labelmap":
        for structure in drawing.structures:
            present = shown[structure.region.layer][:, structure.region.number]
            yield from (Place(structure, int(plane)) for plane in np.flatnonzero(present))
        return
    (present,) = shown.values()
    numbers = [structure.region.number for structure in drawing.structures]
    yield from (Place(None, int(plane)) for plane in np.flatnonzero(present[:, numbers].any(axis=1)))


def _labels_of_planes(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether each plane has voxels of each label, (planes, 256)."""
    present = np.zeros((len(labels), 256), dtype=np.bool_)
    for index, plane in enumerate(labels):
        rows = np.flatnonzero(plane.any(axis=1))  # far quicker than counting
        if rows.size:
            present[index] = np.bincount(plane[rows[0] : rows[-1] + 1].ravel(), minlength=256) > 0
    return present


def _masks(drawing: Drawing, places: Sequence[Place]) -> Iterator[NDArray[np.bool_]]:
    layers = drawing.layers
    for place in places:
        if place.structure is not None:
            region = place.structure.region
            yield layers[region.layer][place.plane] == region.number


def _packed(masks: Iterator[NDArray[np.bool_]]) -> bytes:
    """One bit a pixel with no gap between frames (PS3.5 8.1.1); eight frames always end with a byte."""
    packed = BytesIO()
    while group := list(islice(masks, 8)):
        packed.write(np.packbits(np.stack(group), bitorder="little").data)
    return _even(packed)


def _labelled(drawing: Drawing, places: Sequence[Place]) -> Iterator[NDArray[np.uint8]]:
    """Segment numbers as pixels, one byte each, with 0 where no structure of the drawing is."""
    (labels,) = drawing.layers.values()
    number_of = np.zeros(256, dtype=np.uint8)
    for structure in drawing.structures:
        number_of[structure.region.number] = structure.segment_number or 0
    return (number_of[labels[place.plane]] for place in places)


def _stored(planes: Iterator[NDArray[np.uint8]], profile: Profile) -> bytes:
    """Planes of one byte a pixel as the profile compresses them."""
    if profile.compression == "rle":
        return bytes(encapsulate([_run_lengths(plane) for plane in planes]))
    written = BytesIO()
    for plane in planes:
        written.write(plane.data)
    return _even(written)


def _run_lengths(plane: NDArray[np.uint8]) -> bytes:
    encoded = get_encoder(RLELossless).encode(
        plane.tobytes(),
        encoding_plugin="pydicom",
        rows=plane.shape[0],
        columns=plane.shape[1],
        samples_per_pixel=1,
        number_of_frames=1,
        bits_allocated=8,
        bits_stored=8,
        pixel_representation=0,
        photometric_interpretation="MONOCHROME2",
    )
    return bytes(encoded)


def _even(written: BytesIO) -> bytes:
    if written.tell() % 2:
        written.write(b"\0")
    return written.getvalue()


def _groups(pattern: Dataset, places: Sequence[Place], sources: Sequence[Dataset]) -> list[bytes]:
    """The functional groups of every frame, their elements in the order of tags."""
    planes = {plane: _plane_parts(pattern, sources[plane]) for plane in {place.plane for place in places}}
    structures = {id(place.structure): place.structure for place in places}
    segments = {each: _segment_part(pattern, structure) for each, structure in structures.items()}
    before_values = _content_part(pattern)
    groups = []
    for place in places:
        derivation, position = planes[place.plane]
        groups.append(derivation + before_values + _indices(place) + position + segments[id(place.structure)])
    return groups


def _plane_parts(pattern: Dataset, source: Dataset) -> tuple[bytes, bytes]:
    """Derivation Image and Plane Position of every frame on the plane of a source; the pattern's own are changed."""
    derivation, position = Dataset(), Dataset()
    derivation.add(pattern["DerivationImageSequence"])
    derivation.DerivationImageSequence[0].SourceImageSequence[0].update(image_reference(source))
    position.add(pattern["PlanePositionSequence"])
    position.PlanePositionSequence[0].ImagePositionPatient = source.ImagePositionPatient
    return elements(derivation), elements(position)


def _segment_part(pattern: Dataset, structure: Structure | None) -> bytes:
    """Segment Identification; where there is one segment, it is said once for all frames."""
    part = Dataset()
    if structure is not None and "SegmentIdentificationSequence" in pattern:
        part.add(pattern["SegmentIdentificationSequence"])
        part.SegmentIdentificationSequence[0].ReferencedSegmentNumber = structure.segment_number
    return elements(part)


def _content_part(pattern: Dataset) -> bytes:
    """Frame Content but for the index values, with which it ends."""
    part = Dataset()
    part.add(pattern["FrameContentSequence"])
    return elements(part)[: -4 * pattern.FrameContentSequence[0]["DimensionIndexValues"].VM]


def _indices(place: Place) -> bytes:
    """Dimension Index Values: segment, where a frame has one, and plane, both counted from 1."""
    if place.structure is None:
        return struct.pack("<L", place.plane + 1)
    return struct.pack("<2L", place.structure.segment_number, place.plane + 1)
