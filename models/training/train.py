"""A package's recipe and its cases become its weights."""

import csv
import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np

from models.registry import MANIFEST, Package, digest, read, segmentation
from models.runtimes import safetensors
from models.training.cases import Example, as_example, open_case
from models.training.course import Course
from models.training.patches_course import Examples, PatchesCourse
from models.training.recipe import Recipe, read_recipe
from models.training.split import split_for
from models.training.trainer import Progress, Trainer

BEST, LAST, LOG = "best.safetensors", "last.safetensors", "log.csv"
DIGEST_LINE = re.compile(r"(?m)^(\s*sha256:\s*).*$")


def train(folder: Path, source: Path | None, run: Path, device: str) -> Package:
    """Trains the package in `folder` and puts the best weights into it; the log and the last weights stay in `run`."""
    package, recipe = read(folder), read_recipe(folder)
    run.mkdir(parents=True, exist_ok=True)
    _keep_best(Trainer(partial(_course, package, recipe, source), recipe, device), run, recipe.patience)
    return publish(package, run / BEST)


def publish(package: Package, weights: Path) -> Package:
    """The package with these weights in it, and their digest in its manifest."""
    shutil.copyfile(weights, package.weights)
    path = package.folder / MANIFEST
    written = path.read_text(encoding="utf-8")
    path.write_text(DIGEST_LINE.sub(rf"\g<1>{digest(package.weights)}", written, count=1), encoding="utf-8")
    return read(package.folder)


def _course(package: Package, recipe: Recipe, source: Path | None) -> Course:
    """What a package of its kind is taught."""
    split, manifest = split_for(package.folder, recipe, source), segmentation(package)
    print(f"{len(split.training)} cases to train on, {len(split.validation)} to choose by", flush=True)

    def example(name: str) -> Example:
        return as_example(open_case(recipe.cases, name, source), manifest.preprocessing)

    examples = Examples([example(name) for name in split.training], [example(name) for name in split.validation])
    return PatchesCourse(manifest, recipe, examples)


def _keep_best(trainer: Trainer, run: Path, patience: int | None) -> None:
    best, worse = -np.inf, 0
    with (run / LOG).open("w", newline="", encoding="utf-8") as file:
        log = csv.writer(file)
        for progress in trainer.run():
            if not file.tell():
                log.writerow(["iteration", "seconds", "loss", *progress.scores])
            log.writerow([progress.iteration, round(progress.seconds), progress.loss, *progress.scores.values()])
            file.flush()
            print(_sentence(progress), flush=True)
            safetensors.save(trainer.weights, run / LAST)
            if progress.mean > best:
                best, worse = progress.mean, 0
                shutil.copyfile(run / LAST, run / BEST)
                continue
            worse += 1
            if worse == patience:
                return


def _sentence(progress: Progress) -> str:
    scores = "  ".join(f"{name} {score:.3f}" for name, score in progress.scores.items())
    return f"{progress.iteration:6d}  {progress.seconds:7.0f} s  loss {progress.loss:.4f}  {scores}"
