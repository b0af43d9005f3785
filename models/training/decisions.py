"""What a yes or a no is worth: counts against the truth, and the probabilities that follow from them.

A figure that would divide nothing by nothing is None: it is not known, which is neither good nor bad.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Answers = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Counts:
    """Cases by truth and answer."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    @property
    def sensitivity(self) -> float | None:
        """The share of those that have it who are found."""
        return _share(self.true_positives, self.false_negatives)

    @property
    def specificity(self) -> float | None:
        """The share of those that do not have it who are left alone."""
        return _share(self.true_negatives, self.false_positives)

    @property
    def positive_predictive_value(self) -> float | None:
        """The share of the positive answers that are right: at the prevalence of these cases, and no other."""
        return _share(self.true_positives, self.false_positives)

    @property
    def negative_predictive_value(self) -> float | None:
        """The share of the negative answers that are right: at the prevalence of these cases, and no other."""
        return _share(self.true_negatives, self.false_negatives)

    @property
    def accuracy(self) -> float | None:
        """The share of the answers that are right."""
        return _share(self.true_positives + self.true_negatives, self.false_positives + self.false_negatives)

    @property
    def positive_likelihood_ratio(self) -> float | None:
        """How many times likelier a positive answer is where it is than where it is not; inf where it never errs."""
        if self.sensitivity is None or self.specificity is None:
            return None
        return _over(self.sensitivity, 1 - self.specificity)

    @property
    def negative_likelihood_ratio(self) -> float | None:
        """How many times likelier a negative answer is where it is than where it is not; 0 where it never errs."""
        if self.sensitivity is None or self.specificity is None:
            return None
        return _over(1 - self.sensitivity, self.specificity)


def counts(truth: Answers, answers: Answers) -> Counts:
    """Answers against the truth, both (n,)."""
    return Counts(
        true_positives=int(np.count_nonzero(truth & answers)),
        false_positives=int(np.count_nonzero(~truth & answers)),
        false_negatives=int(np.count_nonzero(truth & ~answers)),
        true_negatives=int(np.count_nonzero(~truth & ~answers)),
    )


def confusion_matrix(truth: Sequence[int], answers: Sequence[int], classes: int) -> NDArray[np.int64]:
    """Cases by true class (row) and answered class (column), (classes, classes); classes count from 0.

    Raises ValueError for a class outside of them, and for unequal numbers of truths and answers.
    """
    matrix = np.zeros((classes, classes), dtype=np.int64)
    for true, answer in zip(truth, answers, strict=True):
        if not (0 <= true < classes and 0 <= answer < classes):
            raise ValueError(f"{true} and {answer} are not both classes of 0 to {classes - 1}")
        matrix[true, answer] += 1
    return matrix


def odds(probability: float) -> float:
    """A probability as odds; inf for certainty."""
    return probability / (1 - probability) if probability < 1 else math.inf


def post_test_odds(prior: float, likelihood_ratio: float) -> float:
    """The odds after an answer, from the probability before it: Bayes' theorem in odds.

    Raises ValueError for a prior that is not between 0 and 1: where something is certain, no answer moves it.
    """
    if not 0 < prior < 1:
        raise ValueError(f"a prior probability lies between 0 and 1, not at {prior:g}")
    return odds(prior) * likelihood_ratio


def post_test_probability(prior: float, likelihood_ratio: float) -> float:
    """The probability after an answer, from the one before it. Raises as `post_test_odds`."""
    after = post_test_odds(prior, likelihood_ratio)
    return 1.0 if math.isinf(after) else after / (1 + after)


def _share(part: int, rest: int) -> float | None:
    return part / (part + rest) if part + rest else None


def _over(numerator: float, denominator: float) -> float | None:
    if denominator:
        return numerator / denominator
    return math.inf if numerator else None
