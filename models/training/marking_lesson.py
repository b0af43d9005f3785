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
from models.training.split import Groups


def marking_lesson(package: Package, source: Path | None, groups: Groups) -> Lesson:
    """The lesson that these groups of cases make."""
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
