"""From parallel planes to one grid, or the named reason why not.

Positions and orientations alone decide (PS3.3 C.7.6.2.1.1); Slice Thickness and file order never do.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.volume import Grid, Matrix, Vector
from service.core.entities import Orientation, Plane, Reason
from service.core.errors import NotAVolume

ORIENTATION_TOLERANCE = 1e-3  # of a direction cosine: scanners round to 4 to 6 digits
SAME_POSITION_MM = 0.01
ALIGNMENT_MM = 0.1  # lateral drift that rounding explains
SPACING_TOLERANCE = 0.01  # how far a slice may lie from its place, as part of the median gap; but at least:
SPACING_TOLERANCE_MM = 0.02
FEWEST_SLICES = 3  # two gaps: the least that shows whether the spacing is regular
HOLE_SHARE = 0.8  # a stack with a hole has at least this share of ordinary gaps

Order = NDArray[np.intp]


def normal(orientation: Orientation) -> Vector:
    """Unit vector row x column. Raises NotAVolume when the two are not unit vectors at right angles."""
    row, column = np.array(orientation.row), np.array(orientation.column)
    defects = [float(row @ row) - 1, float(column @ column) - 1, float(row @ column)]
    if max(map(abs, defects)) > 2 * ORIENTATION_TOLERANCE:
        raise NotAVolume(
            Reason.BAD_ORIENTATION,
            f"Image Orientation (Patient) {row.tolist()}, {column.tolist()} is not two unit vectors at right angles",
        )
    cross = np.cross(row, column)
    return np.asarray(cross / np.linalg.norm(cross))


def heights(planes: Sequence[Plane]) -> Vector:
    """Distance of each plane from the world's origin along the first plane's normal, (n,) mm."""
    return np.array([plane.position_mm for plane in planes]) @ normal(planes[0].orientation)


def arrange(planes: Sequence[Plane]) -> tuple[Order, Grid]:
    """The order of like, parallel planes along their normal, (n,), and the one grid they lie on.

    Raises NotAVolume, with its reason, when they are too few, repeat a position, are tilted or unaligned, have a
    hole, or are not evenly spaced.
    """
    height = heights(planes)
    order = np.argsort(height, kind="stable")
    positions = np.array([planes[index].position_mm for index in order])
    gaps = np.diff(height[order])
    _require_slices(len(planes))
    _require_distinct(gaps, height[order])
    _require_alignment(positions, planes[0].orientation)
    _require_even(gaps, height[order])
    return order, _grid(planes[0], positions)


def _require_slices(count: int) -> None:
    if count < FEWEST_SLICES:
        raise NotAVolume(Reason.TOO_FEW_SLICES, f"{count} slices; a volume has at least {FEWEST_SLICES}")


def _require_distinct(gaps: Vector, height: Vector) -> None:
    repeated = np.flatnonzero(gaps < SAME_POSITION_MM)
    if repeated.size:
        raise NotAVolume(
            Reason.DUPLICATE_POSITION,
            f"{repeated.size} slices lie where another one lies, the first at {height[repeated[0]]:.2f} mm, "
            "and no attribute tells them apart",
        )


def _require_alignment(positions: Matrix, orientation: Orientation) -> None:
    in_plane = np.stack([orientation.row, orientation.column], axis=1)
    drift = (positions - positions[0]) @ in_plane
    if np.abs(drift).max() <= ALIGNMENT_MM:
        return
    height = (positions - positions[0]) @ normal(orientation)
    slope = np.linalg.lstsq(height[:, None], drift, rcond=None)[0]
    if np.abs(drift - height[:, None] * slope).max() <= ALIGNMENT_MM:
        angle = float(np.degrees(np.arctan(np.linalg.norm(slope))))
        raise NotAVolume(Reason.TILT, f"the slices are sheared by {angle:.1f} degrees, as a tilted gantry leaves them")
    raise NotAVolume(
        Reason.UNALIGNED, f"the slices are shifted against each other by up to {np.abs(drift).max():.2f} mm"
    )


def _require_even(gaps: Vector, height: Vector) -> None:
    usual = float(np.median(gaps))
    tolerance = max(SPACING_TOLERANCE * usual, SPACING_TOLERANCE_MM)
    if np.abs(height - np.linspace(height[0], height[-1], height.size)).max() <= tolerance:
        return
    steps = np.rint(gaps / usual)
    regular = np.abs(gaps - steps * usual) <= tolerance * np.maximum(steps, 1)
    if regular.all() and steps.min() >= 1 < steps.max() and np.mean(steps == 1) >= HOLE_SHARE:
        raise NotAVolume(Reason.HOLE, _describe_holes(steps, height, usual))
    raise NotAVolume(
        Reason.IRREGULAR_SPACING, f"gaps between slices range from {gaps.min():.3f} to {gaps.max():.3f} mm"
    )


def _describe_holes(steps: Vector, height: Vector, usual: float) -> str:
    missing = int(steps.sum() - steps.size)
    first = int(np.flatnonzero(steps > 1)[0])
    return (
        f"{missing} of {steps.size + 1 + missing} slices missing; the first gap is after slice {first + 1}, "
        f"where one is expected at {height[first] + usual:.2f} mm"
    )


def _grid(first: Plane, positions: Matrix) -> Grid:
    affine = np.eye(4)
    affine[:3, 0] = (positions[-1] - positions[0]) / (len(positions) - 1)
    affine[:3, 1] = np.array(first.orientation.column) * first.spacing.between_rows_mm
    affine[:3, 2] = np.array(first.orientation.row) * first.spacing.between_columns_mm
    affine[:3, 3] = positions[0]
    return Grid((len(positions), first.rows, first.columns), affine)


def plane_name(grid: Grid) -> str:
    """axial, coronal or sagittal by the nearest anatomical axis of the normal; oblique when 20 degrees or more off."""
    components = np.abs(grid.direction[:, 0])
    nearest = int(components.argmax())
    if components[nearest] < np.cos(np.radians(20.0)):
        return "oblique"
    return ("sagittal", "coronal", "axial")[nearest]
