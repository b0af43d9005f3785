"""Teaching to judge images: whole radiographs, differing from their cases as the recipe allows."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from models import networks
from models.fitting import to_image
from models.manifest import Classification
from models.training.image_augmentation import apply, draw
from models.training.image_cases import ImageCase, read_radiograph
from models.training.ranking import area_under_roc
from models.training.recipe import ClassificationRecipe

AT_ONCE = 64


@dataclass(frozen=True, slots=True, eq=False)
class JudgedImage:
    """A case as the network sees it: values (row, column) float32, and 1 for each class that it shows, else 0."""

    values: NDArray[np.float32]
    truth: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class JudgedImages:
    """The images that train and the images that choose the checkpoint."""

    training: Sequence[JudgedImage]
    validation: Sequence[JudgedImage]


def judged(case: ImageCase, source: Path, manifest: Classification) -> JudgedImage:
    """The case through the preprocessing that inference uses. Raises ValueError for a class that is not the model's."""
    values = to_image(read_radiograph(source, case.name).values, manifest.preprocessing)
    return JudgedImage(values, truth_of(case, manifest))


def truth_of(case: ImageCase, manifest: Classification) -> NDArray[np.float32]:
    """1 for each class of the manifest that the case shows, else 0, (classes,). Raises as `judged`."""
    names = [each.name for each in manifest.classes]
    strange = set(case.classes) - set(names)
    if strange:
        raise ValueError(f"{case.name} shows {', '.join(sorted(strange))}, which is no class of {manifest.name}")
    return np.array([name in case.classes for name in names], dtype=np.float32)


class ClassifyCourse:
    """A course (models/training/course.py) of images and what they show."""

    def __init__(self, manifest: Classification, recipe: ClassificationRecipe, images: JudgedImages) -> None:
        self.network: nn.Module = networks.build_for_images(manifest.network, classes=len(manifest.classes))
        self._manifest, self._recipe, self._images = manifest, recipe, images
        truths = np.stack([image.truth for image in images.training])
        self._chances = chances(truths, recipe.sampling)
        self._weights = torch.from_numpy(class_weights(truths, self._chances))

    def batch(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (n, 1, row, column), and what they show, (n, classes) of 0 and 1."""
        images = self._images.training
        chosen = [images[index] for index in rng.choice(len(images), self._recipe.batch, p=self._chances)]
        inputs = [apply(draw(rng, self._recipe.augmentation), image.values) for image in chosen]
        return torch.stack(inputs)[:, None], torch.from_numpy(np.stack([image.truth for image in chosen]))

    def loss(self, answers: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Binary cross-entropy of each class, where what is rare among the drawn images counts for more."""
        return F.binary_cross_entropy_with_logits(answers, targets, pos_weight=self._weights.to(answers.device))

    def scores(self, network: nn.Module) -> dict[str, float]:
        """Area under the curve of each class, without mirroring."""
        device = next(network.parameters()).device
        values = torch.from_numpy(np.stack([image.values for image in self._images.validation]))[:, None]
        with torch.inference_mode():
            logits = torch.cat([network(part.to(device)).cpu() for part in torch.split(values, AT_ONCE)]).numpy()
        truths = np.stack([image.truth for image in self._images.validation]) > 0
        names = [each.name for each in self._manifest.classes]
        return {name: area_under_roc(truths[:, index], logits[:, index]) for index, name in enumerate(names)}


def chances(truths: NDArray[np.float32], sampling: str) -> NDArray[np.float64]:
    """How likely each image is drawn, (n,), from what each shows, (n, classes)."""
    if sampling == "even":
        return np.full(len(truths), 1.0 / len(truths))
    combinations = [tuple(truth) for truth in truths]
    frequency = Counter(combinations)
    return np.array([1.0 / (len(frequency) * frequency[each]) for each in combinations])


def class_weights(truths: NDArray[np.float32], chances: NDArray[np.float64]) -> NDArray[np.float32]:
    """How much more an image that shows a class counts than one that does not, (classes,), as they are drawn.

    Raises ValueError for a class that all images show, or none.
    """
    share = chances @ truths
    if not np.all((share > 0) & (share < 1 - 1e-9)):
        raise ValueError("every class needs training images that show it, and some that do not")
    return np.asarray((1 - share) / share, dtype=np.float32)
