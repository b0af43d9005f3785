"""Which cases train, which choose the checkpoint, and which are held out for the evaluation."""

import random
from pathlib import Path

from models.manifest import Text
from models.training.cases import names_in, phantom_name
from models.training.recipe import Folder, Phantoms, Recipe

SPLIT = "split.json"
VALIDATION_SEEDS = 10_000
HELD_OUT_SEEDS = 20_000


class Split(Text):
    """The names of the cases, each in one group only."""

    held_out: tuple[str, ...]
    validation: tuple[str, ...]
    training: tuple[str, ...]


def split_for(folder: Path, recipe: Recipe, source: Path | None) -> Split:
    """The split of the package in `folder`: what was written down, else drawn from `source` and written down."""
    if isinstance(recipe.cases, Phantoms):
        return _of_seeds(recipe.cases)
    path = folder / SPLIT
    if path.is_file():
        return Split.model_validate_json(path.read_text(encoding="utf-8"))
    if source is None:
        raise ValueError(f"{path} is absent and no folder of cases is given: name one with --data")
    drawn = shuffled(names_in(source), recipe.cases)
    path.write_text(drawn.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return drawn


def shuffled(names: list[str], cases: Folder) -> Split:
    """The names in a seeded order, cut into three groups, each sorted."""
    order = sorted(names)
    random.Random(cases.seed).shuffle(order)
    validation_ends = cases.held_out + cases.validation
    if len(order) <= validation_ends:
        raise ValueError(f"{len(order)} cases are too few: {validation_ends} are wanted for validation and evaluation")
    return Split(
        held_out=tuple(sorted(order[: cases.held_out])),
        validation=tuple(sorted(order[cases.held_out : validation_ends])),
        training=tuple(sorted(order[validation_ends:])),
    )


def _of_seeds(cases: Phantoms) -> Split:
    return Split(
        held_out=tuple(phantom_name(HELD_OUT_SEEDS + index) for index in range(cases.held_out)),
        validation=tuple(phantom_name(VALIDATION_SEEDS + index) for index in range(cases.validation)),
        training=tuple(phantom_name(index) for index in range(cases.training)),
    )
