"""The cases of an exam about volumes, and who answers for each: the fold that never saw it, where there are folds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from models.findings import Findings
from models.inference import Predictor, load
from models.registry import Package, PackageError, digest
from models.sections import Weights
from models.training.cases import Case, names_in, open_case
from models.training.exam import Exam
from models.training.recipe import RECIPE, read_recipe
from models.training.run import BEST, fold_folder
from models.training.split import Split, split_for

Ask = Callable[[Case], Findings]


@dataclass(frozen=True, slots=True)
class Questions:
    """What is asked of whom: `ask` asks weights that never saw the case, `ask_shipped` those of the package."""

    names: Sequence[str]
    open: Callable[[str], Case]
    ask: Ask
    ask_shipped: Ask
    chose: Sequence[str]  # the cases that the shipped weights were chosen by, where there are folds
    folds_sha256: tuple[str, ...]


def questions(exam: Exam) -> Questions:
    """The cases of a package about volumes. Raises PackageError when the weights of a fold are missing."""
    package = exam.package
    recipe = read_recipe(package.folder) if (package.folder / RECIPE).is_file() else None
    split = split_for(package.folder, recipe, exam.source) if recipe else None
    folds = _folds(exam, split) if split else {}

    @cache
    def predictor(weights: Path) -> Predictor:
        asked = next((each for each in folds.values() if each.weights == weights), package)
        return load(asked, exam.device, exam.environment)

    return Questions(
        names=split.evaluated if split else _all(exam),
        open=lambda name: open_case(recipe.cases if recipe else None, name, exam.source),
        ask=lambda case: predictor(folds.get(case.name, package).weights)(case.volume),
        ask_shipped=lambda case: predictor(package.weights)(case.volume),
        chose=split.validation if split and folds else (),
        folds_sha256=tuple(dict.fromkeys(fold.manifest.weights_sha256 for fold in folds.values())),
    )


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
