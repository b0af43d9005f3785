"""Where a Segmentation's pixels must appear in a viewport, and what was coloured there."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from scipy.ndimage import binary_erosion

from models.volume import Vector
from service.derived.frames import Frame, frames
from tests.viewer.browser import Picture

FILL_OPACITY = 0.5  # OHIF's own setting for the inside of a segment; the outline is opaque
_NOTICEABLE = 6  # of 255: weaker than any fill, stronger than a difference of rounding

Mask = NDArray[np.bool_]
Labels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """One image with segment numbers on its pixels, (row, column), and its place in LPS mm."""

    sop_instance_uid: str
    position_mm: Vector
    orientation: Vector
    spacing_mm: Vector
    labels: Labels

    def corners_mm(self) -> Vector:
        """The centres of the first pixel, of the last of its row and of the last of its column, (3, 3)."""
        rows, columns = self.labels.shape
        along = self.orientation[:3] * self.spacing_mm[1] * (columns - 1)
        down = self.orientation[3:] * self.spacing_mm[0] * (rows - 1)
        return np.stack([self.position_mm, self.position_mm + along, self.position_mm + down])


def planes(segmentation: Dataset) -> list[Plane]:
    """The images that a Segmentation draws on, each once."""
    found: dict[str, Plane] = {}
    for frame in frames(segmentation):
        plane = found.setdefault(frame.source.sop_instance_uid, _empty(frame))
        plane.labels[frame.pixels] = frame.segment_number
    return list(found.values())


def _empty(frame: Frame) -> Plane:
    labels = np.zeros(frame.pixels.shape, dtype=np.uint8)
    return Plane(frame.source.sop_instance_uid, frame.position_mm, frame.orientation, frame.spacing_mm, labels)


def most_telling(candidates: Iterable[Plane]) -> Plane:
    """The plane with the most segments, and of those the one that its mirror image is least like."""

    def asymmetry(plane: Plane) -> tuple[int, int]:
        mask = plane.labels > 0
        return len(np.unique(plane.labels)), int((mask & ~mask[:, ::-1]).sum())

    return max(candidates, key=asymmetry)


def aside(plane: Plane) -> dict[str, Plane]:
    """The plane with its segments one pixel away to each side, and mirrored left to right."""
    labels = plane.labels
    moved = {
        "up": np.roll(labels, -1, axis=0),
        "down": np.roll(labels, 1, axis=0),
        "left": np.roll(labels, -1, axis=1),
        "right": np.roll(labels, 1, axis=1),
        "mirrored": labels[:, ::-1],
    }
    return {name: replace(plane, labels=elsewhere) for name, elsewhere in moved.items()}


def expected(plane: Plane, to_canvas: Callable[[Vector], Vector], shape: Sequence[int]) -> Labels:
    """The segment number that belongs on each pixel of a viewport of that shape, (row, column)."""
    first, end_of_row, end_of_column = to_canvas(plane.corners_mm())
    rows, columns = plane.labels.shape
    step = np.stack([(end_of_row - first) / (columns - 1), (end_of_column - first) / (rows - 1)], axis=1)
    y, x = np.indices((shape[0], shape[1]))
    places = np.stack([x.ravel() + 0.5, y.ravel() + 0.5]) - first[:, None]
    column, row = np.rint(np.linalg.solve(step, places)).astype(int)
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    labels = np.zeros(x.size, dtype=np.uint8)
    labels[inside] = plane.labels[row[inside], column[inside]]
    return labels.reshape(x.shape)


def coloured(drawn: Picture, bare: Picture) -> Mask:
    """The pixels that look otherwise when the segments are drawn."""
    return np.asarray(np.abs(drawn - bare).max(axis=2) >= _NOTICEABLE)


def fill_colour(drawn: Picture, bare: Picture, where: Mask) -> Vector:
    """The RGB colour laid over the inside of a region, away from its outline."""
    inside = binary_erosion(where, iterations=5)
    return np.asarray(np.median((drawn[inside] - (1 - FILL_OPACITY) * bare[inside]) / FILL_OPACITY, axis=0))


def dice(one: Mask, other: Mask) -> float:
    """The overlap of two regions: 1 when they are the same."""
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))
