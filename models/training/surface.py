"""How far the surfaces of two masks lie apart, in millimetres of the patient.

A surface is made of the centres of those voxels of a mask that share a face with a voxel outside of it; what lies
beyond the edge of the image is outside. Distances are taken in the world, so they are right for unequal spacing, for
oblique planes and for a tilted gantry.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree

from models.training.scores import Mask
from models.volume import Grid

Distances = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SurfaceDistances:
    """From every voxel of one surface to the nearest of the other, mm: (n,) from the found, (m,) from the true one."""

    from_found: Distances
    from_truth: Distances

    @property
    def hausdorff_95_mm(self) -> float:
        """The larger of the two 95th percentiles."""
        return float(max(np.percentile(self.from_found, 95), np.percentile(self.from_truth, 95)))

    @property
    def mean_mm(self) -> float:
        """The mean over the voxels of both surfaces."""
        return float(np.concatenate([self.from_found, self.from_truth]).mean())


def surface_distances(found: Mask, truth: Mask, grid: Grid) -> SurfaceDistances | None:
    """The distances between the surfaces of two masks (slice, row, column) on a grid.

    Two empty masks agree: their distances are one 0 each. Where one alone is empty there is no distance at all.
    """
    if not found.any() and not truth.any():
        return SurfaceDistances(np.zeros(1), np.zeros(1))
    if not found.any() or not truth.any():
        return None
    found_mm, truth_mm = surface_mm(found, grid), surface_mm(truth, grid)
    return SurfaceDistances(_nearest(found_mm, truth_mm), _nearest(truth_mm, found_mm))


def surface_mm(mask: Mask, grid: Grid) -> NDArray[np.float64]:
    """Where the voxels of a mask's surface lie in the world, (n, 3) mm."""
    return grid.to_world(np.argwhere(mask & ~binary_erosion(mask)).astype(np.float64))


def _nearest(points_mm: NDArray[np.float64], others_mm: NDArray[np.float64]) -> Distances:
    distances, _ = KDTree(others_mm).query(points_mm)
    return np.asarray(distances, dtype=np.float64)
