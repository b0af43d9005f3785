"""The proof of Segmentations: they hold exactly the label maps, on the planes of the sources."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import SegmentationStorage

from models.findings import Findings, Region
from models.regions import plane_labels
from models.uneven import spread
from service.core.errors import Unproven
from service.core.geometry import ORIENTATION_TOLERANCE
from service.core.profiles import Profile
from service.derived import content_tree
from service.derived.checks import (
    POSITION_TOLERANCE_MM,
    close,
    prove_file,
    prove_grid,
    prove_identity,
    prove_required_attributes,
    prove_volumes,
    same,
)
from service.derived.encoding import transfer_syntax_uid
from service.derived.frames import Frame, frames
from service.derived.material import Made, Material
from service.derived.sources import reference

LABEL_MAP_SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"  # later than the library's dictionary

Numbered = dict[int, Region]  # regions by the number of their segment
Layers = dict[int, NDArray[np.uint8]]  # (plane, row, column) by the index of the layer
Place = tuple[int, int]  # segment number and slice


def prove(objects: Sequence[Dataset], material: Material, made: Made) -> None:
    """Raise Unproven unless the Segmentations together hold exactly the regions, on the planes of the sources."""
    del made
    findings = material.findings
    prove_volumes(findings)
    prove_grid(material.sources, findings.grid, findings.places)
    _prove_between_planes(findings)
    due = _parts(findings, material.profile)
    same("number of segmentations", len(objects), len(due))
    same("series of segmentations", len({each.SeriesInstanceUID for each in objects}), len(due))
    for segmentation, regions in zip(objects, due, strict=True):
        _prove_object(segmentation, material)
        _prove_segments(segmentation, regions)
        _prove_frames(segmentation, material, regions)


def _parts(findings: Findings, profile: Profile) -> list[Numbered]:
    """The segments of each object: those of a LABELMAP are of one layer."""
    regions = dict(enumerate(findings.found, start=1))
    if profile.segmentation != "labelmap":
        return [regions]
    layers = sorted({region.layer for region in regions.values()})
    return [{number: region for number, region in regions.items() if region.layer == layer} for layer in layers]


def _prove_between_planes(findings: Findings) -> None:
    """Raise Unproven unless the slices of the grid say no more than the planes do."""
    if not findings.places:
        return
    for index, layer in enumerate(findings.layers):
        between = spread(plane_labels(findings, index), findings.places, layer.grid.shape[0])
        same("voxels between the planes", int(np.count_nonzero(between != layer.labels)), 0)


def _prove_object(segmentation: Dataset, material: Material) -> None:
    sources, profile = material.sources, material.profile
    sop_class_uid = LABEL_MAP_SEGMENTATION_STORAGE if profile.segmentation == "labelmap" else SegmentationStorage
    prove_file(segmentation, sop_class_uid, transfer_syntax_uid(profile))
    prove_identity(segmentation, sources)
    prove_required_attributes(segmentation)
    same("SegmentationType", segmentation.SegmentationType, profile.segmentation.upper())
    same("FrameOfReferenceUID", segmentation.FrameOfReferenceUID, sources[0].FrameOfReferenceUID)
    series = segmentation.ReferencedSeriesSequence
    same("referenced series", [item.SeriesInstanceUID for item in series], [sources[0].SeriesInstanceUID])
    referenced = {item.ReferencedSOPInstanceUID for item in series[0].ReferencedInstanceSequence}
    same("referenced instances", referenced, {source.SOPInstanceUID for source in sources})


def _prove_segments(segmentation: Dataset, regions: Numbered) -> None:
    described = [
        (int(item.SegmentNumber), item.SegmentLabel, content_tree.term(item, "SegmentedPropertyTypeCodeSequence"))
        for item in segmentation.SegmentSequence
    ]
    background = [(0, "Background", ("125040", "DCM"))] if segmentation.SegmentationType == "LABELMAP" else []
    expected = [
        (number, region.name[:64], (region.label.type.value, region.label.type.scheme))
        for number, region in regions.items()
    ]
    same("segments", described, background + expected)


def _prove_frames(segmentation: Dataset, material: Material, regions: Numbered) -> None:
    """Every frame equals its slice of the label map, and together they leave nothing out."""
    sources, findings = material.sources, material.findings
    slices = {reference(source): index for index, source in enumerate(sources)}
    layers = {layer: plane_labels(findings, layer) for layer in {region.layer for region in regions.values()}}
    seen: set[Place] = set()
    for frame in frames(segmentation):
        index = slices.get(frame.source)
        if index is None:
            raise Unproven(f"source of frame {frame.number}: {frame.source} is not one of the {len(sources)} sources")
        _prove_plane(frame, sources[index])
        place = (frame.segment_number, index)
        same(f"whether frame {frame.number} repeats segment and slice {place}", place in seen, False)
        seen.add(place)
        wrong = int(np.count_nonzero(frame.pixels != _expected(place, regions, layers)))
        same(f"voxels of frame {frame.number} that differ from segment and slice {place}", wrong, 0)
    _prove_complete(seen, _drawn(regions, layers), len(sources), material.profile)


def _expected(place: Place, regions: Numbered, layers: Layers) -> NDArray[np.bool_]:
    """What a segment should show on a slice, (row, column); the background is where no segment is."""
    number, index = place
    if number in regions:
        region = regions[number]
        return np.asarray(layers[region.layer][index] == region.number)
    same(f"whether segment {number} is described", number == 0 and len(layers) == 1, True)
    (labels,) = layers.values()
    return np.isin(labels[index], [region.number for region in regions.values()], invert=True)


def _prove_complete(seen: set[Place], drawn: set[Place], planes: int, profile: Profile) -> None:
    """Every segment is on every slice that it has voxels on, and on others only where the profile asks for them."""
    if profile.segmentation == "labelmap":
        due = set(range(planes)) if profile.empty_frames else {index for _, index in drawn}
        same("slices with a frame", sorted({index for _, index in seen}), sorted(due))
        return
    numbers = {number for number, _ in drawn}
    due_places = set(product(numbers, range(planes))) if profile.empty_frames else drawn
    same("segments and slices left out", sorted(due_places - seen), [])
    same("segments and slices without a voxel", sorted(seen - due_places), [])


def _drawn(regions: Numbered, layers: Layers) -> set[Place]:
    """Wherever a segment has voxels."""
    drawn: set[Place] = set()
    for layer, labels in layers.items():
        numbers = {region.number: number for number, region in regions.items() if region.layer == layer}
        for index, plane in enumerate(labels):
            present = np.flatnonzero(np.bincount(plane.ravel(), minlength=256))
            drawn.update((numbers[value], index) for value in present.tolist() if value in numbers)
    return drawn


def _prove_plane(frame: Frame, source: Dataset) -> None:
    position_mm = np.array(source.ImagePositionPatient, dtype=np.float64)
    orientation = np.array(source.ImageOrientationPatient, dtype=np.float64)
    spacing_mm = np.array(source.PixelSpacing, dtype=np.float64)
    close(f"position of frame {frame.number} in mm", frame.position_mm, position_mm, POSITION_TOLERANCE_MM)
    close(f"orientation of frame {frame.number}", frame.orientation, orientation, ORIENTATION_TOLERANCE)
    close(f"pixel spacing of frame {frame.number} in mm", frame.spacing_mm, spacing_mm, POSITION_TOLERANCE_MM)
