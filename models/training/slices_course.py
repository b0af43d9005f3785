"""Teaching to mark structures in slices: each is the middle of a thin patch, changed as a patch in 3-D is."""

import numpy as np
import torch

from models.manifest import SliceSegmentation
from models.tasks.slices import window_size
from models.training.augmentation import Floats, apply, draw, structures_in
from models.training.cases import Example
from models.training.marking_course import Examples, MarkingCourse
from models.training.recipe import Recipe


class SlicesCourse(MarkingCourse):
    """Slices in 2-D, or with neighbours in 2.5-D, in the window that inference looks through."""

    def __init__(self, manifest: SliceSegmentation, recipe: Recipe, examples: Examples) -> None:
        super().__init__(manifest, recipe, examples)
        self._axis, self._neighbours = manifest.inference.axis, manifest.inference.neighbours
        thick = [2 * self._neighbours + 1] * 3
        self._shape = window_size(tuple(thick), self._axis, manifest.window)

    def batch(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Intensities (n, 2 * neighbours + 1, row, column) and labels (n, row, column) of the middle one."""
        drawn = [self._slab(rng) for _ in range(self._recipe.batch)]
        values = np.stack([np.moveaxis(slab.values, self._axis, 0) for slab in drawn])
        labels = np.stack([np.take(slab.labels, self._neighbours, self._axis) for slab in drawn])
        return torch.from_numpy(values), torch.from_numpy(labels.astype(np.int64))

    def _slab(self, rng: np.random.Generator) -> Example:
        example = self._any_example(rng)
        centre = middle_for(rng, example, self._axis, self._recipe.foreground)
        return apply(draw(rng, self._recipe.augmentation, centre), example, self._shape)


def middle_for(rng: np.random.Generator, example: Example, axis: int, foreground: float) -> Floats:
    """The middle of a slice of the example, (3,): in a share `foreground` of draws of one that a structure is on."""
    slices = np.arange(example.labels.shape[axis])
    structures = structures_in(example)
    if structures.size and rng.random() < foreground:
        others = tuple(each for each in range(3) if each != axis)
        slices = np.flatnonzero((example.labels == rng.choice(structures)).any(axis=others))
    middle = (np.asarray(example.labels.shape, dtype=np.float64) - 1) / 2
    middle[axis] = rng.choice(slices)
    return middle
