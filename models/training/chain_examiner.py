"""How good a chain marks structures: asked as a whole, about cases that none of its steps has seen in training."""

from collections.abc import Sequence
from functools import cache

import numpy as np

from models.chains import chain_of, steps_of, told_labels
from models.findings import Findings
from models.inference import Predictor, load
from models.intake import Declined
from models.manifest import Segmentation
from models.regions import found
from models.registry import Package, PackageError
from models.sections import Label
from models.tasks.identity import algorithm
from models.training.cases import Case, names_in, open_case, patients_in
from models.training.exam import Exam
from models.training.marking_examiner import SegmentationExaminer
from models.training.recipe import RECIPE, Phantoms, Recipe, read_recipe
from models.training.split import SPLIT, Groups, split_for
from models.volume import LabelMap


def chain_examiner(exam: Exam) -> SegmentationExaminer:
    """The examiner of a bound chain that tells labels.

    Its cases are those of the last step that is told: its held-out phantoms, or a folder of which each case is left out
    that a step was trained on or chosen by. An image that the chain declines counts as one in which it finds nothing.
    Raises PackageError for a chain that does not tell labels of different values, and ValueError when no case is left.
    """
    chain, labels = chain_of(exam.package), told_labels(exam.package)
    _require_comparable(exam.package, labels)
    marking = _marking(exam.package)
    recipe, groups = _recipe(marking), _groups(marking)
    cases = recipe.cases if recipe else None
    computed = groups.held_out if groups and isinstance(cases, Phantoms) else ()
    names = computed or (names_in(exam.source) if exam.source else ())

    @cache
    def predictor() -> Predictor:
        return load(exam.package, exam.device, exam.environment)

    def ask(case: Case) -> Findings:
        try:
            return predictor()(case.volume)
        except Declined as reason:
            print(f"{case.name} is declined, which counts as nothing found: {reason}", flush=True)
            nothing = LabelMap(case.volume.grid, np.zeros(case.volume.grid.shape, dtype=np.uint8))
            return found(algorithm(chain), nothing, labels)

    return SegmentationExaminer(
        chain, labels, _unseen(exam, names), lambda name: open_case(cases, name, exam.source), ask
    )


def _require_comparable(package: Package, labels: Sequence[Label]) -> None:
    values = [label.value for label in labels]
    if not values or len(set(values)) < len(values):
        raise PackageError(
            f"{package.folder} tells labels of the values {values}: a file of true labels can say of each voxel "
            "only what is of a value of its own, so that nothing else can be evaluated here"
        )


def _marking(package: Package) -> Package:
    """The last of the steps that mark what is told."""
    told = [
        step
        for number, (_, step) in enumerate(steps_of(package), start=1)
        if chain_of(package).tells(number) and isinstance(step.manifest, Segmentation)
    ]
    return told[-1]


def _unseen(exam: Exam, names: Sequence[str]) -> Sequence[str]:
    """The cases that no step has seen. Raises ValueError when there are none."""
    if not names:
        raise ValueError(
            f"no case to ask {exam.package.folder} about: name a folder with images/ and labels/ by --data"
        )
    patient_of = patients_in(exam.source) if exam.source else {}
    for step in dict.fromkeys(exam.package.steps):
        seen = {patient_of.get(name, name) for name in _seen(step)}
        left = [name for name in names if patient_of.get(name, name) not in seen]
        if len(left) < len(names):
            print(f"{len(names) - len(left)} cases are left out: {step.manifest.name} was made of them", flush=True)
        if not left:
            raise ValueError(f"every case had a part in making {step.manifest.name}: name others by --data")
        names = left
    return names


def _seen(step: Package) -> tuple[str, ...]:
    """The cases that had a part in making the weights of a step, as far as its folder says it."""
    groups = _groups(step)
    return (*groups.training, *groups.validation) if groups else ()


def _groups(step: Package) -> Groups | None:
    recipe = _recipe(step)
    if recipe is None or not (isinstance(recipe.cases, Phantoms) or (step.folder / SPLIT).is_file()):
        return None
    return split_for(step.folder, recipe, None)


def _recipe(step: Package) -> Recipe | None:
    return read_recipe(step.folder) if (step.folder / RECIPE).is_file() else None
