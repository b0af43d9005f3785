"""What crosses the border between DICOM land and array land.

Axis order is (slice, row, column) everywhere. The world is the DICOM patient frame, LPS in mm. A `Grid` maps
(slice, row, column) indices to the world. For a stack of DICOM planes axis 0 runs along +normal, the cross
product of the row direction and the column direction (PS3.3 C.7.6.2.1.1); readers of a grid must not rely on
that and ask `affine` instead.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]

MM3_PER_ML = 1000.0


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """A regular lattice in the patient: shape (slices, rows, columns) and a 4x4 index -> LPS mm matrix."""

    shape: tuple[int, int, int]
    affine: Matrix

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise ValueError(f"an affine is a finite 4x4 matrix, not {affine.tolist()}")
        if abs(np.linalg.det(affine[:3, :3])) < 1e-12:
            raise ValueError(f"the affine {affine.tolist()} does not span a volume")
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", (int(self.shape[0]), int(self.shape[1]), int(self.shape[2])))

    @property
    def spacing_mm(self) -> Vector:
        """Distance between neighbours along (slice, row, column), shape (3,)."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))

    @property
    def plane_distance_mm(self) -> float:
        """Distance between neighbouring planes (axis 0) along their normal; a sheared grid steps further than that."""
        return float(abs(self.affine[:3, 0] @ self.normal))

    @property
    def shear_mm(self) -> float:
        """How far the last plane lies beside the place straight above the first."""
        step = self.affine[:3, 0]
        return float(np.linalg.norm(step - (step @ self.normal) * self.normal)) * (self.shape[0] - 1)

    @property
    def shear_degrees(self) -> float:
        """The angle between axis 0 and the planes' normal, 0 to 90."""
        return float(np.degrees(np.arccos(min(1.0, self.plane_distance_mm / self.spacing_mm[0]))))

    @property
    def normal(self) -> Vector:
        """Unit vector of the planes' normal: row direction x column direction (PS3.3 C.7.6.2.1.1), shape (3,)."""
        cross = np.cross(self.affine[:3, 2], self.affine[:3, 1])
        return np.asarray(cross / np.linalg.norm(cross))

    @property
    def direction(self) -> Matrix:
        """Unit vectors of the three axes as the columns of a 3x3 matrix."""
        return self.affine[:3, :3] / self.spacing_mm

    @property
    def origin_mm(self) -> Vector:
        """World position of index (0, 0, 0), shape (3,)."""
        return self.affine[:3, 3]

    @property
    def voxel_size_mm(self) -> Vector:
        """Distance between neighbouring planes, rows and columns, shape (3,); unlike spacing, shear lengthens none."""
        return np.array([self.plane_distance_mm, *self.spacing_mm[1:]])

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel; right for sheared grids too, because it is the determinant."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / MM3_PER_ML

    def to_world(self, indices: NDArray[np.floating]) -> Matrix:
        """World positions of indices, (n, 3) -> (n, 3) mm."""
        return np.asarray(indices @ self.affine[:3, :3].T + self.affine[:3, 3])

    def to_index(self, points_mm: NDArray[np.floating]) -> Matrix:
        """Fractional indices of world positions, (n, 3) mm -> (n, 3)."""
        return np.asarray(np.linalg.solve(self.affine[:3, :3], (points_mm - self.affine[:3, 3]).T).T)

    def matches(self, other: "Grid", tolerance_mm: float = 1e-3) -> bool:
        """True when both have the same shape and no corner differs by more than `tolerance_mm`."""
        if self.shape != other.shape:
            return False
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.shape])).reshape(3, -1).T
        return bool(np.abs(self.to_world(corners) - other.to_world(corners)).max() <= tolerance_mm)


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """Intensities on a grid: float32 (slice, row, column), in HU for CT and arbitrary units for MR."""

    grid: Grid
    values: NDArray[np.float32]

    def __post_init__(self) -> None:
        _require_shape(self.grid, self.values.shape)


@dataclass(frozen=True, slots=True, eq=False)
class Radiograph:
    """A projection as it is shown, float32 (row, column): bright is dense, in whatever units its windows end in."""

    values: NDArray[np.float32]
    spacing_mm: tuple[float, float] | None  # between rows, between columns; None where the image does not say it
    calibrated: bool  # the spacing is that in the patient, not that at the detector


@dataclass(frozen=True, slots=True, eq=False)
class LabelMap:
    """One label per voxel: uint8 (slice, row, column), 0 is background."""

    grid: Grid
    labels: NDArray[np.uint8]

    def __post_init__(self) -> None:
        _require_shape(self.grid, self.labels.shape)

    def counts(self) -> NDArray[np.int64]:
        """How many voxels carry each label, (256,); slice by slice, because counting widens every voxel to 8 bytes."""
        return np.asarray(sum(np.bincount(plane.ravel(), minlength=256) for plane in self.labels), dtype=np.int64)

    def volume_ml(self, label: int) -> float:
        """Voxels that carry `label`, times the voxel's volume."""
        return int(np.count_nonzero(self.labels == label)) * self.grid.voxel_volume_ml


def _require_shape(grid: Grid, shape: tuple[int, ...]) -> None:
    if shape != grid.shape:
        raise ValueError(f"an array of shape {shape} does not fit a grid of shape {grid.shape}")
