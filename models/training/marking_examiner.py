"""How good a package marks structures: each structure of each case against the truth, on the case's own grid."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np

from models.findings import Findings
from models.inference import load
from models.manifest import Manifest
from models.registry import Package, PackageError, digest, segmentation
from models.sections import Label, Weights
from models.training.cases import Case, names_in, open_case
from models.training.exam import Exam
from models.training.figures import identity, rounded
from models.training.recipe import RECIPE, read_recipe
from models.training.run import BEST, fold_folder
from models.training.scores import Mask, dice, jaccard
from models.training.segmented import CaseScore, LabelScore, SegmentationEvaluation, segmentation_evaluation
from models.training.split import Split, split_for
from models.training.surface import surface_distances
from models.volume import Grid

Ask = Callable[[Case], Findings]


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
        structures = [label.name for label in self.labels]
        found = segmentation_evaluation(identity(self.manifest), structures, self.scores(names))
        return found.model_copy(update={"folds_sha256": self.folds_sha256, "shipped": self.shipped()})

    def scores(self, names: Iterable[str]) -> list[CaseScore]:
        """Every structure of every case, on the case's own grid."""
        return [score(self.ask, self.open(name), self.labels) for name in names]


def marking_examiner(exam: Exam) -> SegmentationExaminer:
    """The examiner of a package that marks structures. Raises PackageError when the weights of a fold are missing."""
    package, manifest = exam.package, segmentation(exam.package)
    recipe = read_recipe(package.folder) if (package.folder / RECIPE).is_file() else None
    split = split_for(package.folder, recipe, exam.source) if recipe else None
    folds = _folds(exam, split) if split else {}

    def opened(name: str) -> Case:
        return open_case(recipe.cases if recipe else None, name, exam.source)

    @cache
    def asker(weights: Path) -> Ask:
        asked = next((each for each in folds.values() if each.weights == weights), package)
        predictor = load(asked, exam.device)
        return lambda case: predictor(case.volume)

    def shipped() -> tuple[CaseScore, ...]:
        names = split.validation if split and folds else ()
        return tuple(score(asker(package.weights), opened(name), manifest.labels) for name in names)

    return SegmentationExaminer(
        manifest,
        manifest.labels,
        split.evaluated if split else _all(exam),
        opened,
        lambda case: asker(folds.get(case.name, package).weights)(case),
        tuple(dict.fromkeys(fold.manifest.weights_sha256 for fold in folds.values())),
        shipped,
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


def case_digest(case: Case) -> str:
    """SHA-256 over the image's values, the true labels and their place in the patient."""
    digest = sha256()
    for array in (case.volume.values, case.truth.labels, case.volume.grid.affine):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _all(exam: Exam) -> Sequence[str]:
    """All cases of the folder, where no recipe says which are held out."""
    names = names_in(exam.source) if exam.source else []
    if not names:
        package = exam.package.folder.name
        raise ValueError(f"no case to ask {package} about: name a folder with images/ and labels/ by --data")
    return names


def _folds(exam: Exam, split: Split) -> Mapping[str, Package]:
    """The package with the weights of the fold that never saw the case, by the case's name; none without folds."""
    folds = [(_fold(exam, number), groups) for number, groups in enumerate(split.folds, start=1)]
    return {name: package for package, groups in folds for name in groups.held_out}


def _fold(exam: Exam, number: int) -> Package:
    weights = fold_folder(exam.run, number) / BEST if exam.run else None
    if weights is None or not weights.is_file():
        raise PackageError(
            f"the weights of fold {number} are not in {exam.run}: train the folds first (--folds), and name --run"
        )
    sealed = Weights(file=weights.name, sha256=digest(weights))
    return Package(weights.parent, exam.package.manifest.model_copy(update={"weights": sealed}))
