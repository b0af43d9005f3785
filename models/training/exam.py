"""What every kind of model is asked with, and what its examiner is to the rest."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from models.environment import Environment
from models.registry import Package
from models.training.evaluation import AnyEvaluation


@dataclass(frozen=True, slots=True)
class Exam:
    """What is evaluated: a package, the folder of its cases, the device, and where its folds were trained.

    `environment` is that of nnU-Net, where the site has one. A chain has been bound to the packages of its steps.
    """

    package: Package
    source: Path | None
    device: str
    run: Path | None = None
    environment: Environment | None = None


class Examiner(Protocol):
    """How a package of one kind is evaluated: cases become rows, and rows become figures."""

    @property
    def names(self) -> Sequence[str]:
        """The cases that are asked about. Raises ValueError when there are none."""

    def __call__(self, names: Iterable[str]) -> AnyEvaluation:
        """The rows of these cases, and the figures over them."""
