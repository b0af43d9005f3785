"""What a package is worth: the whole way from image to findings on cases that had no part in making it."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import numpy as np

from models.findings import Findings
from models.inference import load
from models.manifest import Label, Manifest, Segmentation
from models.registry import Package, PackageError, read, segmentation
from models.training.cases import Case, names_in, open_case
from models.training.evaluation import AnyEvaluation, write_evaluation
from models.training.figures import identity, rounded
from models.training.recipe import RECIPE, read_recipe
from models.training.scores import Mask, dice, jaccard
from models.training.segmented import CaseScore, LabelScore, SegmentationEvaluation, segmentation_evaluation
from models.training.split import split_for
from models.training.surface import surface_distances
from models.volume import Grid


class Examiner(Protocol):
    """How a package of one kind is evaluated: cases become rows, and rows become figures."""

    def __call__(self, names: Iterable[str]) -> AnyEvaluation:
        """The rows of these cases, and the figures over them."""


Ask = Callable[[Case], Findings]


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """A structure in a case: what was found and what is true, (slice, row, column)."""

    label: Label
    found: Mask
    truth: Mask


@dataclass(frozen=True, slots=True)
class SegmentationExaminer:
    """Cases of a package that marks structures; `ask` answers for one, and may choose its weights by the case."""

    manifest: Segmentation
    open: Callable[[str], Case]
    ask: Ask

    def __call__(self, names: Iterable[str]) -> SegmentationEvaluation:
        """Every structure of every case, on the case's own grid."""
        cases = [score(self.ask, self.open(name), self.manifest.labels) for name in names]
        return segmentation_evaluation(identity(self.manifest), [label.name for label in self.manifest.labels], cases)


def evaluate(folder: Path, source: Path | None, device: str) -> tuple[Examiner, AnyEvaluation]:
    """Asks the package in `folder` about its held-out cases, and writes the answers beside it and into its card.

    Raises PackageError for a package that nothing here can examine, and when its card has no place for the figures.
    """
    package = read(folder)
    examiner = examiner_for(package, source, device)
    evaluation = examiner(_told(held_out(folder, source)))
    write_evaluation(package, evaluation)
    return examiner, evaluation


def examiner_for(package: Package, source: Path | None, device: str) -> Examiner:
    """Who examines packages of this kind. Raises PackageError where nobody does."""
    for kind, examiner in EXAMINERS.items():
        if isinstance(package.manifest, kind):
            return examiner(package, source, device)
    raise PackageError(f"{package.folder}: nothing here evaluates a package whose task is {package.manifest.task}")


def held_out(folder: Path, source: Path | None) -> Sequence[str]:
    """The cases that a package in `folder` is evaluated on; without a recipe here, all of `source`.

    Raises ValueError when there are none.
    """
    if (folder / RECIPE).is_file():
        return split_for(folder, read_recipe(folder), source).held_out
    names = names_in(source) if source else []
    if not names:
        raise ValueError(f"no case to ask {folder.name} about: name a folder with images/ and labels/ by --data")
    return names


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


def case_digest(case: Case) -> str:
    """SHA-256 over the image's values, the true labels and their place in the patient."""
    digest = sha256()
    for array in (case.volume.values, case.truth.labels, case.volume.grid.affine):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _told(names: Sequence[str]) -> Iterator[str]:
    """The names, each said when its turn comes: a case may take a while."""
    for number, name in enumerate(names, start=1):
        print(f"{number} of {len(names)}: {name}", flush=True)
        yield name


def _of_segmentation(package: Package, source: Path | None, device: str) -> Examiner:
    predictor = load(package, device)
    cases = read_recipe(package.folder).cases if (package.folder / RECIPE).is_file() else None
    return SegmentationExaminer(
        segmentation(package), lambda name: open_case(cases, name, source), lambda case: predictor(case.volume)
    )


EXAMINERS: Mapping[type[Manifest], Callable[[Package, Path | None, str], Examiner]] = {Segmentation: _of_segmentation}
