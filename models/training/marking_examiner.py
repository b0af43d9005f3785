"""How good a package marks structures: each structure of each case against the truth, on the case's own grid."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from models.manifest import Manifest
from models.registry import segmentation
from models.sections import Label
from models.training.cases import Case, case_digest
from models.training.exam import Exam
from models.training.figures import identity, rounded
from models.training.folds import Ask, questions
from models.training.scores import Mask, dice, jaccard
from models.training.segmented import CaseScore, LabelScore, SegmentationEvaluation, segmentation_evaluation
from models.training.surface import surface_distances
from models.volume import Grid


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """A structure in a case: what was found and what is true, (slice, row, column)."""

    label: Label
    found: Mask
    truth: Mask


@dataclass(frozen=True, slots=True)
class SegmentationExaminer:
    """Cases of a package that marks structures; where it has folds, `ask` asks the one that never saw the case."""

    manifest: Manifest
    labels: Sequence[Label]
    names: Sequence[str]
    open: Callable[[str], Case]
    ask: Ask
    folds_sha256: tuple[str, ...] = ()
    shipped: Callable[[], tuple[CaseScore, ...]] = tuple

    def __call__(self, names: Iterable[str]) -> SegmentationEvaluation:
        """Every structure of every case, and the figures; where there are folds, what is shipped beside them."""
        return self.held_out(names).model_copy(update={"folds_sha256": self.folds_sha256, "shipped": self.shipped()})

    def held_out(self, names: Iterable[str]) -> SegmentationEvaluation:
        """As the call, without what is shipped: that may not be there yet."""
        structures = [label.name for label in self.labels]
        scores = [score(self.ask, self.open(name), self.labels) for name in names]
        return segmentation_evaluation(identity(self.manifest), structures, scores)


def marking_examiner(exam: Exam) -> SegmentationExaminer:
    """The examiner of a package that marks structures. Raises PackageError when the weights of a fold are missing."""
    manifest, asked = segmentation(exam.package), questions(exam)

    def shipped() -> tuple[CaseScore, ...]:
        return tuple(score(asked.ask_shipped, asked.open(name), manifest.labels) for name in asked.chose)

    return SegmentationExaminer(
        manifest, manifest.labels, asked.names, asked.open, asked.ask, asked.folds_sha256, shipped
    )


def compared(ask: Ask, case: Case, labels: Sequence[Label]) -> list[Compared]:
    """Each structure of a case as it was found and as it is."""
    findings = ask(case)
    return [
        Compared(label, findings.structure(label), np.isin(case.truth.labels, (label.value, *label.includes)))
        for label in labels
    ]


def score(ask: Ask, case: Case, labels: Sequence[Label]) -> CaseScore:
    """One case, asked and compared with the truth on its own grid."""
    return CaseScore(
        name=case.name,
        patient=case.name,
        sha256=case_digest(case),
        labels=tuple(score_label(each.found, each.truth, case.volume.grid) for each in compared(ask, case, labels)),
    )


def score_label(found: Mask, truth: Mask, grid: Grid) -> LabelScore:
    """One structure's masks (slice, row, column) on the grid of its case, compared."""
    distances, voxel_ml = surface_distances(found, truth, grid), grid.voxel_volume_ml
    return LabelScore(
        dice=round(dice(found, truth), 4),
        jaccard=round(jaccard(found, truth), 4),
        hausdorff_95_mm=rounded(None if distances is None else distances.hausdorff_95_mm),
        surface_distance_mm=rounded(None if distances is None else distances.mean_mm),
        found_ml=round(int(np.count_nonzero(found)) * voxel_ml, 3),
        truth_ml=round(int(np.count_nonzero(truth)) * voxel_ml, 3),
    )
