"""Numbers read off a label map."""

from collections.abc import Sequence

import numpy as np

from models.findings import SegmentVolume
from models.manifest import Label
from models.volume import LabelMap


def measure(label_map: LabelMap, labels: Sequence[Label]) -> tuple[SegmentVolume, ...]:
    """Voxels and millilitres of each label, in the order given."""
    counts = np.bincount(label_map.labels.ravel(), minlength=256)
    voxel_ml = label_map.grid.voxel_volume_ml
    found = [(label, int(counts[label.value])) for label in labels]
    return tuple(SegmentVolume(label, voxels, voxels * voxel_ml) for label, voxels in found)
