"""Teaching to mark structures: what courses in patches and in slices have in common."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from models.manifest import Segmentation
from models.registry import PackageError
from models.tasks.segment import network_of, probabilities
from models.training.cases import Example
from models.training.losses import OF_LABELS
from models.training.recipe import Recipe
from models.training.scores import dice


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """The examples that train and the examples that choose the checkpoint."""

    training: Sequence[Example]
    validation: Sequence[Example]


class MarkingCourse(ABC):
    """A course (models/training/course.py) whose inputs have one label for each of their voxels."""

    def __init__(self, manifest: Segmentation, recipe: Recipe, examples: Examples) -> None:
        if recipe.loss not in OF_LABELS:
            raise PackageError(f"{recipe.loss} is no loss of a model that marks structures: {', '.join(OF_LABELS)} are")
        self.network = network_of(manifest)
        self._manifest, self._recipe, self._examples = manifest, recipe, examples

    @abstractmethod
    def batch(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Intensities (n, inputs, ...) and labels (n, ...)."""

    def loss(self, answers: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The recipe's."""
        return OF_LABELS[self._recipe.loss](answers, targets)

    def scores(self, network: nn.Module) -> dict[str, float]:
        """Mean Dice of each label, without mirroring."""
        inference = self._manifest.inference.model_copy(update={"mirror_axes": ()})
        plain = self._manifest.model_copy(update={"inference": inference})
        scores = []
        for example in self._examples.validation:
            found = probabilities(network, example.values, plain).argmax(0)
            values = [label.value for label in self._manifest.labels]
            scores.append([dice(found == value, example.labels == value) for value in values])
        means = np.mean(scores, axis=0)
        return {label.name: float(mean) for label, mean in zip(self._manifest.labels, means, strict=True)}

    def _any_example(self, rng: np.random.Generator) -> Example:
        return self._examples.training[int(rng.integers(len(self._examples.training)))]
