"""The training loop: examples and a recipe become weights, the same ones on the same machine with as many threads."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel

from models import networks
from models.manifest import Manifest
from models.tasks import patches
from models.training.augmentation import apply, centre_for, draw
from models.training.cases import Example
from models.training.losses import dice_and_cross_entropy
from models.training.recipe import Recipe
from models.training.scores import dice

LONGEST_GRADIENT = 12.0


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """The examples that train and the examples that choose the checkpoint."""

    training: Sequence[Example]
    validation: Sequence[Example]


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training stands: mean loss since the last report, and Dice of each label over the validation examples."""

    iteration: int
    seconds: float
    loss: float
    dice: tuple[float, ...]

    @property
    def mean_dice(self) -> float:
        """What the checkpoint is chosen by."""
        return float(np.mean(self.dice))


class Trainer:
    """A network on its way; `weights` are the running average of those the optimiser has visited."""

    def __init__(self, manifest: Manifest, recipe: Recipe, examples: Examples, device: str = "cpu") -> None:
        torch.manual_seed(recipe.seed)
        self._rng = np.random.default_rng(recipe.seed)
        self._manifest, self._recipe, self._examples, self._device = manifest, recipe, examples, device
        self._network = networks.build(manifest.network, classes=len(manifest.labels) + 1).to(device)
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
        values, labels = self._batch()
        self._network.train()
        loss = dice_and_cross_entropy(self._network(values), labels)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), LONGEST_GRADIENT)
        self._optimiser.step()
        self._schedule.step()
        self._average.update_parameters(self._network)
        return float(loss.detach())

    def _batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Intensities (n, 1, z, y, x) and labels (n, z, y, x)."""
        drawn = [self._patch() for _ in range(self._recipe.batch)]
        values = torch.from_numpy(np.stack([patch.values for patch in drawn]))[:, None]
        labels = torch.from_numpy(np.stack([patch.labels for patch in drawn]).astype(np.int64))
        return values.to(self._device), labels.to(self._device)

    def _patch(self) -> Example:
        example = self._examples.training[int(self._rng.integers(len(self._examples.training)))]
        shape = self._manifest.inference.patch
        centre = centre_for(self._rng, example, shape, self._recipe.foreground)
        return apply(draw(self._rng, self._recipe.augmentation, centre), example, shape)

    def _validate(self) -> tuple[float, ...]:
        """Mean Dice of each label with the averaged weights, without mirroring."""
        network = self._average.module.eval()
        plain = self._manifest.inference.model_copy(update={"mirror_axes": ()})
        scores = []
        for example in self._examples.validation:
            found = patches.probabilities(network, example.values, plain).argmax(0)
            values = [label.value for label in self._manifest.labels]
            scores.append([dice(found == value, example.labels == value) for value in values])
        return tuple(float(score) for score in np.mean(scores, axis=0))

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
