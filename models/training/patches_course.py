"""Teaching to mark structures in patches of volumes, which differ from their cases as the recipe allows."""

import numpy as np
import torch

from models.manifest import PatchSegmentation
from models.training.augmentation import apply, centre_for, draw
from models.training.cases import Example
from models.training.marking_course import Examples, MarkingCourse
from models.training.recipe import Recipe


class PatchesCourse(MarkingCourse):
    """Patches in 3-D."""

    def __init__(self, manifest: PatchSegmentation, recipe: Recipe, examples: Examples) -> None:
        super().__init__(manifest, recipe, examples)
        self._shape = manifest.inference.patch

    def batch(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Intensities (n, 1, z, y, x) and labels (n, z, y, x)."""
        drawn = [self._patch(rng) for _ in range(self._recipe.batch)]
        values = torch.from_numpy(np.stack([patch.values for patch in drawn]))[:, None]
        return values, torch.from_numpy(np.stack([patch.labels for patch in drawn]).astype(np.int64))

    def _patch(self, rng: np.random.Generator) -> Example:
        example = self._any_example(rng)
        centre = centre_for(rng, example, self._shape, self._recipe.foreground)
        return apply(draw(rng, self._recipe.augmentation, centre), example, self._shape)
