"""Numbers read off a label map."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.findings import Findings, SegmentVolume
from models.manifest import Label
from models.uneven import nearest_slices, spread
from models.volume import LabelMap


def measure(label_map: LabelMap, labels: Sequence[Label]) -> tuple[SegmentVolume, ...]:
    """Voxels and millilitres of each label, in the order given."""
    counts = np.bincount(label_map.labels.ravel(), minlength=256)
    voxel_ml = label_map.grid.voxel_volume_ml
    found = [(label, int(counts[label.value])) for label in labels]
    return tuple(SegmentVolume(label, voxels, voxels * voxel_ml) for label, voxels in found)


def on_planes(findings: Findings, places: Sequence[float]) -> Findings:
    """The findings as the planes can show them: every slice of the label map repeats that of the nearest plane.

    Volumes are then those of the planes' own contours, each as deep as half the way to its neighbours (Cavalieri).
    """
    if not places:
        return findings
    grid = findings.label_map.grid
    label_map = LabelMap(grid, spread(findings.label_map.labels[nearest_slices(places)], places, grid.shape[0]))
    volumes = measure(label_map, [volume.label for volume in findings.volumes])
    return replace(findings, label_map=label_map, volumes=volumes, places=tuple(places))


def plane_labels(findings: Findings) -> NDArray[np.uint8]:
    """The label map on the source planes, (plane, row, column)."""
    labels = findings.label_map.labels
    return labels[nearest_slices(findings.places)] if findings.places else labels
