"""A package's recipe and its cases become its weights, and of a model that judges images, its operating points."""

from pathlib import Path

from models.manifest import Chain, Classification, Location, Regression
from models.registry import Package, PackageError, read
from models.training.judging_lesson import calibrated, judging_lesson
from models.training.lesson import Lesson, Teacher, fold_lessons, shipped_lesson
from models.training.locating_lesson import locating_lesson
from models.training.marking_lesson import marking_lesson
from models.training.predicting_lesson import predicting_lesson
from models.training.publishing import publish
from models.training.recipe import Teaching
from models.training.run import BEST, Run, fold_folder
from models.training.trainer import Trainer
from models.training.watch import watching


def train(folder: Path, source: Path | None, run: Path, device: str) -> Package:
    """Trains the package in `folder` and puts the best weights into it; what else there is of the run stays in `run`.

    A run that was killed goes on where it last reported, and ends with the weights it would have had. Raises
    PackageError for a chain, which has none.
    """
    package = _trainable(read(folder))
    if isinstance(package.manifest, Classification):
        teach(judging_lesson(package, source), run, device)
        return calibrated(publish(package, run / BEST), source, device)
    if isinstance(package.manifest, Regression):
        teach(predicting_lesson(package, source), run, device)
    else:
        teach(shipped_lesson(_teacher_of(package), package, source), run, device)
    return publish(package, run / BEST)


def train_folds(folder: Path, source: Path | None, run: Path, device: str) -> list[Path]:
    """Trains every fold of the recipe, in a folder of its own in `run`; the best weights of each.

    Raises PackageError when the recipe has no folds, and for a chain.
    """
    package = _trainable(read(folder))
    lessons = fold_lessons(_teacher_of(package), package, source)
    for number, lesson in enumerate(lessons, start=1):
        print(f"fold {number} of {len(lessons)}", flush=True)
        teach(lesson, fold_folder(run, number), device)
    return [fold_folder(run, number) / BEST for number in range(1, len(lessons) + 1)]


def teach(lesson: Lesson, run: Path, device: str) -> None:
    """Leaves the best weights in `run`, or goes on to them from what already lies there."""
    run.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(lesson.course, lesson.recipe, device)
    diary = Run(run, lesson.purpose)
    diary.resume(trainer)
    if _is_over(diary, lesson.recipe):
        return
    with watching(lesson.recipe.iterations) as watch:
        for progress in trainer.run(watch.stepped):
            diary.report(progress, trainer)
            watch.reported(progress)
            if _is_over(diary, lesson.recipe):
                return


def _trainable(package: Package) -> Package:
    if isinstance(package.manifest, Chain):
        steps = ", ".join(dict.fromkeys(step.package for step in package.manifest.steps))
        raise PackageError(f"{package.folder} is a chain and has no weights of its own: train its steps, {steps}")
    return package


def _teacher_of(package: Package) -> Teacher:
    """Who teaches the packages that learn from volumes."""
    return locating_lesson if isinstance(package.manifest, Location) else marking_lesson


def _is_over(run: Run, recipe: Teaching) -> bool:
    return recipe.patience is not None and run.worse >= recipe.patience
