"""The figures of an evaluation, and what is said of every kind of model before them."""

import math
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from models.manifest import Manifest
from models.terms import Text
from models.training.intervals import Interval, Rows, bootstrap

FORMAT: Literal[2] = 2
DIGITS = 4


class Metric(StrEnum):
    """What is counted or averaged over cases; docs/models.md defines each."""

    DICE = "Dice"
    LOWEST_DICE = "lowest Dice"
    JACCARD = "Jaccard"
    HAUSDORFF_95 = "Hausdorff 95"
    SURFACE_DISTANCE = "mean surface distance"
    TRUE_VOLUME = "true volume"
    VOLUME_ERROR = "volume error"
    VOLUME_ERROR_PERCENT = "relative volume error"
    ABSOLUTE_VOLUME_ERROR = "absolute volume error"
    PREVALENCE = "prevalence"
    AREA_UNDER_ROC = "area under the ROC curve"
    AVERAGE_PRECISION = "average precision"
    SENSITIVITY = "sensitivity"
    SPECIFICITY = "specificity"
    POSITIVE_PREDICTIVE_VALUE = "positive predictive value"
    NEGATIVE_PREDICTIVE_VALUE = "negative predictive value"
    POSITIVE_LIKELIHOOD_RATIO = "positive likelihood ratio"
    NEGATIVE_LIKELIHOOD_RATIO = "negative likelihood ratio"
    AFTER_POSITIVE = "probability after a positive answer"
    AFTER_NEGATIVE = "probability after a negative answer"
    AREA_WITHOUT_EDGES = "area under the ROC curve, edges painted over"
    AREA_WITHOUT_MIDDLE = "area under the ROC curve, middle painted over"
    BRIER_SCORE = "Brier score"
    CALIBRATION_ERROR = "expected calibration error"
    OVERLAP = "intersection over union"
    LOWEST_OVERLAP = "lowest intersection over union"
    HALF_OVERLAP = "intersection over union of 0.5 and above"
    CENTRE_DISTANCE = "distance of centres"
    EDGE_DISTANCE = "mean distance of faces"
    INSIDE = "wholly inside"
    INSIDE_WITH_MARGIN = "wholly inside with 10 mm around"
    FARTHEST_OUTSIDE = "farthest outside"
    UNANSWERED = "without an answer"
    LAPLACE = "Laplace log likelihood"
    ABSOLUTE_ERROR = "mean absolute error"
    ERROR = "mean error"
    UNCHANGED = "mean absolute error of no change"
    WITHIN_SIGMA = "within one sigma"


_UNITS = {
    Metric.HAUSDORFF_95: "mm",
    Metric.SURFACE_DISTANCE: "mm",
    Metric.TRUE_VOLUME: "ml",
    Metric.VOLUME_ERROR: "ml",
    Metric.VOLUME_ERROR_PERCENT: "%",
    Metric.ABSOLUTE_VOLUME_ERROR: "ml",
    Metric.HALF_OVERLAP: "%",
    Metric.CENTRE_DISTANCE: "mm",
    Metric.EDGE_DISTANCE: "mm",
    Metric.INSIDE: "%",
    Metric.INSIDE_WITH_MARGIN: "%",
    Metric.FARTHEST_OUTSIDE: "mm",
    Metric.UNANSWERED: "%",
    Metric.ABSOLUTE_ERROR: "ml",
    Metric.ERROR: "ml",
    Metric.UNCHANGED: "ml",
    Metric.WITHIN_SIGMA: "%",
}
_DECIMALS = {"mm": 2, "ml": 2, "%": 1, "": 3}
_SIGNED = {Metric.ERROR, Metric.FARTHEST_OUTSIDE, Metric.VOLUME_ERROR, Metric.VOLUME_ERROR_PERCENT}


class Figure(Text):
    """One metric of one structure or finding over all cases, with its 95 % interval."""

    model_config = ConfigDict(ser_json_inf_nan="strings")

    subject: str
    metric: Metric
    value: float | None  # None where it is not defined
    low: float | None
    high: float | None
    cases: int  # those that the metric is defined for

    def words(self, cases: int) -> str:
        """The figure in words, of an evaluation of that many cases."""
        if self.value is None:
            return "not defined"
        of = "" if self.cases == cases else f", {self.cases} of {cases} cases"
        between = "" if self.low is None or self.high is None else f" ({self._number(self.low)} to "
        between += f"{self._number(self.high)})" if between and self.high is not None else ""
        return f"{self._number(self.value)} {_UNITS.get(self.metric, '')}".rstrip() + between + of

    def _number(self, value: float) -> str:
        decimals = _DECIMALS[_UNITS.get(self.metric, "")]
        return f"{value:+.{decimals}f}" if self.metric in _SIGNED else f"{value:.{decimals}f}"


class Identity(Text):
    """Which package was asked: its manifest's digest leaves out what the manifest does not say."""

    name: str
    version: str
    weights_sha256: str
    manifest_sha256: str


class Evaluation(Text):
    """What every kind of model's evaluation says beside its cases."""

    model_config = ConfigDict(ser_json_inf_nan="strings")

    format: Literal[2] = FORMAT
    package: Identity
    figures: tuple[Figure, ...]


def identity(manifest: Manifest) -> Identity:
    """Which package a manifest is of."""
    return Identity(
        name=manifest.name,
        version=manifest.version,
        weights_sha256=manifest.weights_sha256,
        manifest_sha256=manifest.said_sha256,
    )


def figure(subject: str, metric: Metric, interval: Interval, cases: int) -> Figure:
    """A figure, rounded to what is worth writing down."""
    return Figure(
        subject=subject,
        metric=metric,
        value=rounded(interval.value),
        low=rounded(interval.low),
        high=rounded(interval.high),
        cases=cases,
    )


def mean_figure(subject: str, metric: Metric, values: Sequence[float | None], patients: Sequence[str]) -> Figure:
    """The mean over the rows in which the metric is defined, with its interval over patients."""
    array = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    return figure(subject, metric, bootstrap(_mean_of(array), patients), int(np.isfinite(array).sum()))


def rounded(value: float | None) -> float | None:
    """A number as it stands in a file."""
    return None if value is None or math.isnan(value) else round(value, DIGITS)


def _mean_of(values: NDArray[np.float64]) -> Callable[[Rows], float | None]:
    def mean(rows: Rows) -> float | None:
        chosen = values[rows]
        defined = chosen[np.isfinite(chosen)]
        return float(defined.mean()) if defined.size else None

    return mean
