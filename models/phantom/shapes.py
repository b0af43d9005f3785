"""Shapes as distances: every function gives mm to the surface, negative inside, (slice, row, column) float32.

Distances are taken along the ray from the shape's centre, which is all that a soft edge of one voxel needs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating]
Point = tuple[float, float, float]  # x to the left, y to the back, z to the head, in mm

REACH_MM = 300.0  # random fields have their nodes within this distance of the middle, whatever the grid
SMALLEST = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """The patient's x, y and z in mm at every voxel."""

    x: Field
    y: Field
    z: Field

    def moved(self, x: Field, y: Field, z: Field) -> "Space":
        """The space in which everything is displaced by so many mm."""
        return Space(self.x + x, self.y + y, self.z + z)

    def turned(self, centre: Point, degrees: float) -> "Space":
        """The space in which everything is turned by so much in the coronal plane, about a centre."""
        cosine, sine = float(np.cos(np.deg2rad(degrees))), float(np.sin(np.deg2rad(degrees)))
        x, z = self.x - centre[0], self.z - centre[2]
        return Space(cosine * x + sine * z + centre[0], self.y, cosine * z - sine * x + centre[2])


def ellipsoid(space: Space, centre: Point, radii: Point, power: float = 2.0) -> Field:
    """A superellipsoid: above a power of 2 it becomes boxy."""
    x, y, z = space.x - centre[0], space.y - centre[1], space.z - centre[2]
    return _radial(np.sqrt(x * x + y * y + z * z), _norm((x / radii[0], y / radii[1], z / radii[2]), power))


def column(space: Space, centre: tuple[float, float], radii: tuple[float, float], power: float = 2.0) -> Field:
    """A superellipse that runs from head to foot."""
    x, y = space.x - centre[0], space.y - centre[1]
    return _radial(np.hypot(x, y), _norm((x / radii[0], y / radii[1]), power))


def tube(space: Space, start: Point, end: Point, radius: float) -> Field:
    """A straight tube with round ends."""
    axis = np.subtract(end, start).astype(np.float32)
    x, y, z = space.x - start[0], space.y - start[1], space.z - start[2]
    along = np.clip((x * axis[0] + y * axis[1] + z * axis[2]) / float(axis @ axis), 0, 1)
    square = (x - along * axis[0]) ** 2 + (y - along * axis[1]) ** 2 + (z - along * axis[2]) ** 2
    return _as_field(np.sqrt(square) - radius)


def below(space: Space, point: Point, normal: Point) -> Field:
    """The half of space behind a plane through a point."""
    unit = np.divide(normal, np.linalg.norm(normal))
    x, y, z = space.x - point[0], space.y - point[1], space.z - point[2]
    return _as_field(x * unit[0] + y * unit[1] + z * unit[2])


def common(*distances: Field) -> Field:
    """What lies in all shapes."""
    return _as_field(np.maximum.reduce(distances))


def without(distance: Field, other: Field, gap_mm: float = 0.0) -> Field:
    """What lies in the first shape and at least `gap_mm` outside of the other."""
    return _as_field(np.maximum(distance, gap_mm - other))


def smooth_field(rng: np.random.Generator, space: Space, wavelength_mm: float) -> Field:
    """Smooth noise of about unit deviation: nodes every `wavelength_mm`, the same anatomy at every voxel size."""
    nodes = np.arange(-REACH_MM, REACH_MM + wavelength_mm, wavelength_mm)
    heights = rng.standard_normal((nodes.size,) * 3, dtype=np.float32)
    by_z, by_y, by_x = (_weights(axis, nodes) for axis in (space.z[:, 0, 0], space.y[0, :, 0], space.x[0, 0, :]))
    planes = by_y @ (heights @ by_x.T)
    return np.tensordot(by_z, planes, axes=1)


def _weights(axis: Field, nodes: NDArray[np.float64]) -> Field:
    """Gaussian weights of the nodes along one axis, (voxels, nodes), scaled to unit deviation."""
    weights = np.exp(-1.5 * ((axis[:, None] - nodes) / (nodes[1] - nodes[0])) ** 2)
    return _as_field(weights / np.linalg.norm(weights, axis=1, keepdims=True))


def _norm(scaled: tuple[Field, ...], power: float) -> Field:
    if power == 2.0:
        return _as_field(np.sqrt(sum(np.square(part) for part in scaled)))
    return _as_field(sum(np.abs(part) ** power for part in scaled) ** (1 / power))


def _radial(distance: Field, norm: Field) -> Field:
    """Distance to the surface norm = 1 along the ray from the centre."""
    return _as_field(distance * (1 - 1 / np.maximum(norm, SMALLEST)) - SMALLEST * (norm < SMALLEST))


def _as_field(array: NDArray[np.floating]) -> Field:
    return np.asarray(array, dtype=np.float32)
