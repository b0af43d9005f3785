"""What training makes small, against what it is by definition."""

import numpy as np
import pytest
import torch

from models.training.losses import OF_LABELS, bce, cross_entropy, dice, dice_and_cross_entropy, laplace, mse
from models.training.recipe import Loss

LOGITS = torch.tensor([[[2.0, -1.0, 0.5, 0.0]], [[-1.0, 1.0, 0.5, 3.0]]]).movedim(0, 1)[..., None]  # (1, 2, 4, 1)
LABELS = torch.tensor([[[0], [1], [1], [0]]])


def test_dice_is_one_minus_twice_the_overlap_of_the_likelihoods_over_the_sizes() -> None:
    likely = LOGITS.softmax(1)[0, 1, :, 0].numpy()
    truth = np.array([0, 1, 1, 0])
    expected = 1 - (2 * (likely * truth).sum() + 1) / (likely.sum() + truth.sum() + 1)
    assert float(dice(LOGITS, LABELS)) == pytest.approx(expected, abs=1e-6)


def test_cross_entropy_is_the_mean_of_minus_the_logarithm_of_the_likelihood_of_the_truth() -> None:
    likely = LOGITS.softmax(1)[0, :, :, 0].numpy()
    expected = -np.log(likely[[0, 1, 1, 0], range(4)]).mean()
    assert float(cross_entropy(LOGITS, LABELS)) == pytest.approx(expected, abs=1e-6)


def test_both_together_are_their_sum() -> None:
    both = float(dice_and_cross_entropy(LOGITS, LABELS))
    assert both == pytest.approx(float(dice(LOGITS, LABELS) + cross_entropy(LOGITS, LABELS)), abs=1e-6)


def test_dice_is_the_same_of_a_slice_and_of_a_volume_of_that_slice() -> None:
    assert float(dice(LOGITS[:, :, None], LABELS[:, None])) == pytest.approx(float(dice(LOGITS, LABELS)))


def test_bce_judges_every_finding_by_itself() -> None:
    logits, truths = torch.tensor([[0.3, -2.0]]), torch.tensor([[1.0, 0.0]])
    likely = 1 / (1 + np.exp(-np.array([0.3, -2.0])))
    expected = -(np.log(likely[0]) + np.log(1 - likely[1])) / 2
    assert float(bce(logits, truths)) == pytest.approx(expected, abs=1e-6)


def test_mse_is_the_mean_of_the_squared_differences() -> None:
    assert float(mse(torch.tensor([1.0, 4.0]), torch.tensor([0.0, 2.0]))) == pytest.approx(2.5)


def test_laplace_is_minus_the_logarithm_of_the_density() -> None:
    answers, truths = torch.tensor([[1.0, np.log(0.5)], [0.0, np.log(3.0)]]), torch.tensor([2.0, -1.0])
    density = np.array([np.exp(-1 / 0.5) / (2 * 0.5), np.exp(-1 / 3) / (2 * 3)])
    assert float(laplace(answers, truths)) == pytest.approx(float(-np.log(density).mean()), abs=1e-6)


def test_laplace_is_smallest_at_the_median_and_at_a_scale_that_is_the_mean_error() -> None:
    truths = torch.tensor([3.0, 5.0, 10.0])  # of the median 5, errors 2, 0 and 5

    def of(median: float, scale: float) -> float:
        return float(laplace(torch.tensor([[median, np.log(scale)]] * 3, dtype=torch.float32), truths))

    best = of(5.0, 7 / 3)
    assert all(best < of(*other) for other in ((4.5, 7 / 3), (5.5, 7 / 3), (5.0, 2.0), (5.0, 2.7)))


def test_labels_are_taught_by_losses_of_labels_alone() -> None:
    assert set(OF_LABELS) == {Loss.DICE, Loss.CROSS_ENTROPY, Loss.DICE_AND_CROSS_ENTROPY}
