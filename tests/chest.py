"""A chest as a CT would show it, by shapes of known volume."""

import numpy as np
from numpy.typing import NDArray

from models.volume import Grid, Volume

TISSUE, AIR, LUNG = 40.0, -1000.0, -820.0
SHAPE, SPACING_MM = (80, 120, 160), 2.5

Values = NDArray[np.float32]
Mask = NDArray[np.bool_]


def ball(middle: tuple[float, float, float], radii: tuple[float, float, float]) -> Mask:
    """An ellipsoid; everything in voxels of (slice, row, column)."""
    at = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    return np.asarray(sum(((a - m) / r) ** 2 for a, m, r in zip(at, middle, radii, strict=True)) <= 1)


def chest(upwards: bool = True) -> tuple[Volume, Mask]:
    """A body in a room, two lungs and a vessel, a windpipe that forks into both, gas in the bowel; and the truth."""
    _, rows, columns = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    body = ((rows - 60) / 50) ** 2 + ((columns - 80) / 70) ** 2 <= 1
    values = np.where(body, TISSUE, AIR).astype(np.float32)
    left, right = ball((42, 60, 45), (28, 32, 22)), ball((42, 60, 115), (28, 32, 24))
    values[left | right] = LUNG
    values[30:50, 58:60, 40:42] = TISSUE  # a vessel: part of the lung
    values[45:, 58:63, 78:83] = AIR  # the windpipe
    values[44:46, 60:62, 60:100] = AIR  # and its fork
    values[ball((6, 60, 80), (5, 20, 40))] = AIR  # bowel
    values += np.random.default_rng(3).normal(0, 15, SHAPE).astype(np.float32)
    truth = left | right
    if not upwards:
        values, truth = values[::-1].copy(), truth[::-1]
    return Volume(grid(upwards), values), truth


def grid(upwards: bool = True) -> Grid:
    affine = np.zeros((4, 4))
    affine[2, 0] = SPACING_MM if upwards else -SPACING_MM
    affine[1, 1], affine[0, 2], affine[3, 3] = SPACING_MM, SPACING_MM, 1
    return Grid(SHAPE, affine)
