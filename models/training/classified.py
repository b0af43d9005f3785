"""How good stated probabilities are: each finding of each case, and the figures over all cases."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from models.terms import Text
from models.training.calibration import brier_score, expected_calibration_error
from models.training.decisions import Counts, counts, post_test_probability
from models.training.figures import Evaluation, Figure, Identity, Metric, figure
from models.training.intervals import Rows, bootstrap
from models.training.ranking import Answers, Values, area_under_roc, average_precision


class ClassScore(Text):
    """One finding in one case: whether it is there, and how likely the model says that it is."""

    truth: bool
    probability: float
    painted_over: dict[str, float] = Field(default_factory=dict)  # by the part of the image (training/shortcuts.py)


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
    prevalence: float | None = None  # the prior of the probabilities after an answer
    cases: tuple[ClassifiedCase, ...]

    def counts(self, finding: int) -> Counts:
        """The confusion matrix of one finding at its operating point."""
        truth, probabilities = self.answers(finding)
        return counts(truth, probabilities >= self.operating_points[finding])

    def answers(self, finding: int) -> tuple[Answers, Values]:
        """Truth and probabilities of one finding over the cases, (n,) each."""
        return _answers([case.classes[finding] for case in self.cases])

    def worst(self, count: int) -> tuple[ClassifiedCase, ...]:
        """The cases in which a probability is farthest from the truth, the farthest first."""
        return tuple(sorted(self.cases, key=lambda case: (-_farthest(case), case.name))[:count])


_PAINTED = {Metric.AREA_WITHOUT_EDGES: "edges", Metric.AREA_WITHOUT_MIDDLE: "middle"}
Statistic = Callable[[Answers, Values], float | None]


def classification_evaluation(
    package: Identity,
    findings: Sequence[str],
    operating_points: Sequence[float],
    cases: Sequence[ClassifiedCase],
    prevalence: float | None = None,
) -> ClassificationEvaluation:
    """The cases of a package that states probabilities, and the figures over them, one operating point a finding."""
    patients = [case.patient for case in cases]
    figures = [
        each
        for index, (finding, point) in enumerate(zip(findings, operating_points, strict=True))
        for each in _figures(finding, _Judged([case.classes[index] for case in cases], point, prevalence), patients)
    ]
    return ClassificationEvaluation(
        package=package,
        findings=tuple(findings),
        operating_points=tuple(operating_points),
        prevalence=prevalence,
        cases=tuple(cases),
        figures=tuple(figures),
    )


@dataclass(frozen=True, slots=True)
class _Judged:
    """One finding: its scores over the cases, from where on it is said to be there, and how often it is in a clinic."""

    scores: Sequence[ClassScore]
    point: float
    prevalence: float | None


def _figures(finding: str, judged: _Judged, patients: Sequence[str]) -> list[Figure]:
    truth, probabilities = _answers(judged.scores)

    def over_patients(metric: Metric, statistic: Statistic, said: Values) -> Figure:
        def of_rows(rows: Rows) -> float | None:
            return statistic(truth[rows], said[rows])

        return figure(finding, metric, bootstrap(of_rows, patients), len(judged.scores))

    painted = {
        metric: np.array([score.painted_over[part] for score in judged.scores])
        for metric, part in _PAINTED.items()
        if all(part in score.painted_over for score in judged.scores)
    }
    return [
        *(over_patients(metric, each, probabilities) for metric, each in _statistics(judged.point).items()),
        *(over_patients(metric, each, probabilities) for metric, each in _after(judged).items()),
        *(over_patients(metric, _area, said) for metric, said in painted.items()),
    ]


def _area(truth: Answers, said: Values) -> float | None:
    return area_under_roc(truth, said) if 0 < truth.mean() < 1 else None


def _at(point: float, read: Callable[[Counts], float | None]) -> Statistic:
    return lambda truth, probabilities: read(counts(truth, probabilities >= point))


def _statistics(point: float) -> dict[Metric, Statistic]:
    return {
        Metric.PREVALENCE: lambda truth, _: float(truth.mean()),
        Metric.AREA_UNDER_ROC: _area,
        Metric.AVERAGE_PRECISION: lambda truth, said: average_precision(truth, said) if truth.any() else None,
        Metric.SENSITIVITY: _at(point, lambda each: each.sensitivity),
        Metric.SPECIFICITY: _at(point, lambda each: each.specificity),
        Metric.POSITIVE_PREDICTIVE_VALUE: _at(point, lambda each: each.positive_predictive_value),
        Metric.NEGATIVE_PREDICTIVE_VALUE: _at(point, lambda each: each.negative_predictive_value),
        Metric.POSITIVE_LIKELIHOOD_RATIO: _at(point, lambda each: each.positive_likelihood_ratio),
        Metric.NEGATIVE_LIKELIHOOD_RATIO: _at(point, lambda each: each.negative_likelihood_ratio),
        Metric.BRIER_SCORE: brier_score,
        Metric.CALIBRATION_ERROR: expected_calibration_error,
    }


def _after(judged: _Judged) -> dict[Metric, Statistic]:
    """The probabilities after an answer, where it is said how often the finding is there."""
    prior = judged.prevalence
    if prior is None:
        return {}

    def after(ratio: float | None) -> float | None:
        return None if ratio is None else post_test_probability(prior, ratio)

    return {
        Metric.AFTER_POSITIVE: _at(judged.point, lambda each: after(each.positive_likelihood_ratio)),
        Metric.AFTER_NEGATIVE: _at(judged.point, lambda each: after(each.negative_likelihood_ratio)),
    }


def _answers(scores: Sequence[ClassScore]) -> tuple[Answers, Values]:
    truth = np.array([score.truth for score in scores], dtype=np.bool_)
    return truth, np.array([score.probability for score in scores], dtype=np.float64)


def _farthest(case: ClassifiedCase) -> float:
    return max(abs(score.probability - score.truth) for score in case.classes)
