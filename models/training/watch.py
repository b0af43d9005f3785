"""What a person sees of a training: a bar that moves where there is a terminal, else a line for each report."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from models.training.trainer import Progress

_INERTIA = 0.95  # of the running loss


class Watch(Protocol):
    """Looks on."""

    def stepped(self, iteration: int, loss: float) -> None:
        """One more iteration."""

    def reported(self, progress: Progress) -> None:
        """One more report."""


class Lines:
    """A line for each report."""

    def stepped(self, iteration: int, loss: float) -> None:
        """Says nothing."""

    def reported(self, progress: Progress) -> None:
        """Prints where training stands."""
        print(sentence(progress), flush=True)


class Moving:
    """A bar with the running loss and the last scores."""

    def __init__(self, bar: Bar, iterations: int) -> None:
        self._bar, self._scores = bar, ""
        self._task = bar.add_task("", total=iterations)
        self._loss: float | None = None

    def stepped(self, iteration: int, loss: float) -> None:
        """Moves the bar."""
        self._loss = loss if self._loss is None else _INERTIA * self._loss + (1 - _INERTIA) * loss
        self._bar.update(self._task, completed=iteration, description=f"loss {self._loss:.4f}  {self._scores}")

    def reported(self, progress: Progress) -> None:
        """Prints where training stands above the bar."""
        self._scores = in_words(progress.scores)
        self._bar.console.print(sentence(progress), highlight=False)


@contextmanager
def watching(iterations: int) -> Iterator[Watch]:
    """Who looks on, for as long as a training takes."""
    console = Console()
    if not console.is_terminal:
        yield Lines()
        return
    columns = (BarColumn(20), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with Bar(*columns, console=console) as bar:
        yield Moving(bar, iterations)


def sentence(progress: Progress) -> str:
    """Where training stands."""
    scores = in_words(progress.scores)
    return f"{progress.iteration:6d}  {progress.seconds:7.0f} s  loss {progress.loss:.4f}  {scores}"


def in_words(scores: Mapping[str, float]) -> str:
    """Names and scores."""
    return "  ".join(f"{name} {score:.3f}" for name, score in scores.items())
