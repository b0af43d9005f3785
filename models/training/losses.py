"""What training makes small."""

import torch
from torch.nn import functional as F

SMOOTHING = 1.0  # voxels; keeps a structure that is absent from the batch from dividing by zero


def dice_and_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """One minus the mean soft Dice of the structures over the batch, plus cross-entropy over all classes.

    Logits (n, classes, z, y, x), labels (n, z, y, x) of int64; a scalar.
    """
    likely = logits.softmax(1)
    truth = F.one_hot(labels, logits.shape[1]).movedim(-1, 1).to(likely.dtype)
    axes = (0, 2, 3, 4)
    overlap = 2 * (likely * truth).sum(axes) + SMOOTHING
    size = likely.sum(axes) + truth.sum(axes) + SMOOTHING
    return 1 - (overlap / size)[1:].mean() + F.cross_entropy(logits, labels)
