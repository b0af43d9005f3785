"""Whether what was said comes true: by hand, and beside MONAI."""

import numpy as np
import pytest
import torch
from monai.metrics.calibration import calibration_binning

from models.training.calibration import brier_score, expected_calibration_error, reliability


def test_each_bin_holds_what_was_said_and_what_was_true() -> None:
    truth = np.array([0, 1, 1, 1], dtype=np.bool_)
    bins = reliability(truth, np.array([0.1, 0.3, 0.7, 1.0]), bins=2)
    assert [(each.low, each.high, each.cases) for each in bins] == [(0.0, 0.5, 2), (0.5, 1.0, 2)]
    assert [each.mean_probability for each in bins] == pytest.approx([0.2, 0.85])
    assert [each.share_true for each in bins] == [0.5, 1.0]
    assert expected_calibration_error(truth, np.array([0.1, 0.3, 0.7, 1.0]), bins=2) == pytest.approx(0.225)


def test_a_bin_without_cases_says_nothing_and_counts_nothing() -> None:
    truth, probabilities = np.array([True, True]), np.array([0.95, 0.95])
    empty = reliability(truth, probabilities)[0]
    assert (empty.cases, empty.mean_probability, empty.share_true) == (0, None, None)
    assert expected_calibration_error(truth, probabilities) == pytest.approx(0.05)


@pytest.mark.parametrize("seed", range(3))
def test_bins_are_those_of_monai(seed: int) -> None:
    rng = np.random.default_rng(seed)
    probabilities = rng.random(200)
    truth = rng.random(200) < probabilities**2
    tensors = (torch.from_numpy(each.astype(np.float64))[None, None] for each in (probabilities, truth))
    said, true, cases = (each[0, 0].numpy() for each in calibration_binning(*tensors, num_bins=10))
    ours = reliability(truth, probabilities)
    assert [each.mean_probability for each in ours] == pytest.approx(said.tolist())
    assert [each.share_true for each in ours] == pytest.approx(true.tolist())
    error = float(np.sum(cases * np.abs(said - true)) / 200)
    assert expected_calibration_error(truth, probabilities) == pytest.approx(error)


def test_always_saying_half_earns_a_quarter() -> None:
    assert brier_score(np.array([True, False, True]), np.full(3, 0.5)) == 0.25
    assert brier_score(np.array([True, False]), np.array([1.0, 0.0])) == 0.0
    assert brier_score(np.array([True, False]), np.array([0.8, 0.4])) == pytest.approx((0.04 + 0.16) / 2)
