"""Whether a probability of 0.8 comes true in 8 of 10 cases."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 10
Values = NDArray[np.float64]
Answers = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Bin:
    """The cases whose probability lies from `low` to below `high`; the last bin holds 1 too."""

    low: float
    high: float
    cases: int
    mean_probability: float | None  # None where there is no case
    share_true: float | None


def reliability(truth: Answers, probabilities: Values, bins: int = BINS) -> tuple[Bin, ...]:
    """Equally wide bins of probability with what was said and what was true in each; inputs are (n,)."""
    edges = np.linspace(0.0, 1.0, bins + 1).tolist()
    cases, said, true = _sums(truth, probabilities, bins)
    return tuple(
        Bin(low, high, int(n), float(of_said / n), float(of_true / n)) if n else Bin(low, high, 0, None, None)
        for low, high, n, of_said, of_true in zip(edges[:-1], edges[1:], cases, said, true, strict=True)
    )


def expected_calibration_error(truth: Answers, probabilities: Values, bins: int = BINS) -> float:
    """What was said less what was true, absolute, averaged over the bins by their cases (Guo et al., 2017)."""
    _, said, true = _sums(truth, probabilities, bins)
    return float(np.abs(said - true).sum()) / truth.size


def brier_score(truth: Answers, probabilities: Values) -> float:
    """The mean squared distance of a probability from what was true; 0.25 is what always saying 0.5 earns."""
    return float(np.mean((probabilities - truth) ** 2))


def _sums(truth: Answers, probabilities: Values, bins: int) -> tuple[Values, Values, Values]:
    """Of each bin: its cases, the sum of what was said, the sum of what was true."""
    edges = np.linspace(0.0, 1.0, bins + 1)
    which = np.clip(np.searchsorted(edges, probabilities, side="right") - 1, 0, bins - 1)
    once = np.ones(truth.size)
    cases, said, true = (np.bincount(which, weights, bins).astype(float) for weights in (once, probabilities, truth))
    return cases, said, true
