"""`python -m models.training train|evaluate <package folder> [--data DIR]`."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from models.inference import pick_device
from models.training.train import train

RUNS = Path("runs")


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains or evaluates one package."""
    asked = _parser().parse_args(arguments)
    torch.set_num_threads(asked.threads)
    device = pick_device(asked.device)
    train(asked.package, asked.data, asked.run or RUNS / asked.package.name, device)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.training", description=__doc__)
    parser.add_argument("what", choices=("train", "evaluate"))
    parser.add_argument("package", type=Path, help="the folder of the package")
    parser.add_argument("--data", type=Path, help="the folder with images/ and labels/")
    parser.add_argument("--run", type=Path, help="where log and checkpoints go (default: runs/<package>)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser


if __name__ == "__main__":
    main()
