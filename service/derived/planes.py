"""Patient planes through a volume on square pixels, whatever the orientation and spacing of its grid."""

from dataclasses import dataclass
from enum import StrEnum
from itertools import product

import numpy as np
from numpy.typing import NDArray

from models.volume import Grid, Vector

_DIRECTIONS = (("L", "R"), ("P", "A"), ("S", "I"))  # of each LPS axis: where it grows to, and where it comes from


class Plane(StrEnum):
    """A plane of the patient."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"


@dataclass(frozen=True, slots=True)
class View:
    """How a plane is looked at: LPS axis that grows rightwards, axis downwards, and the letters at the four sides."""

    right: int
    down: int
    downwards: int  # +1 when the axis grows downwards, -1 when it grows upwards
    left_letter: str
    right_letter: str
    top_letter: str
    bottom_letter: str

    @property
    def across(self) -> int:
        """The LPS axis that the plane is cut through at one place."""
        return 3 - self.right - self.down

    def place(self, through_mm: Vector) -> str:
        """Where the plane through a point lies, in the words of a viewer: "S 45.0 mm"."""
        at_mm = round(float(through_mm[self.across]), 1)
        return f"{_DIRECTIONS[self.across][at_mm < 0]} {abs(at_mm):.1f} mm"


VIEWS = {
    Plane.AXIAL: View(0, 1, 1, "R", "L", "A", "P"),
    Plane.CORONAL: View(0, 2, -1, "R", "L", "H", "F"),
    Plane.SAGITTAL: View(1, 2, -1, "A", "P", "H", "F"),
}


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """The pixels of one picture (row, column) as points of a grid: eight neighbours each, and their weights.

    `neighbours` are places in the flattened grid, (8, n), `weights` is (8, n), `inside` is (n,), with
    n = rows * columns.
    """

    shape: tuple[int, int]
    neighbours: NDArray[np.intp]
    weights: NDArray[np.float64]
    inside: NDArray[np.bool_]

    def sample(self, array: NDArray[np.float32]) -> NDArray[np.float64]:
        """Trilinear values of a (slice, row, column) array as a (row, column) picture; nan outside of the grid."""
        values = (self.weights * array.reshape(-1)[self.neighbours]).sum(axis=0)
        return np.where(self.inside, values, np.nan).reshape(self.shape)

    def covered(self, labels: NDArray[np.uint8], label: int) -> NDArray[np.bool_]:
        """Pixels more than half of whose weight lies on `label`, (slice, row, column) -> (row, column)."""
        share = (self.weights * (labels.reshape(-1)[self.neighbours] == label)).sum(axis=0)
        return np.asarray((share > 0.5) & self.inside).reshape(self.shape)


def extent_mm(grid: Grid) -> tuple[Vector, Vector]:
    """Lowest and highest world coordinates of the grid's voxels, outer faces included."""
    faces = np.array(list(product(*((-0.5, size - 0.5) for size in grid.shape))))
    corners_mm = grid.to_world(faces)
    return corners_mm.min(axis=0), corners_mm.max(axis=0)


def points(grid: Grid, view: View, through_mm: Vector, pixel_mm: float) -> NDArray[np.float64]:
    """The pixels of the plane of `view` through a point, over the grid's whole extent, (row, column, 3) mm."""
    low, high = extent_mm(grid)
    columns = _ticks(low[view.right], high[view.right], pixel_mm)
    rows = _ticks(low[view.down], high[view.down], pixel_mm)[:: view.downwards]
    points_mm = np.empty((len(rows), len(columns), 3))
    points_mm[:] = through_mm
    points_mm[..., view.right] = columns[None, :]
    points_mm[..., view.down] = rows[:, None]
    return points_mm


def cut(grid: Grid, points_mm: NDArray[np.float64]) -> Cut:
    """A grid cut at (row, column, 3) points; a half voxel beyond the outermost centres repeats them."""
    indices = grid.to_index(points_mm.reshape(-1, 3))
    last = np.array(grid.shape) - 1
    clipped = np.clip(indices, 0, last)
    base = np.floor(clipped).astype(np.intp)
    fraction = clipped - base
    corners = list(product((0, 1), repeat=3))
    return Cut(
        shape=(points_mm.shape[0], points_mm.shape[1]),
        neighbours=np.stack([_flat(np.minimum(base + corner, last), grid.shape) for corner in corners]),
        weights=np.stack([np.where(corner, fraction, 1.0 - fraction).prod(axis=1) for corner in corners]),
        inside=np.asarray(((indices >= -0.5) & (indices <= last + 0.5)).all(axis=1)),
    )


def _flat(indices: NDArray[np.intp], shape: tuple[int, int, int]) -> NDArray[np.intp]:
    return np.asarray(np.ravel_multi_index(tuple(indices.T), shape))


def _ticks(low: float, high: float, step: float) -> Vector:
    count = max(1, round((high - low) / step))
    return np.asarray(low + (np.arange(count) + 0.5) * step)
