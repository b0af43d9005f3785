"""The training loop: a course and a recipe become weights, the same ones on the same machine with as many threads."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel

from models.training.course import Course
from models.training.recipe import Recipe

LONGEST_GRADIENT = 12.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training stands: mean loss since the last report, and the scores by name."""

    iteration: int
    seconds: float
    loss: float
    scores: dict[str, float]

    @property
    def mean(self) -> float:
        """What the checkpoint is chosen by."""
        return float(np.mean(list(self.scores.values())))


class Trainer:
    """A network on its way; `weights` are the running average of those the optimiser has visited."""

    def __init__(self, teach: Callable[[], Course], recipe: Recipe, device: str = "cpu") -> None:
        torch.manual_seed(recipe.seed)  # before a network is made
        self._rng = np.random.default_rng(recipe.seed)
        self._course, self._recipe, self._device = teach(), recipe, device
        self._network = self._course.network.to(device)
        self._average = AveragedModel(self._network, avg_fn=self._averaged)
        self._optimiser = torch.optim.AdamW(
            self._network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, self._share_of_learning_rate)

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """The averaged weights under the network's own names."""
        return dict(self._average.module.state_dict())

    def run(self) -> Iterator[Progress]:
        """Trains to the end of the recipe, and reports on the way."""
        started, losses = time.monotonic(), []
        for iteration in range(1, self._recipe.iterations + 1):
            losses.append(self._step())
            if iteration % self._recipe.validate_every == 0 or iteration == self._recipe.iterations:
                yield Progress(iteration, time.monotonic() - started, float(np.mean(losses)), self._validate())
                losses = []

    def _step(self) -> float:
        inputs, targets = (tensor.to(self._device) for tensor in self._course.batch(self._rng))
        self._network.train()
        loss = self._course.loss(self._network(inputs), targets)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), LONGEST_GRADIENT)
        self._optimiser.step()
        self._schedule.step()
        self._average.update_parameters(self._network)
        return float(loss.detach())

    def _validate(self) -> dict[str, float]:
        """The scores of the averaged weights."""
        return self._course.scores(self._average.module.eval())

    def _averaged(self, average: torch.Tensor, current: torch.Tensor, _: torch.Tensor | int) -> torch.Tensor:
        """The running average takes a small step towards the current weights."""
        return average.lerp(current, 1 - self._recipe.average_decay)

    def _share_of_learning_rate(self, iteration: int) -> float:
        """Rises over the warm-up, then falls to nothing along half a cosine."""
        recipe = self._recipe
        if iteration < recipe.warm_up:
            return (iteration + 1) / recipe.warm_up
        done = (iteration - recipe.warm_up) / max(recipe.iterations - recipe.warm_up, 1)
        return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
