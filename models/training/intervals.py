"""How far a figure would move with other patients: bootstrap intervals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
SEED = 1
LEVEL = 0.95
LEAST_DEFINED = 0.5  # of the draws; with fewer the interval would be that of the lucky ones

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure, and the interval that holds it in 95 of 100 resamplings; None where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Patients:
    """Rows ordered by patient, and where those of each begin and how many they are."""

    rows: Rows
    starts: Rows
    sizes: Rows


def bootstrap(
    statistic: Callable[[Rows], float | None], patients: Sequence[str], draws: int = DRAWS, seed: int = SEED
) -> Interval:
    """A statistic over rows, with its percentile interval over resampled patients: the same for the same seed.

    `patients` names whose each row is. Patients are drawn with replacement, each with all of their rows, because rows
    of one patient are alike. A draw in which the statistic is None is left out; of one patient alone nothing is known.
    """
    value = statistic(np.arange(len(patients), dtype=np.intp))
    grouped = _patients(patients)
    if value is None or grouped.sizes.size < 2:
        return Interval(value)
    rng = np.random.default_rng(seed)
    drawn = (statistic(_resampled(grouped, rng)) for _ in range(draws))
    defined = [each for each in drawn if each is not None]
    if len(defined) < LEAST_DEFINED * draws:
        return Interval(value)
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low, high = np.quantile(defined, ends, method="inverted_cdf")  # one of the draws: some ratios are infinite
    return Interval(value, float(low), float(high))


def _patients(names: Sequence[str]) -> _Patients:
    _, whose = np.unique(np.array(names), return_inverse=True)
    sizes = np.bincount(whose)
    return _Patients(np.argsort(whose, kind="stable"), np.cumsum(sizes) - sizes, sizes)


def _resampled(patients: _Patients, rng: np.random.Generator) -> Rows:
    drawn = rng.integers(patients.sizes.size, size=patients.sizes.size)
    sizes = patients.sizes[drawn]
    before = np.cumsum(sizes) - sizes
    return np.asarray(patients.rows[np.repeat(patients.starts[drawn] - before, sizes) + np.arange(sizes.sum())])
