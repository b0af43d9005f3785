"""Source planes at uneven distances, and the even slices of the grid that covers them.

`places` are where the planes lie among the slices of the grid, fractional and ascending, (n,); the first and the last
lie on its first and last slice. No places at all say that the planes are the slices.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.volume import Grid, Volume

Labels = NDArray[np.uint8]


def evened(planes: NDArray[np.float32], places: Sequence[float], grid: Grid) -> Volume:
    """The planes, (n, row, column), interpolated linearly at every slice of the grid."""
    if not places:
        return Volume(grid, planes)
    values = np.empty(grid.shape, dtype=np.float32)
    at = np.interp(np.arange(grid.shape[0]), places, np.arange(len(places)))
    for index, plane in enumerate(at):
        below = min(int(plane), len(places) - 2)
        share = np.float32(plane - below)
        values[index] = (1 - share) * planes[below] + share * planes[below + 1]
    return Volume(grid, values)


def gaps_mm(places: Sequence[float], grid: Grid) -> tuple[float, float]:
    """The smallest and the largest distance between neighbouring planes."""
    gaps = np.diff(places) * grid.plane_distance_mm if places else [grid.plane_distance_mm]
    return float(min(gaps)), float(max(gaps))


def spread(labels: Labels, places: Sequence[float], slices: int) -> Labels:
    """Labels of planes on every slice of the grid that they cover, each slice that of its nearest plane."""
    if not places:
        return labels
    middles = (np.asarray(places)[1:] + np.asarray(places)[:-1]) / 2
    return np.asarray(labels[np.searchsorted(middles, np.arange(slices))])


def nearest_slices(places: Sequence[float]) -> NDArray[np.intp]:
    """The slice of the grid that each plane lies nearest to, (n,)."""
    return np.rint(places).astype(np.intp)
