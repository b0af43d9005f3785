"""Segmentation in 2-D: slices along one axis, each with its neighbours as channels, in a window about the middle."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.sections import SliceInference
from models.tasks.mirroring import mirrored_mean

SLICES_AT_ONCE = 16


def probabilities(
    network: nn.Module, values: NDArray[np.float32], inference: SliceInference, window: tuple[int, int]
) -> NDArray[np.float32]:
    """Class probabilities on the network's grid, averaged over mirrored copies: (z, y, x) -> (classes, z, y, x).

    Raises ValueError when the network answers with anything that is not a finite number.
    """
    size = window_size(values.shape, inference.axis, window)
    seen = torch.from_numpy(centred(values, size)).to(next(network.parameters()).device)

    def answer(volume: torch.Tensor) -> torch.Tensor:
        return _answer(network, volume, inference)

    inside = mirrored_mean(answer, seen, inference.mirror_axes)
    whole = np.zeros((len(inside), *values.shape), dtype=np.float32)
    whole[0] = 1.0
    there, here = overlap(values.shape, size)
    whole[(slice(None), *there)] = inside[(slice(None), *here)]
    return whole


def window_size(shape: tuple[int, ...], axis: int, window: tuple[int, int]) -> tuple[int, int, int]:
    """What is seen of a volume of this shape: all its slices along the axis, and of each the window."""
    size = list(window)
    size.insert(axis, shape[axis])
    return size[0], size[1], size[2]


def centred(values: NDArray[np.float32], size: tuple[int, int, int]) -> NDArray[np.float32]:
    """The middle of the values cut to `size`; where they are smaller, their outermost ones go on."""
    there, here = overlap(values.shape, size)
    margins = [(inner.start, wide - inner.stop) for inner, wide in zip(here, size, strict=True)]
    return np.pad(values[there], margins, mode="edge")


def stacked(volume: torch.Tensor, axis: int, neighbours: int) -> torch.Tensor:
    """Each slice with its neighbours, the outermost ones repeated: (n, 2 * neighbours + 1, row, column)."""
    slices = volume.movedim(axis, 0)
    offsets = torch.arange(-neighbours, neighbours + 1)
    wanted = torch.arange(len(slices))[:, None] + offsets
    return slices[wanted.clamp(0, len(slices) - 1)]


def _answer(network: nn.Module, volume: torch.Tensor, inference: SliceInference) -> torch.Tensor:
    batches = torch.split(stacked(volume, inference.axis, inference.neighbours), SLICES_AT_ONCE)
    likely = torch.cat([network(batch).softmax(1) for batch in batches])
    return likely.movedim(1, 0).movedim(1, inference.axis + 1)


def overlap(shape: tuple[int, ...], size: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where the middle of a volume lies that a centred box of this size has of it: in the volume, and in the box."""
    there, here = [], []
    for count, wide in zip(shape, size, strict=True):
        common = min(count, wide)
        there.append(slice((count - common) // 2, (count - common) // 2 + common))
        here.append(slice((wide - common) // 2, (wide - common) // 2 + common))
    return tuple(there), tuple(here)
