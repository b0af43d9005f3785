"""The outline of a mask as closed polygons that say for every pixel whether it is inside.

A polygon runs half way between the centres of pixels inside and outside, so that no centre is nearer to it than a third
of a pixel: whoever fills it, by whatever rule, gets the mask. Pixels that touch at a corner are outlined one by one. A
hole is joined to the polygon around it by a channel without width, there and back (keyhole, PS3.3 C.8.8.6.3).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from scipy.ndimage import label as connected_components
from scipy.spatial import cKDTree
from skimage.measure import find_contours

from models.volume import Matrix


def rings(mask: NDArray[np.bool_]) -> Iterator[Matrix]:
    """One polygon for each connected part of a mask (row, column): its corners as (row, column), (n, 2)."""
    parts, _ = connected_components(mask)
    for number, box in enumerate(find_objects(parts), start=1):
        part = np.pad(parts[box] == number, 1).astype(np.float32)
        outlines = [outline[:-1] for outline in find_contours(part, 0.5, fully_connected="low")]
        outlines.sort(key=lambda outline: -float(np.ptp(outline, axis=0).prod()))
        low = np.array([extent.start - 1 for extent in box])
        yield _without_needless(_keyholed(outlines)) + low


def _keyholed(outlines: list[Matrix]) -> Matrix:
    """The first outline with each of the others, its holes, let in where they are nearest."""
    ring = outlines[0]
    for hole in outlines[1:]:
        distances, nearest = cKDTree(ring).query(hole)
        start = int(np.argmin(distances))
        at = int(nearest[start])
        there_and_back = np.concatenate((hole[start:], hole[: start + 1], ring[at : at + 1]))
        ring = np.concatenate((ring[: at + 1], there_and_back, ring[at + 1 :]))
    return ring


def _without_needless(ring: Matrix) -> Matrix:
    """The ring without corners that lie straight between their neighbours."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    goes_back = (before * after).sum(axis=1) <= 0
    return np.asarray(ring[turns | goes_back])
