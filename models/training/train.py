"""A package's recipe and its cases become its weights."""

import csv
import re
import shutil
from pathlib import Path

from models.manifest import Manifest
from models.registry import MANIFEST, Package, digest, read
from models.runtimes import safetensors
from models.training.cases import Example, as_example, open_case
from models.training.recipe import Recipe, read_recipe
from models.training.split import split_for
from models.training.trainer import Examples, Progress, Trainer

BEST, LAST, LOG = "best.safetensors", "last.safetensors", "log.csv"
DIGEST_LINE = re.compile(r"(?m)^(\s*sha256:\s*).*$")


def train(folder: Path, source: Path | None, run: Path, device: str) -> Package:
    """Trains the package in `folder` and puts the best weights into it; the log and the last weights stay in `run`."""
    package, recipe = read(folder), read_recipe(folder)
    examples = _examples(package, recipe, source)
    run.mkdir(parents=True, exist_ok=True)
    print(f"{len(examples.training)} cases to train on, {len(examples.validation)} to choose by", flush=True)
    _keep_best(Trainer(package.manifest, recipe, examples, device), package.manifest, run, recipe.patience)
    return publish(package, run / BEST)


def publish(package: Package, weights: Path) -> Package:
    """The package with these weights in it, and their digest in its manifest."""
    shutil.copyfile(weights, package.weights)
    path = package.folder / MANIFEST
    written = path.read_text(encoding="utf-8")
    path.write_text(DIGEST_LINE.sub(rf"\g<1>{digest(package.weights)}", written, count=1), encoding="utf-8")
    return read(package.folder)


def _examples(package: Package, recipe: Recipe, source: Path | None) -> Examples:
    split = split_for(package.folder, recipe, source)

    def example(name: str) -> Example:
        return as_example(open_case(recipe.cases, name, source), package.manifest.preprocessing)

    return Examples([example(name) for name in split.training], [example(name) for name in split.validation])


def _keep_best(trainer: Trainer, manifest: Manifest, run: Path, patience: int | None) -> None:
    best, worse = -1.0, 0
    with (run / LOG).open("w", newline="", encoding="utf-8") as file:
        log = csv.writer(file)
        log.writerow(["iteration", "seconds", "loss", *(label.name for label in manifest.labels)])
        for progress in trainer.run():
            log.writerow([progress.iteration, round(progress.seconds), progress.loss, *progress.dice])
            file.flush()
            print(_sentence(progress), flush=True)
            safetensors.save(trainer.weights, run / LAST)
            if progress.mean_dice > best:
                best, worse = progress.mean_dice, 0
                shutil.copyfile(run / LAST, run / BEST)
                continue
            worse += 1
            if worse == patience:
                return


def _sentence(progress: Progress) -> str:
    dice = " ".join(f"{score:.3f}" for score in progress.dice)
    return f"{progress.iteration:6d}  {progress.seconds:7.0f} s  loss {progress.loss:.4f}  Dice {dice}"
