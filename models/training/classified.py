"""How good stated probabilities are: each finding of each case, and the figures over all cases."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from models.manifest import Text
from models.training.calibration import brier_score, expected_calibration_error
from models.training.decisions import Counts, counts
from models.training.figures import Evaluation, Figure, Identity, Metric, figure
from models.training.intervals import Rows, bootstrap
from models.training.ranking import Answers, Values, area_under_roc, average_precision


class ClassScore(Text):
    """One finding in one case: whether it is there, and how likely the model says that it is."""

    truth: bool
    probability: float


class ClassifiedCase(Text):
    """One case: findings in the evaluation's order, and the digest of the image that was asked about."""

    name: str
    patient: str
    sha256: str
    classes: tuple[ClassScore, ...]


class ClassificationEvaluation(Evaluation):
    """How good the probabilities are that a package states, and the decisions at its operating points."""

    kind: Literal["classification"] = "classification"
    findings: tuple[str, ...]
    operating_points: tuple[float, ...]
    cases: tuple[ClassifiedCase, ...]

    def answers(self, finding: int) -> tuple[Answers, Values]:
        """Truth and probabilities of one finding over the cases, (n,) each."""
        return _answers([case.classes[finding] for case in self.cases])

    def worst(self, count: int) -> tuple[ClassifiedCase, ...]:
        """The cases in which a probability is farthest from the truth, the farthest first."""
        return tuple(sorted(self.cases, key=lambda case: (-_farthest(case), case.name))[:count])


Statistic = Callable[[Answers, Values], float | None]


def classification_evaluation(
    package: Identity,
    findings: Sequence[str],
    operating_points: Sequence[float],
    cases: Sequence[ClassifiedCase],
) -> ClassificationEvaluation:
    """The cases of a package that states probabilities, and the figures over them, one operating point a finding."""
    patients = [case.patient for case in cases]
    figures = [
        each
        for index, (finding, point) in enumerate(zip(findings, operating_points, strict=True))
        for each in _figures(finding, point, [case.classes[index] for case in cases], patients)
    ]
    return ClassificationEvaluation(
        package=package,
        findings=tuple(findings),
        operating_points=tuple(operating_points),
        cases=tuple(cases),
        figures=tuple(figures),
    )


def _figures(finding: str, point: float, scores: Sequence[ClassScore], patients: Sequence[str]) -> list[Figure]:
    truth, probabilities = _answers(scores)

    def over_patients(metric: Metric, statistic: Statistic) -> Figure:
        def of_rows(rows: Rows) -> float | None:
            return statistic(truth[rows], probabilities[rows])

        return figure(finding, metric, bootstrap(of_rows, patients), len(scores))

    return [over_patients(metric, statistic) for metric, statistic in _statistics(point).items()]


def _statistics(point: float) -> dict[Metric, Statistic]:
    def at(read: Callable[[Counts], float | None]) -> Statistic:
        return lambda truth, probabilities: read(counts(truth, probabilities >= point))

    return {
        Metric.PREVALENCE: lambda truth, _: float(truth.mean()),
        Metric.AREA_UNDER_ROC: lambda truth, said: area_under_roc(truth, said) if 0 < truth.mean() < 1 else None,
        Metric.AVERAGE_PRECISION: lambda truth, said: average_precision(truth, said) if truth.any() else None,
        Metric.SENSITIVITY: at(lambda each: each.sensitivity),
        Metric.SPECIFICITY: at(lambda each: each.specificity),
        Metric.POSITIVE_PREDICTIVE_VALUE: at(lambda each: each.positive_predictive_value),
        Metric.NEGATIVE_PREDICTIVE_VALUE: at(lambda each: each.negative_predictive_value),
        Metric.POSITIVE_LIKELIHOOD_RATIO: at(lambda each: each.positive_likelihood_ratio),
        Metric.NEGATIVE_LIKELIHOOD_RATIO: at(lambda each: each.negative_likelihood_ratio),
        Metric.BRIER_SCORE: brier_score,
        Metric.CALIBRATION_ERROR: expected_calibration_error,
    }


def _answers(scores: Sequence[ClassScore]) -> tuple[Answers, Values]:
    truth = np.array([score.truth for score in scores], dtype=np.bool_)
    return truth, np.array([score.probability for score in scores], dtype=np.float64)


def _farthest(case: ClassifiedCase) -> float:
    return max(abs(score.probability - score.truth) for score in case.classes)
