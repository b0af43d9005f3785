"""Segmentation in 3-D patches: a window slides over the volume and overlapping answers are blended."""

from itertools import chain, combinations

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray
from scipy.ndimage import label as connected_components
from torch import nn

from models.manifest import Inference
from models.volume import LabelMap

FIRST_SPATIAL_AXIS = 2
WINDOWS_AT_ONCE = 2


def probabilities(network: nn.Module, values: NDArray[np.float32], inference: Inference) -> NDArray[np.float32]:
    """Class probabilities on the network's grid, averaged over mirrored copies: (z, y, x) -> (classes, z, y, x).

    Raises ValueError when the network answers with anything that is not a finite number.
    """
    volume = torch.from_numpy(np.ascontiguousarray(values))[None, None].to(next(network.parameters()).device)
    mirrors = _subsets(inference.mirror_axes)
    with torch.inference_mode():
        mean = _mirrored_answer(network, volume, inference, mirrors[0]) / len(mirrors)
        for axes in mirrors[1:]:
            mean += _mirrored_answer(network, volume, inference, axes) / len(mirrors)
    if not bool(torch.isfinite(mean).all()):
        raise ValueError("the network answered with values that are not finite numbers")
    return np.asarray(mean[0].cpu().numpy(), dtype=np.float32)


def keep_largest_components(label_map: LabelMap, labels: tuple[int, ...]) -> LabelMap:
    """The label map in which each of these labels keeps only its largest piece (faces connect)."""
    kept = label_map.labels.copy()
    for value in labels:
        pieces, count = connected_components(label_map.labels == value)
        if count > 1:
            largest = 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
            kept[(pieces != largest) & (pieces > 0)] = 0
    return LabelMap(label_map.grid, kept)


def _mirrored_answer(
    network: nn.Module, volume: torch.Tensor, inference: Inference, axes: tuple[int, ...]
) -> torch.Tensor:
    flipped = [axis + FIRST_SPATIAL_AXIS for axis in axes]
    answer: torch.Tensor = sliding_window_inference(
        volume.flip(flipped),
        roi_size=inference.patch,
        sw_batch_size=WINDOWS_AT_ONCE,
        predictor=network,
        overlap=inference.overlap,
        mode="gaussian",
        padding_mode="replicate",
    )
    return answer.flip(flipped).softmax(1)


def _subsets(axes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Every choice of axes, none first: the copies that are averaged."""
    return list(chain.from_iterable(combinations(axes, count) for count in range(len(axes) + 1)))
