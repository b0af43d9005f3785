"""`python -m models.training train <package folder> --data DIR`, and `evaluate` after it."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from models.inference import pick_device
from models.training.evaluate import evaluate
from models.training.evaluation import card_lines
from models.training.train import train

RUNS = Path("runs")


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains or evaluates one package."""
    asked = _parser().parse_args(arguments)
    torch.set_num_threads(asked.threads)
    asked.command(asked)


def _train(asked: argparse.Namespace) -> None:
    run = asked.run or RUNS / asked.package.resolve().name
    package = train(asked.package, asked.data, run, pick_device(asked.device))
    print(f"{package.weights} is new: evaluate it before it is used")


def _evaluate(asked: argparse.Namespace) -> None:
    _, evaluation = evaluate(asked.package, asked.data, pick_device(asked.device))
    print("\n".join(card_lines(evaluation)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.training", description=__doc__)
    commands = parser.add_subparsers(required=True)
    training = commands.add_parser("train", help="recipe and cases become weights")
    training.add_argument("--run", type=Path, help="where log and checkpoints go (default: runs/<package>)")
    training.set_defaults(command=_train)
    evaluating = commands.add_parser("evaluate", help="score the held-out cases and write the card's numbers")
    evaluating.set_defaults(command=_evaluate)
    for command in (training, evaluating):
        command.add_argument("package", type=Path, help="the folder of the package")
        command.add_argument("--data", type=Path, help="the folder with images/ and labels/")
        command.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
        command.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser


if __name__ == "__main__":
    main()
