"""Which cases train, which choose the checkpoint, and which are held out for the evaluation: patient by patient."""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from models.terms import Text
from models.training.cases import names_in, patients_in, phantom_name
from models.training.recipe import Drawn, Phantoms, Recipe, Visits
from models.training.visits import names_in_table

SPLIT = "split.json"
VALIDATION_SEEDS = 10_000
HELD_OUT_SEEDS = 20_000
_EACH_ITS_OWN: Mapping[str, str] = MappingProxyType({})


class Groups(Text):
    """The names of the cases, each in one group only."""

    held_out: tuple[str, ...]
    validation: tuple[str, ...]
    training: tuple[str, ...]


class Split(Groups):
    """The groups of the weights that are shipped, and those of each fold, where the recipe has some."""

    folds: tuple[Groups, ...] = ()

    @property
    def evaluated(self) -> tuple[str, ...]:
        """The cases that the package's numbers are of: all in turn, where there are folds."""
        return tuple(sorted(name for fold in self.folds for name in fold.held_out)) or self.held_out


def split_for(folder: Path, recipe: Recipe, source: Path | None) -> Split:
    """The split of the package in `folder`: what was written down, else drawn from `source` and written down."""
    if isinstance(recipe.cases, Phantoms):
        return _of_seeds(recipe.cases)
    cases = recipe.cases
    if isinstance(cases, Visits):
        return written_down(folder, source, lambda there: shuffled(names_in_table(there, cases), cases))
    return written_down(folder, source, lambda there: shuffled(names_in(there), cases, patients_in(there)))


def written_down(folder: Path, source: Path | None, draw: Callable[[Path], Split]) -> Split:
    """The split beside the package, or what `draw` makes of the cases in `source`, which is then written down.

    Raises ValueError when there is neither.
    """
    path = folder / SPLIT
    if path.is_file():
        return Split.model_validate_json(path.read_text(encoding="utf-8"))
    if source is None:
        raise ValueError(f"{path} is absent and no folder of cases is given: name one with --data")
    drawn = draw(source)
    path.write_text(drawn.model_dump_json(indent=1, exclude_defaults=True) + "\n", encoding="utf-8")
    return drawn


def shuffled(names: Iterable[str], cases: Drawn, patient_of: Mapping[str, str] = _EACH_ITS_OWN) -> Split:
    """The patients in a seeded order, cut into groups; cases are sorted in each.

    `patient_of` says whose a case is; without it each case is a patient of its own.
    """
    by_patient: dict[str, list[str]] = defaultdict(list)
    for name in names:
        by_patient[patient_of.get(name, name)].append(name)
    order = sorted(by_patient)
    random.Random(cases.seed).shuffle(order)
    if len(order) <= cases.held_out + cases.validation or len(order) < (cases.folds or 0):
        wanted = f"{cases.folds} folds" if cases.folds else f"{cases.held_out} patients for the evaluation"
        raise ValueError(f"{len(order)} patients are too few for {wanted} and {cases.validation} for validation")
    ordered = [by_patient[patient] for patient in order]
    shipped = _cut(ordered[: cases.held_out], ordered[cases.held_out :], cases.validation)
    folds = tuple(_fold(ordered, index, cases) for index in range(cases.folds or 0))
    return Split(**dict(shipped), folds=folds)


def _fold(ordered: Sequence[list[str]], index: int, cases: Drawn) -> Groups:
    """Every k-th patient is held out, and those after it choose the checkpoint: other ones in each fold."""
    count = cases.folds or 1
    others = [
        ordered[place] for step in range(1, count) for place in range((index + step) % count, len(ordered), count)
    ]
    return _cut(ordered[index::count], others, cases.validation)


def _cut(held_out: Sequence[list[str]], others: Sequence[list[str]], validation: int) -> Groups:
    if len(others) <= validation:
        raise ValueError(f"{len(others)} patients are too few: {validation} of them are wanted for validation")
    return Groups(
        held_out=_sorted(held_out), validation=_sorted(others[:validation]), training=_sorted(others[validation:])
    )


def _sorted(patients: Sequence[list[str]]) -> tuple[str, ...]:
    return tuple(sorted(name for names in patients for name in names))


def _of_seeds(cases: Phantoms) -> Split:
    return Split(
        held_out=tuple(phantom_name(HELD_OUT_SEEDS + index) for index in range(cases.held_out)),
        validation=tuple(phantom_name(VALIDATION_SEEDS + index) for index in range(cases.validation)),
        training=tuple(phantom_name(index) for index in range(cases.training)),
    )
