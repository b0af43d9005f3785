"""The modified Laplace log likelihood, by hand and at its two bounds."""

import math

import numpy as np
import pytest

from models.training.laplace import laplace_log_likelihood


def one(truth: float, found: float, sigma: float) -> float:
    return float(laplace_log_likelihood(*(np.array([value]) for value in (truth, found, sigma)))[0])


@pytest.mark.parametrize(
    ("truth", "found", "sigma", "wanted"),
    [
        pytest.param(3000, 2800, 200, -math.sqrt(2) - math.log(math.sqrt(2) * 200), id="an error of one sigma"),
        pytest.param(3000, 3000, 10, -math.log(math.sqrt(2) * 70), id="more certain than measuring is"),
        pytest.param(3000, 500, 100, -math.sqrt(2) * 10 - math.log(math.sqrt(2) * 100), id="far off"),
        pytest.param(2000, 2070, 70, -math.sqrt(2) - math.log(math.sqrt(2) * 70), id="at the bound"),
    ],
)
def test_it_is_what_the_formula_gives(truth: float, found: float, sigma: float, wanted: float) -> None:
    assert one(truth, found, sigma) == pytest.approx(wanted)


def test_too_much_and_too_little_cost_the_same() -> None:
    assert one(2000, 2300, 150) == one(2000, 1700, 150)


def test_the_best_sigma_is_the_square_root_of_two_times_the_error() -> None:
    sigmas = np.arange(70.0, 1000.0)
    scores = laplace_log_likelihood(np.full_like(sigmas, 2000), np.full_like(sigmas, 2300), sigmas)
    assert sigmas[scores.argmax()] == pytest.approx(math.sqrt(2) * 300, abs=1)
