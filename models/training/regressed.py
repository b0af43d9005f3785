"""How good predictions are together with their stated uncertainty: every visit of each case, and the figures over all.

Of a visit only errors and changes are kept: the values themselves are the patient's, and may not be passed on.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.terms import Text
from models.training.figures import Evaluation, Figure, Identity, Metric, figure
from models.training.intervals import Rows, bootstrap
from models.training.laplace import laplace_log_likelihood

LAST = 3  # visits of a patient that the OSIC challenge counted
ALL_VISITS, LAST_VISITS = "all visits after the baseline", f"the last {LAST} visits"


class VisitScore(Text):
    """One visit: weeks after the baseline, found less true, its stated sigma, and how much it truly changed."""

    weeks: float
    error_ml: float
    sigma_ml: float
    change_ml: float


class RegressedCase(Text):
    """One patient, asked about from the first visit; the visits after it in the order of time."""

    name: str
    patient: str
    sha256: str
    visits: tuple[VisitScore, ...]


class RegressionEvaluation(Evaluation):
    """How good the predictions of a package are."""

    kind: Literal["regression"] = "regression"
    output: str
    cases: tuple[RegressedCase, ...]


def regression_evaluation(package: Identity, output: str, cases: Sequence[RegressedCase]) -> RegressionEvaluation:
    """The cases of a package that predicts, and the figures over all their visits and over the last ones."""
    figures = [*_figures(ALL_VISITS, cases, 0), *_figures(LAST_VISITS, cases, -LAST)]
    return RegressionEvaluation(package=package, output=output, cases=tuple(cases), figures=tuple(figures))


def _figures(subject: str, cases: Sequence[RegressedCase], start: int) -> list[Figure]:
    counted = [(case.patient, visit) for case in cases for visit in case.visits[start:]]
    patients = [patient for patient, _ in counted]
    error, sigma, change = (
        np.array([getattr(visit, name) for _, visit in counted]) for name in ("error_ml", "sigma_ml", "change_ml")
    )
    values: dict[Metric, NDArray[np.float64]] = {
        Metric.LAPLACE: laplace_log_likelihood(np.zeros_like(error), error, sigma),
        Metric.ABSOLUTE_ERROR: np.abs(error),
        Metric.ERROR: error,
        Metric.WITHIN_SIGMA: 100.0 * (np.abs(error) <= sigma),
        Metric.UNCHANGED: np.abs(change),
    }
    return [figure(subject, metric, bootstrap(_mean(each), patients), len(cases)) for metric, each in values.items()]


def _mean(values: NDArray[np.float64]) -> Callable[[Rows], float]:
    return lambda rows: float(values[rows].mean())
