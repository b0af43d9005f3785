"""The proof of a Segmentation: it holds exactly the label maps, on the planes of the sources."""

from collections.abc import Sequence

import numpy as np
from pydicom import Dataset
from pydicom.uid import SegmentationStorage

from models.findings import Findings
from models.regions import plane_labels
from models.uneven import spread
from service.core.errors import Unproven
from service.core.geometry import ORIENTATION_TOLERANCE
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
from service.derived.frames import Frame, frames
from service.derived.material import Made, Material
from service.derived.sources import reference


def prove(objects: Sequence[Dataset], material: Material, made: Made) -> None:
    """Raise Unproven unless the one Segmentation holds exactly the regions, on the planes of the sources."""
    del made
    (segmentation,) = objects
    sources, findings = material.sources, material.findings
    prove_volumes(findings)
    prove_grid(sources, findings.grid, findings.places)
    prove_file(segmentation, SegmentationStorage)
    prove_identity(segmentation, sources)
    prove_required_attributes(segmentation)
    same("SegmentationType", segmentation.SegmentationType, "BINARY")
    same("FrameOfReferenceUID", segmentation.FrameOfReferenceUID, sources[0].FrameOfReferenceUID)
    _prove_references(segmentation, sources)
    _prove_segments(segmentation, findings)
    _prove_frames(segmentation, sources, findings)


def _prove_references(segmentation: Dataset, sources: Sequence[Dataset]) -> None:
    series = segmentation.ReferencedSeriesSequence
    same("referenced series", [item.SeriesInstanceUID for item in series], [sources[0].SeriesInstanceUID])
    referenced = {item.ReferencedSOPInstanceUID for item in series[0].ReferencedInstanceSequence}
    same("referenced instances", referenced, {source.SOPInstanceUID for source in sources})


def _prove_segments(segmentation: Dataset, findings: Findings) -> None:
    described = [
        (int(item.SegmentNumber), item.SegmentLabel, content_tree.term(item, "SegmentedPropertyTypeCodeSequence"))
        for item in segmentation.SegmentSequence
    ]
    expected = [
        (number, region.name[:64], (region.label.type.value, region.label.type.scheme))
        for number, region in enumerate(findings.found, start=1)
    ]
    same("segments", described, expected)


def _prove_frames(segmentation: Dataset, sources: Sequence[Dataset], findings: Findings) -> None:
    """Every frame equals its slice of the label map, and together they leave nothing out."""
    slices = {reference(source): index for index, source in enumerate(sources)}
    found = findings.found
    labels = [plane_labels(findings, layer) for layer in range(len(findings.layers))]
    voxels = [0] * len(found)
    seen: set[tuple[int, int]] = set()
    for frame in frames(segmentation):
        index = slices.get(frame.source)
        if index is None:
            raise Unproven(f"source of frame {frame.number}: {frame.source} is not one of the {len(sources)} sources")
        _prove_plane(frame, sources[index])
        place = (frame.segment_number, index)
        same(f"whether frame {frame.number} repeats segment and slice {place}", place in seen, False)
        seen.add(place)
        region = found[frame.segment_number - 1]
        expected = labels[region.layer][index] == region.number
        wrong = int(np.count_nonzero(frame.pixels != expected))
        same(f"voxels of frame {frame.number} that differ from segment and slice {place}", wrong, 0)
        voxels[frame.segment_number - 1] += int(np.count_nonzero(frame.pixels))
    due = [int(np.count_nonzero(labels[region.layer] == region.number)) for region in found]
    same("voxels of the segments", voxels, due)
    for layer, drawn in zip(findings.layers, labels, strict=True):
        between = spread(drawn, findings.places, layer.grid.shape[0])
        same("voxels between the planes", int(np.count_nonzero(between != layer.labels)), 0)


def _prove_plane(frame: Frame, source: Dataset) -> None:
    position_mm = np.array(source.ImagePositionPatient, dtype=np.float64)
    orientation = np.array(source.ImageOrientationPatient, dtype=np.float64)
    spacing_mm = np.array(source.PixelSpacing, dtype=np.float64)
    close(f"position of frame {frame.number} in mm", frame.position_mm, position_mm, POSITION_TOLERANCE_MM)
    close(f"orientation of frame {frame.number}", frame.orientation, orientation, ORIENTATION_TOLERANCE)
    close(f"pixel spacing of frame {frame.number} in mm", frame.spacing_mm, spacing_mm, POSITION_TOLERANCE_MM)
