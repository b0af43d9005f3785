"""How good marked structures are: each structure of each case, and the figures over all cases."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from models.terms import Text
from models.training.figures import Evaluation, Figure, Identity, Metric, figure, mean_figure
from models.training.intervals import Interval
from models.training.scores import volume_error


class LabelScore(Text):
    """One structure in one case; the distances are None where it is either found or true, and not both."""

    dice: float
    jaccard: float
    hausdorff_95_mm: float | None
    surface_distance_mm: float | None
    found_ml: float
    truth_ml: float

    @property
    def volume_error_ml(self) -> float:
        """Found less true."""
        return volume_error(self.found_ml, self.truth_ml).millilitres

    @property
    def volume_error_percent(self) -> float | None:
        """Found less true, of the true volume; None where there is none."""
        return volume_error(self.found_ml, self.truth_ml).percent


class CaseScore(Text):
    """One case: structures in the evaluation's order, and the digest of the image and the truth that were compared."""

    name: str
    patient: str
    sha256: str
    labels: tuple[LabelScore, ...]

    @property
    def mean_dice(self) -> float:
        """What cases are ranked by."""
        return float(np.mean([label.dice for label in self.labels]))


class SegmentationEvaluation(Evaluation):
    """How good the structures are that a package marks."""

    kind: Literal["segmentation"] = "segmentation"
    structures: tuple[str, ...]
    cases: tuple[CaseScore, ...]
    folds_sha256: tuple[str, ...] = ()  # where each case was asked of the weights of its fold: those of the folds
    shipped: tuple[CaseScore, ...] = ()  # there too: the package's own weights, and the cases that chose them

    def worst(self, count: int) -> tuple[CaseScore, ...]:
        """The cases of the lowest mean Dice, the lowest first."""
        return tuple(sorted(self.cases, key=lambda case: (case.mean_dice, case.name))[:count])


def segmentation_evaluation(
    package: Identity, structures: Sequence[str], cases: Sequence[CaseScore]
) -> SegmentationEvaluation:
    """The cases of a package that marks structures, and the figures over them."""
    patients = [case.patient for case in cases]
    figures = [
        each
        for index, structure in enumerate(structures)
        for each in _figures(structure, [case.labels[index] for case in cases], patients)
    ]
    return SegmentationEvaluation(
        package=package, structures=tuple(structures), cases=tuple(cases), figures=tuple(figures)
    )


def _figures(structure: str, scores: Sequence[LabelScore], patients: Sequence[str]) -> list[Figure]:
    values: dict[Metric, list[float | None]] = {
        Metric.DICE: [score.dice for score in scores],
        Metric.JACCARD: [score.jaccard for score in scores],
        Metric.HAUSDORFF_95: [score.hausdorff_95_mm for score in scores],
        Metric.SURFACE_DISTANCE: [score.surface_distance_mm for score in scores],
        Metric.TRUE_VOLUME: [score.truth_ml for score in scores],
        Metric.VOLUME_ERROR: [score.volume_error_ml for score in scores],
        Metric.VOLUME_ERROR_PERCENT: [score.volume_error_percent for score in scores],
        Metric.ABSOLUTE_VOLUME_ERROR: [abs(score.volume_error_ml) for score in scores],
    }
    means = [mean_figure(structure, metric, each, patients) for metric, each in values.items()]
    lowest = Interval(min(score.dice for score in scores))
    return [means[0], figure(structure, Metric.LOWEST_DICE, lowest, len(scores)), *means[1:]]
