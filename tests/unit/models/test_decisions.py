"""What a yes or a no is worth: by hand, and beside MONAI."""

import math

import numpy as np
import pytest
import torch
from monai.metrics import compute_confusion_matrix_metric, get_confusion_matrix

from models.training.decisions import (
    Counts,
    confusion_matrix,
    counts,
    odds,
    post_test_odds,
    post_test_probability,
)

HUNDRED = Counts(true_positives=40, false_positives=10, false_negatives=10, true_negatives=40)


def test_cases_are_counted_by_truth_and_answer() -> None:
    truth = np.array([1, 1, 1, 0, 0, 0, 0], dtype=np.bool_)
    answers = np.array([1, 1, 0, 1, 0, 0, 0], dtype=np.bool_)
    assert counts(truth, answers) == Counts(2, 1, 1, 3)


def test_shares_and_ratios_are_those_of_a_calculation_by_hand() -> None:
    of = Counts(true_positives=90, false_positives=30, false_negatives=10, true_negatives=870)
    assert of.sensitivity == pytest.approx(0.9)
    assert of.specificity == pytest.approx(870 / 900)
    assert of.positive_predictive_value == pytest.approx(0.75)
    assert of.negative_predictive_value == pytest.approx(870 / 880)
    assert of.accuracy == pytest.approx(0.96)
    assert of.positive_likelihood_ratio == pytest.approx(27.0)
    assert of.negative_likelihood_ratio == pytest.approx(0.1 / (870 / 900))


@pytest.mark.parametrize("seed", range(3))
def test_shares_are_those_of_monai(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, answers = rng.random(60) < 0.4, rng.random(60) < 0.5
    one_hot = [torch.from_numpy(each.astype(np.float32))[:, None] for each in (answers, truth)]
    theirs = get_confusion_matrix(*one_hot).sum(0)
    of = counts(truth, answers)
    for name, ours in {
        "sensitivity": of.sensitivity,
        "specificity": of.specificity,
        "precision": of.positive_predictive_value,
        "negative predictive value": of.negative_predictive_value,
        "accuracy": of.accuracy,
    }.items():
        assert ours == pytest.approx(float(compute_confusion_matrix_metric(name, theirs)), rel=1e-5), name


def test_nothing_over_nothing_is_not_known() -> None:
    of = Counts(true_positives=0, false_positives=2, false_negatives=0, true_negatives=8)
    assert of.sensitivity is None
    assert of.positive_likelihood_ratio is None
    assert Counts(0, 0, 5, 5).positive_predictive_value is None
    assert Counts(0, 0, 5, 5).positive_likelihood_ratio is None  # 0 of 5 against 0 of 5


def test_a_positive_answer_that_never_errs_has_an_infinite_likelihood_ratio() -> None:
    of = Counts(true_positives=4, false_positives=0, false_negatives=1, true_negatives=5)
    assert of.positive_likelihood_ratio == math.inf
    assert post_test_probability(0.01, math.inf) == 1.0


def test_bayes_theorem_gives_the_predictive_values_at_the_prevalence_of_the_cases() -> None:
    ratio, other = HUNDRED.positive_likelihood_ratio, HUNDRED.negative_likelihood_ratio
    assert ratio is not None
    assert other is not None
    assert post_test_probability(0.5, ratio) == pytest.approx(HUNDRED.positive_predictive_value)
    assert 1 - post_test_probability(0.5, other) == pytest.approx(HUNDRED.negative_predictive_value)


def test_a_rare_disease_stays_unlikely_after_a_positive_answer() -> None:
    ratio = HUNDRED.positive_likelihood_ratio  # 0.8 / 0.2
    assert ratio == pytest.approx(4.0)
    assert post_test_odds(0.01, 4.0) == pytest.approx(4 / 99)
    assert post_test_probability(0.01, 4.0) == pytest.approx(4 / 103)


@pytest.mark.parametrize("prior", [0.0, 1.0, -0.1, 1.1])
def test_certainty_is_no_prior(prior: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        post_test_odds(prior, 2.0)


def test_odds_are_a_probability_over_the_rest() -> None:
    assert odds(0.75) == pytest.approx(3.0)
    assert odds(1.0) == math.inf


def test_a_confusion_matrix_has_the_truth_in_its_rows() -> None:
    matrix = confusion_matrix([0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 2, 0], classes=3)
    assert matrix.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 2]]


def test_a_class_outside_of_the_matrix_is_refused() -> None:
    with pytest.raises(ValueError, match="are not both classes of 0 to 1"):
        confusion_matrix([0, 2], [0, 0], classes=2)
