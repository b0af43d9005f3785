"""The proof of an RT Structure Set: its contours, filled, are exactly the regions, on the planes of the sources."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage

from models.findings import Findings
from models.regions import plane_labels
from models.volume import Matrix
from service.core.entities import FrameReference
from service.core.errors import Unproven
from service.derived import content_tree
from service.derived.checks import (
    POSITION_TOLERANCE_MM,
    prove_file,
    prove_grid,
    prove_identity,
    prove_required_attributes,
    prove_volumes,
    same,
)
from service.derived.material import Made, Material
from service.derived.sources import reference


@dataclass(frozen=True, slots=True, eq=False)
class Contour:
    """One polygon: the image that it is drawn on, and its corners in LPS mm, (n, 3)."""

    source: FrameReference
    points_mm: Matrix


def prove(objects: Sequence[Dataset], material: Material, made: Made) -> None:
    """Raise Unproven unless the one structure set outlines exactly the regions, on the planes of the sources."""
    del made
    (structure_set,) = objects
    sources, findings = material.sources, material.findings
    prove_volumes(findings)
    prove_grid(sources, findings.grid, findings.places)
    prove_file(structure_set, RTStructureSetStorage, ImplicitVRLittleEndian)
    prove_identity(structure_set, sources)
    prove_required_attributes(_without_contours(structure_set))
    _prove_references(structure_set, sources)
    _prove_names(structure_set, findings)
    _prove_contours(structure_set, sources, findings)


def _without_contours(structure_set: Dataset) -> Dataset:
    """A copy to be searched: to look at every number of every contour as an attribute takes a gigabyte."""
    copy = Dataset()
    for element in structure_set:
        if element.keyword != "ROIContourSequence":
            copy.add(element)
    return copy


def contours(item: Dataset) -> Iterator[Contour]:
    """The contours of an item of the ROI Contour Sequence."""
    for contour in item.ContourSequence:
        same("ContourGeometricType", contour.ContourGeometricType, "CLOSED_PLANAR")
        same("images of a contour", len(contour.ContourImageSequence), 1)
        written = contour.get_item("ContourData").value
        points_mm = np.array(written.split(b"\\"), dtype=np.float64).reshape(-1, 3)
        same("NumberOfContourPoints", int(contour.NumberOfContourPoints), len(points_mm))
        yield Contour(reference(contour.ContourImageSequence[0], "ReferencedSOPInstanceUID"), points_mm)


def _prove_references(structure_set: Dataset, sources: Sequence[Dataset]) -> None:
    (frame,) = structure_set.ReferencedFrameOfReferenceSequence
    named = {frame.FrameOfReferenceUID, *(item.ReferencedFrameOfReferenceUID for item in _rois(structure_set))}
    same("frames of reference", named, {sources[0].FrameOfReferenceUID})
    (series,) = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence
    same("referenced series", series.SeriesInstanceUID, sources[0].SeriesInstanceUID)
    referenced = {item.ReferencedSOPInstanceUID for item in series.ContourImageSequence}
    same("referenced instances", referenced, {source.SOPInstanceUID for source in sources})


def _prove_names(structure_set: Dataset, findings: Findings) -> None:
    expected = [(number, region.name[:64]) for number, region in enumerate(findings.found, start=1)]
    same("structures", [(int(item.ROINumber), item.ROIName) for item in _rois(structure_set)], expected)
    observed = [
        (int(item.ReferencedROINumber), content_tree.term(item, "RTROIIdentificationCodeSequence"))
        for item in structure_set.RTROIObservationsSequence
    ]
    codes = [(region.label.type.value, region.label.type.scheme) for region in findings.found]
    same("codes of structures", observed, list(enumerate(codes, start=1)))


def _prove_contours(structure_set: Dataset, sources: Sequence[Dataset], findings: Findings) -> None:
    slices = {reference(source): index for index, source in enumerate(sources)}
    numbers = [int(item.ReferencedROINumber) for item in structure_set.ROIContourSequence]
    same("structures with contours", numbers, list(range(1, len(findings.found) + 1)))
    labels = [plane_labels(findings, layer) for layer in range(len(findings.layers))]
    for region, item in zip(findings.found, structure_set.ROIContourSequence, strict=True):
        drawn = _drawn(item, sources, slices)
        for index, plane in enumerate(labels[region.layer]):
            expected = plane == region.number
            wrong = int(np.count_nonzero(drawn.get(index, False) != expected))
            same(f"pixels of slice {index} that differ from {region.name}", wrong, 0)


def _drawn(
    item: Dataset, sources: Sequence[Dataset], slices: Mapping[FrameReference, int]
) -> dict[int, NDArray[np.bool_]]:
    """What the contours of a structure enclose, by the slice that they are on."""
    drawn: dict[int, NDArray[np.bool_]] = {}
    for contour in contours(item):
        index = slices.get(contour.source)
        if index is None:
            raise Unproven(f"image of a contour: {contour.source} is not one of the {len(sources)} sources")
        source = sources[index]
        shape = (int(source.Rows), int(source.Columns))
        ring = _on_plane(contour.points_mm, source)
        drawn.setdefault(index, np.zeros(shape, dtype=np.bool_))
        drawn[index] ^= filled(ring, shape)
    return drawn


def _on_plane(points_mm: Matrix, source: Dataset) -> Matrix:
    """Points as (row, column) of a source; raises Unproven when they do not lie on its plane."""
    cosines = np.array(source.ImageOrientationPatient, dtype=np.float64).reshape(2, 3)
    offsets = points_mm - np.array(source.ImagePositionPatient, dtype=np.float64)
    off_plane_mm = float(np.abs(offsets @ np.cross(cosines[0], cosines[1])).max())
    same("whether a contour lies on the plane of its image", off_plane_mm <= POSITION_TOLERANCE_MM, True)
    return np.asarray(offsets @ cosines[::-1].T / np.array(source.PixelSpacing, dtype=np.float64))


def filled(ring: Matrix, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels whose centres a polygon encloses, by counting its edges to their left; (row, column)."""
    ends = np.stack((ring, np.roll(ring, -1, axis=0)), axis=1)
    order = np.argsort(ends[:, :, 0], axis=1, kind="stable")
    low, high = np.take_along_axis(ends, order[:, :, None], axis=1).transpose(1, 0, 2)
    first, stop = np.ceil(low[:, 0]).astype(int), np.ceil(high[:, 0]).astype(int)
    edge = np.repeat(np.arange(len(ring)), stop - first)
    row = np.concatenate([np.arange(*ends_of_edge) for ends_of_edge in zip(first, stop, strict=True)])
    slope = (high[edge, 1] - low[edge, 1]) / (high[edge, 0] - low[edge, 0])
    column = np.ceil(low[edge, 1] + (row - low[edge, 0]) * slope).astype(int)
    crossings = np.zeros((shape[0] + 1, shape[1] + 1), dtype=np.int32)
    np.add.at(crossings, (np.clip(row, 0, shape[0]), np.clip(column, 0, shape[1])), 1)
    return np.asarray(np.cumsum(crossings, axis=1)[: shape[0], : shape[1]] % 2 == 1)


def _rois(structure_set: Dataset) -> Sequence[Dataset]:
    return structure_set.StructureSetROISequence  # type: ignore[no-any-return]
