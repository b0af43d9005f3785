"""Teaching to put boxes around structures: windows that differ from their cases, and the boxes that move with them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.boxes import around, overlap
from models.edges import EdgeNetwork
from models.manifest import Location
from models.registry import PackageError
from models.tasks.locate import Edges, find_edges, locating_network
from models.training.augmentation import Draw, Floats, apply, draw
from models.training.cases import Example
from models.training.losses import edges
from models.training.recipe import Loss, Recipe

HALF = 0.5  # voxels, from the outer face of an edge's voxel to its middle


@dataclass(frozen=True, slots=True, eq=False)
class Located:
    """A case as the network sees it, and each structure's outline in its voxels, (n, 3); None where there is none."""

    image: Example  # whose labels say nothing: outlines are finer than the network's voxels
    outlines: tuple[Floats | None, ...]


@dataclass(frozen=True, slots=True)
class Cases:
    """Those who train and those who choose the checkpoint."""

    training: Sequence[Located]
    validation: Sequence[Located]


class LocationCourse:
    """A course (models/training/course.py) of volumes and the boxes of their structures."""

    def __init__(self, manifest: Location, recipe: Recipe, cases: Cases) -> None:
        if recipe.loss is not Loss.EDGES:
            raise PackageError(f"{recipe.loss} is no loss of a model that finds boxes: {Loss.EDGES} is")
        if recipe.augmentation.elastic_voxels:
            raise PackageError("a box is carried along by turns, scales and shifts alone: leave out elastic_voxels")
        self.network: nn.Module = locating_network(manifest)
        self._manifest, self._recipe, self._cases = manifest, recipe, cases

    def batch(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Intensities (n, 1, z, y, x), and first and last voxel of each structure, (n, structures, 2, 3)."""
        drawn = [self._any(rng) for _ in range(self._recipe.batch)]
        values, truths = zip(*(window_of(each, self._manifest.window, changes) for each, changes in drawn), strict=True)
        return torch.from_numpy(np.stack(values))[:, None], torch.from_numpy(np.stack(truths).astype(np.float32))

    def loss(self, answers: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Cross-entropy and distance of the edges."""
        return edges(answers, targets)

    def scores(self, network: nn.Module) -> dict[str, float]:
        """What found and true boxes share over what either covers, for each structure, in the cases that have it."""
        assert isinstance(network, EdgeNetwork)  # as made above
        shared = [self._shared(each, network) for each in self._cases.validation]
        names = [structure.name for structure in self._manifest.structures]
        return {name: float(np.nanmean([case[index] for case in shared])) for index, name in enumerate(names)}

    def _any(self, rng: np.random.Generator) -> tuple[Located, Draw]:
        located = self._cases.training[int(rng.integers(len(self._cases.training)))]
        return located, draw(rng, self._recipe.augmentation, middle(located))

    def _shared(self, located: Located, network: EdgeNetwork) -> list[float]:
        found: Edges = find_edges(network, located.image.values, self._manifest.window)
        return [
            np.nan if outline is None else overlap(at, around(outline))
            for at, outline in zip(found.at, located.outlines, strict=True)
        ]


def middle(located: Located) -> Floats:
    """The middle of a case in its voxels, (3,)."""
    return (np.asarray(located.image.values.shape, dtype=np.float64) - 1) / 2


def window_of(
    located: Located, window: tuple[int, int, int], changes: Draw
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """What the changes make of a case: intensities (z, y, x), and first and last voxel of each structure in the window.

    The latter (structures, 2, 3), cut where the window ends; not a number where none of the structure is in it.
    """
    truths = [_edges(carried(each, changes, window), window) for each in located.outlines]
    return apply(changes, located.image, window).values, np.stack(truths)


def carried(outline: Floats | None, changes: Draw, window: tuple[int, int, int]) -> Floats | None:
    """Where the changes put an outline, in voxels of the window, (n, 3): the way back from example to window."""
    if outline is None:
        return None
    return np.asarray(np.linalg.solve(changes.matrix, (outline - changes.centre).T).T + (np.asarray(window) - 1) / 2)


def _edges(outline: Floats | None, window: tuple[int, int, int]) -> NDArray[np.float64]:
    """First and last voxel of an outline in the window, (2, 3); not a number where none of it is there."""
    if outline is None:
        return np.full((2, 3), np.nan)
    low, high = around(outline)
    first, last = low + HALF, high - HALF
    if (last < 0).any() or (first > np.asarray(window) - 1).any():
        return np.full((2, 3), np.nan)
    return np.asarray(np.clip([first, last], 0, np.asarray(window, dtype=np.float64) - 1))
