"""From parallel planes to one grid, or the named reason why not.

Positions and orientations alone decide (PS3.3 C.7.6.2.1.1); Slice Thickness and file order never do.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.uneven import gaps_mm
from models.volume import Grid, Matrix, Vector
from service.core.entities import Orientation, Plane, Reason
from service.core.errors import NotAVolume

ORIENTATION_TOLERANCE = 1e-3  # of a direction cosine: scanners round to 4 to 6 digits
SAME_POSITION_MM = 0.01
ALIGNMENT_MM = 0.1  # lateral drift that rounding explains
SPACING_TOLERANCE = 0.01  # how far a slice may lie from its place, as part of the median gap; but at least:
SPACING_TOLERANCE_MM = 0.02
FEWEST_SLICES = 3  # two gaps: the least that shows whether a slice is missing
MOST_UNEVEN = 16  # times the smallest gap between slices: what is further apart cannot be interpolated
HOLE_SHARE = 0.8  # a stack with a hole has at least this share of ordinary gaps

Order = NDArray[np.intp]
Places = tuple[float, ...]


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


def arrange(planes: Sequence[Plane], thickness_mm: float = 0.0) -> tuple[Order, Grid, Places]:
    """The order of like, parallel planes along their normal, (n,), and the one grid they lie on.

    A tilted gantry shears the grid. Unevenly spaced planes get a grid of their smallest distance and their fractional
    places among its slices, (n,); evenly spaced ones are its slices, and have no places. `thickness_mm` is how far a
    lone plane reaches, where its header says so. Raises NotAVolume, with its reason, when planes repeat a position,
    are unaligned, have a hole, when their distances differ too much, or when there is one of unknown thickness.
    """
    height = heights(planes)
    order = np.argsort(height, kind="stable")
    positions = np.array([planes[index].position_mm for index in order])
    gaps = np.diff(height[order])
    if len(planes) == 1:
        step_mm = normal(planes[0].orientation) * _required(thickness_mm)
        return order, _grid(planes[0], 1, positions[0], step_mm), ()
    _require_distinct(gaps, height[order])
    _require_alignment(positions, planes[0].orientation)
    _require_no_hole(gaps, height[order])
    places = () if _is_even(gaps, height[order]) else _places(gaps)
    count = round(places[-1]) + 1 if places else len(planes)
    step_mm = (positions[-1] - positions[0]) / (count - 1)
    return order, _grid(planes[0], count, positions[0], step_mm), places


def _required(thickness_mm: float) -> float:
    if thickness_mm <= 0:
        sentence = "one slice, and neither Spacing Between Slices nor Slice Thickness says how far it reaches"
        raise NotAVolume(Reason.TOO_FEW_SLICES, sentence)
    return thickness_mm


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
    height = (positions - positions[0]) @ normal(orientation)
    off_line = np.abs(drift - np.outer(height / height[-1], drift[-1])).max()
    if off_line > ALIGNMENT_MM:
        sentence = f"the slices lie up to {off_line:.2f} mm beside the line through the first and the last"
        raise NotAVolume(Reason.UNALIGNED, sentence)


def _tolerance_mm(usual: float) -> float:
    return max(SPACING_TOLERANCE * usual, SPACING_TOLERANCE_MM)


def _is_even(gaps: Vector, height: Vector) -> bool:
    off_place = np.abs(height - np.linspace(height[0], height[-1], height.size)).max()
    return bool(off_place <= _tolerance_mm(float(np.median(gaps))))


def _require_no_hole(gaps: Vector, height: Vector) -> None:
    usual = float(np.median(gaps))
    steps = np.rint(gaps / usual)
    regular = np.abs(gaps - steps * usual) <= _tolerance_mm(usual) * np.maximum(steps, 1)
    if regular.all() and steps.min() >= 1 < steps.max() and np.mean(steps == 1) >= HOLE_SHARE:
        raise NotAVolume(Reason.HOLE, _describe_holes(steps, height, usual))


def _places(gaps: Vector) -> Places:
    """Where planes with these gaps lie among slices about as far apart as the smallest of the gaps."""
    if gaps.max() > MOST_UNEVEN * gaps.min():
        sentence = f"gaps between slices range from {gaps.min():.3f} to {gaps.max():.3f} mm"
        raise NotAVolume(Reason.IRREGULAR_SPACING, sentence)
    reach = np.concatenate([[0.0], np.cumsum(gaps)])
    return tuple((reach / reach[-1] * np.ceil(reach[-1] / gaps.min() - 1e-6)).tolist())


def _describe_holes(steps: Vector, height: Vector, usual: float) -> str:
    missing = int(steps.sum() - steps.size)
    first = int(np.flatnonzero(steps > 1)[0])
    return (
        f"{missing} of {steps.size + 1 + missing} slices missing; the first gap is after slice {first + 1}, "
        f"where one is expected at {height[first] + usual:.2f} mm"
    )


def _grid(plane: Plane, count: int, first_mm: Vector, step_mm: Vector) -> Grid:
    affine = np.eye(4)
    affine[:3, 0] = step_mm
    affine[:3, 1] = np.array(plane.orientation.column) * plane.spacing.between_rows_mm
    affine[:3, 2] = np.array(plane.orientation.row) * plane.spacing.between_columns_mm
    affine[:3, 3] = first_mm
    return Grid((count, plane.rows, plane.columns), affine)


def remarks(grid: Grid, places: Places, spacing_between_slices_mm: float, slice_thickness_mm: float) -> tuple[str, ...]:
    """Where the header and the positions disagree, in words; what the header does not say (0) disagrees with nothing.

    Positions decide; Slice Thickness may differ rightly, when slices overlap or have gaps between them.
    """
    found = _disagreements(grid, spacing_between_slices_mm, slice_thickness_mm)
    if places:
        smallest, largest = gaps_mm(places, grid)
        found = [f"{Reason.IRREGULAR_SPACING}: {len(places)} slices, {smallest:.4g} to {largest:.4g} mm apart"]
    if grid.shear_mm > ALIGNMENT_MM:
        found.append(f"sheared by {grid.shear_degrees:.1f} degrees, as a tilted gantry leaves it")
    return tuple(found)


def _disagreements(grid: Grid, spacing_between_slices_mm: float, slice_thickness_mm: float) -> list[str]:
    found = []
    distance = grid.plane_distance_mm
    tolerance = max(SPACING_TOLERANCE * distance, SPACING_TOLERANCE_MM)
    if spacing_between_slices_mm and abs(abs(spacing_between_slices_mm) - distance) > tolerance:
        found.append(f"Spacing Between Slices says {spacing_between_slices_mm:g} mm, positions say {distance:.4g} mm")
    if slice_thickness_mm and abs(slice_thickness_mm - distance) > tolerance:
        kind = "overlap" if slice_thickness_mm > distance else "have gaps between them"
        found.append(f"slices {slice_thickness_mm:g} mm thick and {distance:.4g} mm apart {kind}")
    return found


def plane_name(grid: Grid) -> str:
    """axial, coronal or sagittal by the nearest anatomical axis of the normal; oblique when 20 degrees or more off."""
    components = np.abs(grid.normal)
    nearest = int(components.argmax())
    if components[nearest] < np.cos(np.radians(20.0)):
        return "oblique"
    return ("sagittal", "coronal", "axial")[nearest]
