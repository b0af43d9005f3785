"""How well probabilities tell those that have something from those that do not, at every threshold at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Answers = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A curve over thresholds from the highest, each (n,): an answer is positive at the threshold and above."""

    thresholds: Values
    x: Values
    y: Values


def roc(truth: Answers, probabilities: Values) -> Curve:
    """False positive rate (x) and sensitivity (y); equal probabilities are one step, the first step is no positive.

    Raises ValueError unless both kinds of case are there.
    """
    _require_both(truth)
    thresholds, true_positives, false_positives = _steps(truth, probabilities)
    positives = int(np.count_nonzero(truth))
    return Curve(
        np.concatenate([[np.inf], thresholds]),
        np.concatenate([[0.0], false_positives / (truth.size - positives)]),
        np.concatenate([[0.0], true_positives / positives]),
    )


def area_under_roc(truth: Answers, probabilities: Values) -> float:
    """The chance that one that has it is rated above one that has not, ties counting half (Mann-Whitney).

    Raises ValueError unless both kinds of case are there.
    """
    _require_both(truth)
    positives = int(np.count_nonzero(truth))
    above = float(_ranks(probabilities)[truth].sum()) - positives * (positives + 1) / 2
    return above / (positives * (truth.size - positives))


def precision_recall(truth: Answers, probabilities: Values) -> Curve:
    """Recall (x) and precision (y); equal probabilities are one step. Raises ValueError unless something is true."""
    _require_some(truth)
    thresholds, true_positives, false_positives = _steps(truth, probabilities)
    recall = true_positives / int(np.count_nonzero(truth))
    return Curve(thresholds, recall, true_positives / (true_positives + false_positives))


def average_precision(truth: Answers, probabilities: Values) -> float:
    """The precision at each step times the recall that it adds: no interpolation, which would flatter.

    Raises ValueError unless something is true.
    """
    curve = precision_recall(truth, probabilities)
    return float(np.sum(np.diff(curve.x, prepend=0.0) * curve.y))


def _ranks(values: Values) -> Values:
    """1 for the smallest; equal values share the mean of their ranks."""
    _, which, sizes = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(sizes) - (sizes - 1) / 2)[which])


def _steps(truth: Answers, probabilities: Values) -> tuple[Values, Values, Values]:
    """Distinct probabilities from the highest, and the true and false positives at each of them and above."""
    order = np.argsort(-probabilities, kind="stable")
    ordered = probabilities[order]
    last_of_equals = np.append(np.flatnonzero(np.diff(ordered)), ordered.size - 1)
    true_positives = np.cumsum(truth[order])[last_of_equals].astype(np.float64)
    return ordered[last_of_equals], true_positives, last_of_equals + 1 - true_positives


def _require_some(truth: Answers) -> None:
    if not truth.any():
        raise ValueError(f"none of {truth.size} cases has it: there is nothing to find")


def _require_both(truth: Answers) -> None:
    _require_some(truth)
    if truth.all():
        raise ValueError(f"all of {truth.size} cases have it: there is nothing to tell apart")
