"""Segmentation in 3-D patches: a window slides over the volume and overlapping answers are blended."""

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray
from scipy.ndimage import label as connected_components
from torch import nn

from models.sections import Inference
from models.tasks.mirroring import mirrored_mean
from models.volume import LabelMap

WINDOWS_AT_ONCE = 2


def probabilities(network: nn.Module, values: NDArray[np.float32], inference: Inference) -> NDArray[np.float32]:
    """Class probabilities on the network's grid, averaged over mirrored copies: (z, y, x) -> (classes, z, y, x).

    Raises ValueError when the network answers with anything that is not a finite number.
    """
    volume = torch.from_numpy(np.ascontiguousarray(values)).to(next(network.parameters()).device)

    def answer(mirrored: torch.Tensor) -> torch.Tensor:
        return _answer(network, mirrored, inference)

    return mirrored_mean(answer, volume, inference.mirror_axes)


def keep_largest_components(label_map: LabelMap, labels: tuple[int, ...]) -> LabelMap:
    """The label map in which each of these labels keeps only its largest piece (faces connect)."""
    kept = label_map.labels.copy()
    for value in labels:
        pieces, count = connected_components(label_map.labels == value)
        if count > 1:
            largest = 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
            kept[(pieces != largest) & (pieces > 0)] = 0
    return LabelMap(label_map.grid, kept)


def _answer(network: nn.Module, volume: torch.Tensor, inference: Inference) -> torch.Tensor:
    answer: torch.Tensor = sliding_window_inference(
        volume[None, None],
        roi_size=inference.patch,
        sw_batch_size=WINDOWS_AT_ONCE,
        predictor=network,
        overlap=inference.overlap,
        mode=inference.blend,
        padding_mode=inference.padding,
    )
    return answer.softmax(1)[0]
