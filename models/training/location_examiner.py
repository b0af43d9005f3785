"""How good a package's boxes are: each structure of each case against the upright box around its true voxels."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from models.boxes import Corners
from models.findings import Box
from models.intake import Declined
from models.manifest import Location
from models.registry import location
from models.training.cases import Case, case_digest
from models.training.exam import Exam
from models.training.figures import identity
from models.training.folds import Ask, questions
from models.training.located import LocatedCase, LocationEvaluation, box_score, location_evaluation
from models.training.locating_lesson import true_box


@dataclass(frozen=True, slots=True)
class LocationExaminer:
    """Cases of a package that finds boxes; where it has folds, `ask` asks the one that never saw the case."""

    manifest: Location
    names: Sequence[str]
    open: Callable[[str], Case]
    ask: Ask
    folds_sha256: tuple[str, ...] = ()
    shipped: Callable[[], tuple[LocatedCase, ...]] = tuple

    def __call__(self, names: Iterable[str]) -> LocationEvaluation:
        """Every structure of every case, and the figures; where there are folds, what is shipped beside them."""
        return self.held_out(names).model_copy(update={"folds_sha256": self.folds_sha256, "shipped": self.shipped()})

    def held_out(self, names: Iterable[str]) -> LocationEvaluation:
        """As the call, without what is shipped: that may not be there yet."""
        structures = [structure.name for structure in self.manifest.structures]
        cases = [score(self.ask, self.open(name), self.manifest) for name in names]
        return location_evaluation(identity(self.manifest), structures, cases)


def location_examiner(exam: Exam) -> LocationExaminer:
    """The examiner of a package that finds boxes. Raises PackageError when the weights of a fold are missing."""
    manifest, asked = location(exam.package), questions(exam)

    def shipped() -> tuple[LocatedCase, ...]:
        return tuple(score(asked.ask_shipped, asked.open(name), manifest) for name in asked.chose)

    return LocationExaminer(manifest, asked.names, asked.open, asked.ask, asked.folds_sha256, shipped)


def score(ask: Ask, case: Case, manifest: Location) -> LocatedCase:
    """One case, asked and compared with the truth; a refusal is an answer that found nothing."""
    found: Sequence[Box | None] = [None] * len(manifest.structures)
    refused = ""
    try:
        found = ask(case).boxes
    except Declined as error:
        refused = str(error)
    truths = [true_box(case, structure) for structure in manifest.structures]
    return LocatedCase(
        name=case.name,
        patient=case.name,
        sha256=case_digest(case),
        structures=tuple(
            None if truth is None else box_score(corners_of(box), truth)
            for box, truth in zip(found, truths, strict=True)
        ),
        refused=refused,
    )


def true_boxes(case: Case, manifest: Location) -> list[Box]:
    """The true box of each structure that the case has."""
    boxes = [(structure, true_box(case, structure)) for structure in manifest.structures]
    return [
        Box(structure.term, tuple(truth[0].tolist()), tuple(truth[1].tolist()))
        for structure, truth in boxes
        if truth is not None
    ]


def corners_of(box: Box | None) -> Corners | None:
    """A box's corners, (2, 3) mm."""
    return None if box is None else np.array([box.low, box.high])
