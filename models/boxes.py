"""Upright boxes in the patient: low and high corner in the LPS world, (2, 3) mm, and what is known of two of them."""

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import ConvexHull

from models.volume import Grid, Matrix

Corners = NDArray[np.float64]  # (2, 3): low, high

_HALVES = np.array(list(product((-0.5, 0.5), repeat=3)))  # from the middle of a voxel to its corners


def around(points: NDArray[np.float64]) -> Corners:
    """The upright box around points, (n, 3) -> (2, 3)."""
    return np.stack([points.min(axis=0), points.max(axis=0)])


def ends(corners: Corners) -> Matrix:
    """The eight corners of a box, (8, 3)."""
    return np.array(list(product(*corners.T)))


def outer_edges(grid: Grid) -> Corners:
    """Where the outer faces of a grid's first and last voxels lie, in its own indices."""
    return np.array([np.full(3, -0.5), np.array(grid.shape) - 0.5])


def outline(mask: NDArray[np.bool_], grid: Grid) -> Matrix:
    """World positions of the corners of the convex hull around the voxels of a mask, faces included, (n, 3) mm.

    Turned, scaled or sheared in any way, no other place of the structure lies further out. Raises ValueError for a mask
    without voxels.
    """
    voxels = np.argwhere(mask & ~binary_erosion(mask))
    if not voxels.size:
        raise ValueError("nothing has no outline")
    corners = np.unique((voxels[:, None] + _HALVES).reshape(-1, 3), axis=0)
    return grid.to_world(corners[ConvexHull(corners).vertices])


def overlap(first: Corners, second: Corners) -> float:
    """The volume of what two boxes share over that of what either covers, 0 to 1."""
    shared = float(np.prod(np.clip(np.minimum(first[1], second[1]) - np.maximum(first[0], second[0]), 0, None)))
    return shared / (float(np.prod(np.ptp(first, axis=0)) + np.prod(np.ptp(second, axis=0))) - shared)


def outside_mm(inner: Corners, outer: Corners) -> float:
    """How far one box reaches out of the other where it does most; below 0 it lies inside, with that much to spare."""
    return float(max((outer[0] - inner[0]).max(), (inner[1] - outer[1]).max()))
