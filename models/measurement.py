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
    return tuple(SegmentVolume(label, int(counts[label.value]), float(counts[label.value]) * voxel_ml) for label in labels)
