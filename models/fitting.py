"""Between a radiograph and the network's image: one way there and one way back, for training and inference alike.

Places are in pixels of an image, (row, column), where (0, 0) is the outer corner of the first one.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from models.preparation import ImagePreprocessing
from models.preprocessing import normalised

Values = NDArray[np.float32]
Shape = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Frame:
    """A box of whole pixels in an image."""

    top: int
    left: int
    rows: int
    columns: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its pixels, as an index."""
        return slice(self.top, self.top + self.rows), slice(self.left, self.left + self.columns)

    @property
    def shape(self) -> Shape:
        """Rows and columns."""
        return self.rows, self.columns


@dataclass(frozen=True, slots=True)
class Fit:
    """Which box of a radiograph lies in which box of the network's image."""

    source_shape: Shape
    network_shape: Shape
    source: Frame
    network: Frame


def fit(shape: Shape, preprocessing: ImagePreprocessing) -> Fit:
    """How a radiograph of that shape lies in the network's image."""
    wanted = preprocessing.rows, preprocessing.columns
    if preprocessing.fit == "pad":
        return Fit(shape, wanted, Frame(0, 0, *shape), _middle(wanted, shape))
    if preprocessing.fit == "crop":
        return Fit(shape, wanted, _middle(shape, wanted), Frame(0, 0, *wanted))
    return Fit(shape, wanted, Frame(0, 0, *shape), Frame(0, 0, *wanted))


def to_image(values: Values, preprocessing: ImagePreprocessing) -> Values:
    """A radiograph, (row, column), as the network wants it; what it does not fill is as dark as its darkest pixel."""
    placed = fit((values.shape[0], values.shape[1]), preprocessing)
    inside = normalised(resized(values[placed.source.slices], placed.network.shape), preprocessing.intensity)
    image = np.full(placed.network_shape, inside.min(), dtype=np.float32)
    image[placed.network.slices] = inside
    return image


def to_radiograph(evidence: Values, shape: Shape, preprocessing: ImagePreprocessing) -> Values:
    """What the network says of places, (rows, columns) over its whole image, on a radiograph of that shape.

    Where the network has not looked, it is 0.
    """
    placed = fit(shape, preprocessing)
    over_image = resized(evidence, placed.network_shape)
    values = np.zeros(shape, dtype=np.float32)
    values[placed.source.slices] = resized(over_image[placed.network.slices], placed.source.shape)
    return values


def resized(values: Values, shape: Shape) -> Values:
    """The same picture in other pixels, (row, column): linear, and smoothed first where pixels become larger."""
    picture = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))[None, None]
    fitted = F.interpolate(picture, size=shape, mode="bilinear", align_corners=False, antialias=True)
    return np.asarray(fitted[0, 0].numpy())


def _middle(around: Shape, shape: Shape) -> Frame:
    """The largest box in the middle of `around` that has the proportions of `shape`."""
    scale = min(around[0] / shape[0], around[1] / shape[1])
    rows, columns = (max(1, min(outer, round(length * scale))) for outer, length in zip(around, shape, strict=True))
    return Frame((around[0] - rows) // 2, (around[1] - columns) // 2, rows, columns)
