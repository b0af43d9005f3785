"""What one network is taught, and what decides what comes of it."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from models.manifest import Manifest
from models.registry import Package, PackageError
from models.training.course import Course
from models.training.recipe import Teaching, read_recipe
from models.training.split import Groups, split_for

# training writes the rest of a manifest, or does not ask for it
_AS_TRAINED = {"task", "preprocessing", "network", "inference", "labels", "inputs", "baseline", "output", "structures"}


@dataclass(frozen=True, slots=True)
class Lesson:
    """A course that begins when it is called for, by which recipe, and a digest of all that decides the weights."""

    course: Callable[[], Course]
    recipe: Teaching
    purpose: str


Teacher = Callable[[Package, Path | None, Groups], Lesson]


def shipped_lesson(teacher: Teacher, package: Package, source: Path | None) -> Lesson:
    """The lesson of the weights that are shipped."""
    split = split_for(package.folder, read_recipe(package.folder), source)
    return teacher(package, source, Groups(**{name: getattr(split, name) for name in Groups.model_fields}))


def fold_lessons(teacher: Teacher, package: Package, source: Path | None) -> list[Lesson]:
    """The lesson of each fold. Raises PackageError when the recipe has no folds."""
    folds = split_for(package.folder, read_recipe(package.folder), source).folds
    if not folds:
        raise PackageError(f"the recipe of {package.manifest.name} has no folds: its cases are held out")
    return [teacher(package, source, groups) for groups in folds]


def purpose(manifest: Manifest, recipe: Teaching, groups: Groups) -> str:
    """A digest of all that decides what the weights become."""
    decides = manifest.model_dump_json(include=_AS_TRAINED)
    return sha256("\n".join((decides, recipe.model_dump_json(), groups.model_dump_json())).encode()).hexdigest()


def announce(groups: Groups) -> None:
    """Says how many cases do what."""
    print(f"{len(groups.training)} cases to train on, {len(groups.validation)} to choose by", flush=True)
