"""How good boxes are: each structure of each case against the true box, and the figures over all cases."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from models.boxes import Corners, outside_mm, overlap
from models.terms import Text, Triple
from models.training.figures import Evaluation, Figure, Identity, Metric, figure, mean_figure, rounded
from models.training.intervals import Interval

MARGIN_MM = 10.0
HALF = 0.5


class BoxScore(Text):
    """One structure that a case has: the overlap is 0 where there was no answer, and all that is found is None."""

    overlap: float
    centre_mm: float | None  # between the middles
    edge_mm: float | None  # between the faces, the mean of six
    outside_mm: float | None  # how far the structure reaches out of the box; below 0 it is inside
    found_mm: Triple | None  # along x, y, z of the patient
    truth_mm: Triple


class LocatedCase(Text):
    """One case: structures in the evaluation's order, None for one that it has not; why there was no answer, if so."""

    name: str
    patient: str
    sha256: str
    structures: tuple[BoxScore | None, ...]
    refused: str = ""

    @property
    def mean_overlap(self) -> float:
        """What cases are ranked by; 1 for a case that has none of the structures."""
        overlaps = [score.overlap for score in self.structures if score]
        return float(np.mean(overlaps)) if overlaps else 1.0


class LocationEvaluation(Evaluation):
    """How good the boxes are that a package puts around structures."""

    kind: Literal["location"] = "location"
    structures: tuple[str, ...]
    cases: tuple[LocatedCase, ...]
    folds_sha256: tuple[str, ...] = ()  # where each case was asked of the weights of its fold: those of the folds
    shipped: tuple[LocatedCase, ...] = ()  # there too: the package's own weights, and the cases that chose them

    def worst(self, count: int) -> tuple[LocatedCase, ...]:
        """The cases of the lowest mean overlap, the lowest first."""
        return tuple(sorted(self.cases, key=lambda case: (case.mean_overlap, case.name))[:count])


def box_score(found: Corners | None, truth: Corners) -> BoxScore:
    """One structure's box, (2, 3) mm each; None where there was no answer."""
    truth_mm = _triple(truth[1] - truth[0])
    if found is None:
        return BoxScore(overlap=0.0, centre_mm=None, edge_mm=None, outside_mm=None, found_mm=None, truth_mm=truth_mm)
    return BoxScore(
        overlap=round(overlap(found, truth), 4),
        centre_mm=rounded(float(np.linalg.norm(found.mean(axis=0) - truth.mean(axis=0)))),
        edge_mm=rounded(float(np.abs(found - truth).mean())),
        outside_mm=rounded(outside_mm(truth, found)),
        found_mm=_triple(found[1] - found[0]),
        truth_mm=truth_mm,
    )


def location_evaluation(
    package: Identity, structures: Sequence[str], cases: Sequence[LocatedCase]
) -> LocationEvaluation:
    """The cases of a package that finds boxes, and the figures over them."""
    figures = [each for index, structure in enumerate(structures) for each in _figures(structure, index, cases)]
    return LocationEvaluation(package=package, structures=tuple(structures), cases=tuple(cases), figures=tuple(figures))


def _figures(structure: str, index: int, cases: Sequence[LocatedCase]) -> list[Figure]:
    there = [(case.patient, score) for case in cases if (score := case.structures[index])]
    patients, scores = [patient for patient, _ in there], [score for _, score in there]
    values: dict[Metric, list[float | None]] = {
        Metric.OVERLAP: [score.overlap for score in scores],
        Metric.HALF_OVERLAP: [_percent(score.overlap >= HALF) for score in scores],
        Metric.CENTRE_DISTANCE: [score.centre_mm for score in scores],
        Metric.EDGE_DISTANCE: [score.edge_mm for score in scores],
        Metric.INSIDE: [_percent(_reaches(score) <= 0) for score in scores],
        Metric.INSIDE_WITH_MARGIN: [_percent(_reaches(score) <= MARGIN_MM) for score in scores],
        Metric.UNANSWERED: [_percent(score.found_mm is None) for score in scores],
    }
    means = [mean_figure(structure, metric, each, patients) for metric, each in values.items()] if there else []
    farthest = [score.outside_mm for score in scores if score.outside_mm is not None]
    extremes = {
        Metric.LOWEST_OVERLAP: Interval(min((score.overlap for score in scores), default=None)),
        Metric.FARTHEST_OUTSIDE: Interval(max(farthest, default=None)),
    }
    return [*means, *(figure(structure, metric, each, len(scores)) for metric, each in extremes.items())]


def _reaches(score: BoxScore) -> float:
    """How far the structure reaches out of its box: without end where there is none."""
    return np.inf if score.outside_mm is None else score.outside_mm


def _percent(holds: bool) -> float:
    return 100.0 * holds


def _triple(sizes: Corners) -> Triple:
    x, y, z = (round(float(each), 2) for each in sizes)
    return x, y, z
