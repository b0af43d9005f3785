"""Teaching to mark structures: patches of volumes, differing from their cases as the recipe allows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from models import networks
from models.manifest import Segmentation
from models.tasks import patches
from models.training.augmentation import apply, centre_for, draw
from models.training.cases import Example
from models.training.losses import dice_and_cross_entropy
from models.training.recipe import Recipe
from models.training.scores import dice


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """The examples that train and the examples that choose the checkpoint."""

    training: Sequence[Example]
    validation: Sequence[Example]


class PatchesCourse:
    """A course (models/training/course.py) of patches in 3-D."""

    def __init__(self, manifest: Segmentation, recipe: Recipe, examples: Examples) -> None:
        self.network = networks.build(manifest.network, classes=len(manifest.labels) + 1)
        self._manifest, self._recipe, self._examples = manifest, recipe, examples

    def batch(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Intensities (n, 1, z, y, x) and labels (n, z, y, x)."""
        drawn = [self._patch(rng) for _ in range(self._recipe.batch)]
        values = torch.from_numpy(np.stack([patch.values for patch in drawn]))[:, None]
        return values, torch.from_numpy(np.stack([patch.labels for patch in drawn]).astype(np.int64))

    def loss(self, answers: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Dice and cross-entropy."""
        return dice_and_cross_entropy(answers, targets)

    def scores(self, network: nn.Module) -> dict[str, float]:
        """Mean Dice of each label, without mirroring."""
        plain = self._manifest.inference.model_copy(update={"mirror_axes": ()})
        scores = []
        for example in self._examples.validation:
            found = patches.probabilities(network, example.values, plain).argmax(0)
            values = [label.value for label in self._manifest.labels]
            scores.append([dice(found == value, example.labels == value) for value in values])
        means = np.mean(scores, axis=0)
        return {label.name: float(mean) for label, mean in zip(self._manifest.labels, means, strict=True)}

    def _patch(self, rng: np.random.Generator) -> Example:
        example = self._examples.training[int(rng.integers(len(self._examples.training)))]
        shape = self._manifest.inference.patch
        centre = centre_for(rng, example, shape, self._recipe.foreground)
        return apply(draw(rng, self._recipe.augmentation, centre), example, shape)
