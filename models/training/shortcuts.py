"""What an answer rests on: the same images with their edges, or all but their edges, painted over."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]
EDGE = 1 / 8  # of the image, along each side


def without_edges(values: Values) -> Values:
    """The middle of the image; its mean is everywhere else."""
    return np.where(_middle(values.shape), values, values.mean(dtype=np.float64)).astype(np.float32)


def without_middle(values: Values) -> Values:
    """The edges of the image, where letters, borders and posture are; its mean is everywhere else."""
    return np.where(_middle(values.shape), values.mean(dtype=np.float64), values).astype(np.float32)


PAINTED_OVER: Mapping[str, Callable[[Values], Values]] = {"edges": without_edges, "middle": without_middle}


def _middle(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    rows, columns = (round(length * EDGE) for length in shape)
    inside = np.zeros(shape, dtype=bool)
    inside[rows : shape[0] - rows, columns : shape[1] - columns] = True
    return inside
