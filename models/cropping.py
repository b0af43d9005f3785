"""A part of a volume on the volume's own voxels, and the way back: nothing is resampled.

Edges are fractional indices (slice, row, column) of a volume's grid, (3,): voxel i reaches from i - 0.5 to i + 0.5.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.volume import Grid, LabelMap, Vector, Volume

ROUNDING = 1e-6  # voxels; an edge that is that near to the next voxel does not reach into it

Block = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """An upright box among the voxels of a grid."""

    low: Vector
    high: Vector


def whole(grid: Grid) -> Block:
    """All of a grid."""
    slices, rows, columns = grid.shape
    return slice(0, slices), slice(0, rows), slice(0, columns)


def edges_of_mask(mask: NDArray[np.bool_]) -> Edges | None:
    """The smallest box around the voxels of a mask, (slice, row, column); None where there are none."""
    low, high = np.empty(3), np.empty(3)
    for axis in range(3):
        there = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        if not there.size:
            return None
        low[axis], high[axis] = there[0] - 0.5, there[-1] + 0.5
    return Edges(low, high)


def edges_of_box(low_mm: NDArray[np.floating], high_mm: NDArray[np.floating], grid: Grid) -> Edges:
    """The smallest box among the voxels around one that is upright in the patient, between two corners in LPS mm."""
    ends = np.stack([low_mm, high_mm])
    corners = np.array([[ends[x, 0], ends[y, 1], ends[z, 2]] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    indices = grid.to_index(corners)
    return Edges(indices.min(axis=0), indices.max(axis=0))


def block_around(edges: Edges, grid: Grid, margin_mm: float) -> Block | None:
    """The voxels that a box reaches, and all within `margin_mm` of it in any direction, as far as the grid goes.

    None where it lies outside of the grid.
    """
    margin = margin_mm * np.linalg.norm(np.linalg.inv(grid.affine[:3, :3]), axis=1)  # right for sheared grids too
    first = np.floor(edges.low - margin + 0.5 + ROUNDING).astype(int)
    end = np.ceil(edges.high + margin + 0.5 - ROUNDING).astype(int)
    first, end = np.maximum(first, 0), np.minimum(end, grid.shape)
    if (first >= end).any():
        return None
    return slice(int(first[0]), int(end[0])), slice(int(first[1]), int(end[1])), slice(int(first[2]), int(end[2]))


def cut_grid(grid: Grid, block: Block) -> Grid:
    """The grid of a part: the same voxels in the same places."""
    affine = grid.affine.copy()
    affine[:3, 3] = grid.to_world(np.array([[side.start for side in block]], dtype=float))[0]
    slices, rows, columns = (side.stop - side.start for side in block)
    return Grid((slices, rows, columns), affine)


def cut(volume: Volume, block: Block) -> Volume:
    """A part of a volume."""
    return Volume(cut_grid(volume.grid, block), np.ascontiguousarray(volume.values[block]))


def put_back(part: LabelMap, block: Block, grid: Grid) -> LabelMap:
    """The label map of a part on the grid that it was cut from: background everywhere else."""
    labels = np.zeros(grid.shape, dtype=np.uint8)
    labels[block] = part.labels
    return LabelMap(grid, labels)
