"""The training loop: a course and a recipe become weights, the same ones on the same machine with as many threads."""

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel

from models.training.course import Course
from models.training.recipe import Schedule, Teaching

POWER = 0.9  # of the polynomial schedule
State = dict[str, Any]  # tensors, numbers and texts: what torch reads back without running anything


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


def _unwatched(_iteration: int, _loss: float) -> None:
    """Nobody looks on."""


class Trainer:
    """A network on its way; `weights` are the running average of those the optimiser has visited."""

    def __init__(self, teach: Callable[[], Course], recipe: Teaching, device: str = "cpu") -> None:
        torch.manual_seed(recipe.seed)  # before a network is made
        self._rng = np.random.default_rng(recipe.seed)
        self._course, self._recipe, self._device = teach(), recipe, device
        self._network = self._course.network.to(device)
        self._average = AveragedModel(self._network, avg_fn=self._averaged)
        self._optimiser = torch.optim.AdamW(
            self._network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, self._share_of_learning_rate)
        self._done, self._seconds = 0, 0.0

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """The averaged weights under the network's own names."""
        return dict(self._average.module.state_dict())

    def run(self, watch: Callable[[int, float], None] = _unwatched) -> Iterator[Progress]:
        """Trains to the end of the recipe, and reports on the way; `watch` is told each iteration and its loss."""
        started, losses = time.monotonic() - self._seconds, []
        while self._done < self._recipe.iterations:
            losses.append(self._step())
            self._done += 1
            watch(self._done, losses[-1])
            if self._done % self._recipe.validate_every == 0 or self._done == self._recipe.iterations:
                scores = self._validate()
                self._seconds = time.monotonic() - started
                yield Progress(self._done, self._seconds, float(np.mean(losses)), scores)
                losses = []

    def state(self) -> State:
        """All that the next iteration depends on, at the moment of a report."""
        return {
            "done": self._done,
            "seconds": self._seconds,
            "network": self._network.state_dict(),
            "average": self._average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
            "draws": json.dumps(self._rng.bit_generator.state),
            "random": torch.get_rng_state(),
        }

    def restore(self, state: State) -> None:
        """Goes on from a state of a trainer of the same course and recipe as if it had never stopped."""
        self._done, self._seconds = state["done"], state["seconds"]
        self._network.load_state_dict(state["network"])
        self._average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])
        self._rng.bit_generator.state = json.loads(state["draws"])
        torch.set_rng_state(state["random"])

    def _step(self) -> float:
        inputs, targets = (tensor.to(self._device) for tensor in self._course.batch(self._rng))
        self._network.train()
        with torch.autocast(self._device, torch.bfloat16, enabled=self._device == "cuda"):
            answers = self._network(inputs)
        loss = self._course.loss(answers.float(), targets)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), self._recipe.longest_gradient)
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
        """Rises over the warm-up, then falls to nothing."""
        recipe = self._recipe
        if iteration < recipe.warm_up:
            return (iteration + 1) / recipe.warm_up
        done = min((iteration - recipe.warm_up) / max(recipe.iterations - recipe.warm_up, 1), 1.0)
        if recipe.schedule is Schedule.POLYNOMIAL:
            return float((1 - done) ** POWER)
        return 0.5 * (1 + math.cos(math.pi * done))
