"""The folder of a run: its log, its curves, the best weights so far, and the checkpoint that a killed run goes on from.

What is written may be written again: rows and curves are made anew from the checkpoint's own history at each report.
"""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from models.registry import PackageError
from models.runtimes import safetensors
from models.training.curves import curves
from models.training.trainer import Progress, Trainer

BEST, LAST, CHECKPOINT, LOG, CURVES = "best.safetensors", "last.safetensors", "checkpoint.pt", "log.csv", "curves.png"


def run_of(package: Path) -> Path:
    """Where a run lies that was given no folder, by the folder of its package."""
    return Path("runs") / package.resolve().name


def fold_folder(run: Path, number: int) -> Path:
    """Where fold 1, 2, 3, ... of a run lies."""
    return run / f"fold-{number}"


@dataclass(slots=True)
class Run:
    """What has been reported of a run so far."""

    folder: Path
    purpose: str  # a digest of all that decides what the weights become
    history: list[Progress] = field(default_factory=list)

    @property
    def worse(self) -> int:
        """How many reports there were since the best one."""
        means = [progress.mean for progress in self.history]
        return len(means) - 1 - int(np.argmax(means)) if means else 0

    def resume(self, trainer: Trainer) -> None:
        """Goes on from the checkpoint of the folder; without one the run begins.

        Raises PackageError when the checkpoint is one of another recipe, split or model.
        """
        path = self.folder / CHECKPOINT
        if not path.is_file():
            return
        written = torch.load(path, map_location="cpu", weights_only=True)
        if written["purpose"] != self.purpose:
            raise PackageError(f"{path} is of another recipe, split or manifest: name a new folder with --run")
        trainer.restore(written["trainer"])
        self.history = [Progress(**row) for row in written["history"]]

    def report(self, progress: Progress, trainer: Trainer) -> None:
        """Keeps the weights, the log, the curves, and last of all the checkpoint that says that they are there."""
        self.history.append(progress)
        for name in (LAST, BEST)[: 1 if self.worse else 2]:
            safetensors.save(trainer.weights, self.folder / f"{name}.part")
            (self.folder / f"{name}.part").replace(self.folder / name)
        _write_log(self.folder / LOG, self.history)
        curves(self.history).save(self.folder / CURVES)
        part = self.folder / f"{CHECKPOINT}.part"
        rows = [asdict(each) for each in self.history]
        torch.save({"purpose": self.purpose, "trainer": trainer.state(), "history": rows}, part)
        part.replace(self.folder / CHECKPOINT)


def _write_log(path: Path, history: Sequence[Progress]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        log = csv.writer(file)
        log.writerow(["iteration", "seconds", "loss", *history[0].scores])
        for progress in history:
            log.writerow([progress.iteration, round(progress.seconds), progress.loss, *progress.scores.values()])
