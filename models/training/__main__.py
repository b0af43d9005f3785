"""What `isocenter train` becomes: `python -m models.training PACKAGE --data DIR`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.inference import pick_device
from models.manifest import Location
from models.registry import read
from models.training.exam import Exam
from models.training.location_examiner import location_examiner
from models.training.marking_examiner import marking_examiner
from models.training.run import run_of
from models.training.train import train, train_folds


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains one package, or the folds of its recipe."""
    asked = _parser().parse_args(arguments)
    run, device = asked.run or run_of(asked.package), pick_device(asked.device)
    if asked.folds:
        train_folds(asked.package, asked.data, run, device)
        print(_of_folds(Exam(read(asked.package), asked.data, device, run)))
        return
    package = train(asked.package, asked.data, run, device)
    print(f"{package.weights} is new: evaluate it before it is used")


def _of_folds(exam: Exam) -> str:
    """How good the folds are by the first metric of their kind, over cases and structures."""
    examiner = (location_examiner if isinstance(exam.package.manifest, Location) else marking_examiner)(exam)
    found = examiner.held_out(examiner.names)
    metric = found.figures[0].metric
    mean = np.mean([figure.value for figure in found.figures if figure.metric is metric and figure.value is not None])
    return f"mean {metric} of {len(found.cases)} cases, each asked of the fold that never saw it: {mean:.3f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.training", description=__doc__)
    parser.add_argument("package", type=Path, help="the folder of the package")
    parser.add_argument("--data", type=Path, help="the folder of the cases")
    parser.add_argument("--run", type=Path, help="where log, checkpoints and folds lie (default: runs/<package>)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--folds", action="store_true", help="train the recipe's folds, and report on them")
    return parser


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:  # PackageError is one
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
