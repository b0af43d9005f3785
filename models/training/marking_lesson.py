"""What a network that marks structures is taught."""

from pathlib import Path

from models.manifest import PatchSegmentation, SliceSegmentation
from models.registry import Package, PackageError, segmentation
from models.training.cases import Example, as_example, open_case
from models.training.course import Course
from models.training.lesson import Lesson, announce, purpose
from models.training.marking_course import Examples
from models.training.patches_course import PatchesCourse
from models.training.recipe import read_recipe
from models.training.slices_course import SlicesCourse
from models.training.split import Groups, split_for


def marking_lesson(package: Package, source: Path | None) -> Lesson:
    """The lesson of the weights that are shipped."""
    split = split_for(package.folder, read_recipe(package.folder), source)
    return _lesson(package, source, Groups(**{name: getattr(split, name) for name in Groups.model_fields}))


def fold_lessons(package: Package, source: Path | None) -> list[Lesson]:
    """The lesson of each fold. Raises PackageError when the recipe has no folds."""
    folds = split_for(package.folder, read_recipe(package.folder), source).folds
    if not folds:
        raise PackageError(f"the recipe of {package.manifest.name} has no folds: its cases are held out")
    return [_lesson(package, source, groups) for groups in folds]


def _lesson(package: Package, source: Path | None, groups: Groups) -> Lesson:
    manifest, recipe = segmentation(package), read_recipe(package.folder)

    def example(name: str) -> Example:
        return as_example(open_case(recipe.cases, name, source), manifest.preprocessing)

    def course() -> Course:
        announce(groups)
        examples = Examples([example(name) for name in groups.training], [example(name) for name in groups.validation])
        match manifest:
            case PatchSegmentation():
                return PatchesCourse(manifest, recipe, examples)
            case SliceSegmentation():
                return SlicesCourse(manifest, recipe, examples)
        raise PackageError(f"{manifest.name} cannot be trained here: its task is {manifest.task}")

    return Lesson(course, recipe, purpose(manifest, recipe, groups))
