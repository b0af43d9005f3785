"""What a network that puts boxes around structures is taught."""

from pathlib import Path

import numpy as np

from models.boxes import Corners, around, outline
from models.manifest import Location
from models.preprocessing import to_network
from models.registry import Package, location
from models.sections import BoxStructure
from models.training.augmentation import Floats
from models.training.cases import Case, Example, open_case
from models.training.lesson import Lesson, announce, purpose
from models.training.location_course import Cases, Located, LocationCourse
from models.training.recipe import read_recipe
from models.training.split import Groups


def locating_lesson(package: Package, source: Path | None, groups: Groups) -> Lesson:
    """The lesson that these groups of cases make."""
    manifest, recipe = location(package), read_recipe(package.folder)

    def opened(name: str) -> Located:
        return located(open_case(recipe.cases, name, source), manifest)

    def course() -> LocationCourse:
        announce(groups)
        cases = Cases([opened(name) for name in groups.training], [opened(name) for name in groups.validation])
        return LocationCourse(manifest, recipe, cases)

    return Lesson(course, recipe, purpose(manifest, recipe, groups))


def located(case: Case, manifest: Location) -> Located:
    """The case through the preprocessing that inference uses, and its structures' outlines there."""
    seen = to_network(case.volume, manifest.preprocessing)
    image = Example(seen.values, np.zeros(seen.values.shape, dtype=np.uint8))
    outlines = (outline_of(case, structure) for structure in manifest.structures)
    return Located(image, tuple(None if each is None else seen.grid.to_index(each) for each in outlines))


def outline_of(case: Case, structure: BoxStructure) -> Floats | None:
    """The outline of a structure in a case, (n, 3) mm; None where the case has none of it."""
    mask = np.isin(case.truth.labels, structure.values)
    return outline(mask, case.truth.grid) if mask.any() else None


def true_box(case: Case, structure: BoxStructure) -> Corners | None:
    """The upright box around a structure in a case, (2, 3) mm; None where the case has none of it."""
    points = outline_of(case, structure)
    return None if points is None else around(points)
