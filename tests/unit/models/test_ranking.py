"""ROC and precision against recall: by hand, by brute force, and beside MONAI, ties included."""

import numpy as np
import pytest
import torch
from monai.metrics import compute_average_precision, compute_roc_auc
from numpy.typing import NDArray

from models.training.ranking import area_under_roc, average_precision, precision_recall, roc

Sample = tuple[NDArray[np.bool_], NDArray[np.float64]]


def sample(seed: int, cases: int = 80, levels: int = 7) -> Sample:
    """Cases with few distinct probabilities: most are tied."""
    rng = np.random.default_rng(seed)
    truth = rng.random(cases) < 0.35
    probabilities = np.clip(np.round(rng.random(cases) * levels + 2 * truth), 0, levels) / levels
    return truth, probabilities


def given(truth: list[int], probabilities: list[float]) -> Sample:
    return np.array(truth, dtype=np.bool_), np.array(probabilities)


def test_ties_count_half() -> None:
    assert area_under_roc(*given([1, 0], [0.5, 0.5])) == 0.5
    assert area_under_roc(*given([1, 0, 1, 0], [0.9, 0.5, 0.5, 0.1])) == pytest.approx(3.5 / 4)


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]])
def test_the_order_of_tied_cases_plays_no_part(order: list[int]) -> None:
    truth, probabilities = given([1, 0, 1, 0], [0.5, 0.5, 0.5, 0.5])
    assert area_under_roc(truth[order], probabilities) == 0.5
    assert average_precision(truth[order], probabilities) == 0.5


@pytest.mark.parametrize("seed", range(5))
def test_the_area_is_the_share_of_pairs_in_the_right_order(seed: int) -> None:
    truth, probabilities = sample(seed)
    pairs = probabilities[truth][:, None] - probabilities[~truth][None, :]
    assert area_under_roc(truth, probabilities) == pytest.approx(float(np.mean((pairs > 0) + 0.5 * (pairs == 0))))


@pytest.mark.parametrize("seed", range(5))
def test_the_area_is_that_under_the_curve_and_that_of_monai(seed: int) -> None:
    truth, probabilities = sample(seed)
    curve = roc(truth, probabilities)
    ours = area_under_roc(truth, probabilities)
    assert ours == pytest.approx(float(np.trapezoid(curve.y, curve.x)))
    tensors = torch.from_numpy(probabilities), torch.from_numpy(truth.astype(np.int64))
    assert ours == pytest.approx(float(compute_roc_auc(*tensors)))


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_that_of_monai(seed: int) -> None:
    truth, probabilities = sample(seed)
    tensors = torch.from_numpy(probabilities), torch.from_numpy(truth.astype(np.int64))
    assert average_precision(truth, probabilities) == pytest.approx(float(compute_average_precision(*tensors)))


def test_average_precision_is_that_of_a_calculation_by_hand() -> None:
    truth, probabilities = given([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.6])
    assert average_precision(truth, probabilities) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    curve = precision_recall(truth, probabilities)
    assert curve.x.tolist() == [0.5, 0.5, 1.0, 1.0]
    assert curve.y.tolist() == pytest.approx([1, 1 / 2, 2 / 3, 1 / 2])


def test_the_curve_begins_without_a_positive_and_ends_with_nothing_else() -> None:
    curve = roc(*given([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.6]))
    assert curve.thresholds.tolist() == [np.inf, 0.9, 0.8, 0.7, 0.6]
    assert curve.x.tolist() == [0, 0, 0.5, 0.5, 1]
    assert curve.y.tolist() == [0, 0.5, 0.5, 1, 1]


@pytest.mark.parametrize(("truth", "complaint"), [([0, 0], "none of 2 cases"), ([1, 1], "all of 2 cases")])
def test_one_kind_of_case_alone_has_no_roc_curve(truth: list[int], complaint: str) -> None:
    for function in (area_under_roc, roc):
        with pytest.raises(ValueError, match=complaint):
            function(*given(truth, [0.1, 0.2]))


def test_where_nothing_is_true_there_is_no_precision() -> None:
    with pytest.raises(ValueError, match="nothing to find"):
        average_precision(*given([0, 0], [0.1, 0.2]))
