"""What a network that predicts a quantity is taught."""

from pathlib import Path

from models.registry import Package, PackageError, regression
from models.training.lesson import Lesson, announce, purpose
from models.training.recipe import Visits, read_recipe
from models.training.regress_course import Patients, RegressCourse
from models.training.split import Groups, split_for
from models.training.visits import Patient, patients_of


def predicting_lesson(package: Package, source: Path | None) -> Lesson:
    """The lesson of the weights that are shipped. Raises PackageError as `table_of`."""
    manifest, recipe = regression(package), read_recipe(package.folder)
    patients = table_of(package, source)
    split = split_for(package.folder, recipe, source)
    groups = Groups(**{name: getattr(split, name) for name in Groups.model_fields})

    def course() -> RegressCourse:
        announce(groups)
        training, validation = ([patients[name] for name in names] for names in (groups.training, groups.validation))
        return RegressCourse(manifest, recipe, Patients(training, validation))

    return Lesson(course, recipe, purpose(manifest, recipe, groups))


def table_of(package: Package, source: Path | None) -> dict[str, Patient]:
    """The patients of a package's recipe by name. Raises PackageError when it names no table, or without a folder."""
    manifest, cases = regression(package), read_recipe(package.folder).cases
    if not isinstance(cases, Visits) or source is None:
        raise PackageError(f"{manifest.name} learns from a table of visits: name its folder with --data")
    return patients_of(source, cases, manifest)
