"""What training makes small."""

import math
from collections.abc import Callable, Mapping

import torch
from torch.nn import functional as F

from models.edges import NEVER, expectation
from models.training.laplace import LARGEST_ERROR_ML, LEAST_SIGMA_ML
from models.training.recipe import Loss

BLUR = 1.0  # voxels; one deviation of where an edge is said to be while it is learned
SMOOTHING = 1.0  # voxels; keeps a structure that is absent from the batch from dividing by zero


def dice(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """One minus the mean soft Dice of the structures over the batch.

    Logits (n, classes, ...), labels (n, ...) of int64, ... being z, y, x, or y, x in 2-D; a scalar.
    """
    likely = logits.softmax(1)
    truth = F.one_hot(labels, logits.shape[1]).movedim(-1, 1).to(likely.dtype)
    axes = (0, *range(2, logits.ndim))
    overlap = 2 * (likely * truth).sum(axes) + SMOOTHING
    size = likely.sum(axes) + truth.sum(axes) + SMOOTHING
    return 1 - (overlap / size)[1:].mean()


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The mean cross-entropy over all classes; shapes as those of `dice`."""
    return F.cross_entropy(logits, labels)


def dice_and_cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The sum of both; shapes as those of `dice`."""
    return dice(logits, labels) + cross_entropy(logits, labels)


def bce(logits: torch.Tensor, truths: torch.Tensor) -> torch.Tensor:
    """The mean binary cross-entropy of findings that may be there together; both (n, findings), truths 0 to 1."""
    return F.binary_cross_entropy_with_logits(logits, truths)


def mse(answers: torch.Tensor, truths: torch.Tensor) -> torch.Tensor:
    """The mean squared difference of two tensors of one shape."""
    return F.mse_loss(answers, truths)


def laplace(answers: torch.Tensor, truths: torch.Tensor) -> torch.Tensor:
    """The mean of -log p(truth) under Laplace distributions of which answers are median and logarithm of the scale.

    Answers (n, 2), truths (n,). The scale that fits the errors makes this smallest.
    """
    median, log_scale = answers.unbind(1)
    return (torch.log(torch.tensor(2.0)) + log_scale + (truths - median).abs() * torch.exp(-log_scale)).mean()


def modified_laplace(answers: torch.Tensor, truths: torch.Tensor) -> torch.Tensor:
    """The mean of the negative modified Laplace log likelihood (models/training/laplace.py), in ml.

    Answers (n, 2), what is found and its sigma; truths (n,).
    """
    found, sigma = answers.unbind(1)
    clipped = sigma.clamp(min=LEAST_SIGMA_ML)
    error = (truths - found).abs().clamp(max=LARGEST_ERROR_ML)
    return (math.sqrt(2.0) * error / clipped + torch.log(math.sqrt(2.0) * clipped)).mean()


def edges(answers: torch.Tensor, truths: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of where edges are, and how many voxels the expected places are from the true ones, smooth L1.

    Answers (..., longest) as of models/edges.py, truths (...) in voxels; one that is no number is left out.
    """
    there = torch.isfinite(truths)
    answers, truths = answers[there], truths[there]
    if not len(truths):
        return answers.sum()  # of nothing: 0, with a way back
    index = torch.arange(answers.shape[-1], device=answers.device)
    blurred = -((index - truths[:, None]) ** 2) / (2 * BLUR**2)
    wanted = blurred.masked_fill(answers <= NEVER, -math.inf).softmax(-1)
    return F.smooth_l1_loss(expectation(answers)[0], truths) - (wanted * answers).sum(-1).mean()


Function = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
OF_LABELS: Mapping[Loss, Function] = {  # what a network that marks structures may be taught by
    Loss.DICE: dice,
    Loss.CROSS_ENTROPY: cross_entropy,
    Loss.DICE_AND_CROSS_ENTROPY: dice_and_cross_entropy,
}
