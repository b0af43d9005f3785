"""What `isocenter train` becomes: `python -m models.training PACKAGE --data DIR`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from models.inference import pick_device
from models.registry import read
from models.training.exam import Exam
from models.training.marking_examiner import marking_examiner
from models.training.run import run_of
from models.training.train import train, train_folds


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains one package, or the folds of its recipe."""
    asked = _parser().parse_args(arguments)
    run, device = asked.run or run_of(asked.package), pick_device(asked.device)
    if asked.folds:
        train_folds(asked.package, asked.data, run, device)
        examiner = marking_examiner(Exam(read(asked.package), asked.data, device, run))
        scores = examiner.scores(examiner.names)
        mean = sum(score.mean_dice for score in scores) / len(scores)
        print(f"mean Dice of {len(scores)} cases, each asked of the fold that never saw it: {mean:.3f}")
        return
    package = train(asked.package, asked.data, run, device)
    print(f"{package.weights} is new: evaluate it before it is used")


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
