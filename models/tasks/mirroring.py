"""Test-time mirroring: the mean of what a model says of mirrored copies, each turned back."""

from collections.abc import Callable
from itertools import chain, combinations

import numpy as np
import torch
from numpy.typing import NDArray


def mirrored_mean(
    answer: Callable[[torch.Tensor], torch.Tensor], volume: torch.Tensor, axes: tuple[int, ...]
) -> NDArray[np.float32]:
    """The mean over every choice of `axes` to mirror along: volume (z, y, x), answers (classes, z, y, x).

    Answers are probabilities in memory of their own: they are averaged in place.

    Raises ValueError when an answer has anything in it that is not a finite number.
    """
    mirrors = _subsets(axes)
    with torch.inference_mode():
        mean = _mirrored_answer(answer, volume, mirrors[0]).div_(len(mirrors))
        for chosen in mirrors[1:]:
            mean += _mirrored_answer(answer, volume, chosen).div_(len(mirrors))
    total = mean.sum(dtype=torch.float32)  # of probabilities: finite exactly where each of them is, in no memory
    if not bool(total.isfinite()):
        raise ValueError("the network answered with values that are not finite numbers")
    return np.asarray(mean.cpu().numpy(), dtype=np.float32)


def _mirrored_answer(
    answer: Callable[[torch.Tensor], torch.Tensor], volume: torch.Tensor, axes: tuple[int, ...]
) -> torch.Tensor:
    if not axes:  # an answer may be as large as all the rest together: it is not copied for nothing
        return answer(volume)
    return answer(volume.flip(axes)).flip([axis + 1 for axis in axes])


def _subsets(axes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Every choice of axes, none first: the copies that are averaged."""
    return list(chain.from_iterable(combinations(axes, count) for count in range(len(axes) + 1)))
