"""Training patches that differ from their case: what to change is drawn first and applied second."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch.nn import functional as F

from models.training.cases import Example
from models.training.recipe import Augmentation

Floats = NDArray[np.float64]
COARSE = 5  # nodes per axis of displacement and bias fields


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """One set of changes; a patch is a function of an example and a draw, and of nothing else."""

    centre: Floats  # (3,) voxel of the example in the middle of the patch
    matrix: Floats  # (3, 3) patch voxels -> example voxels
    displacement: Floats  # (3, n, n, n) voxels
    bias: Floats  # (n, n, n) logarithm of a factor
    contrast: float
    brightness: float
    gamma: float
    noise: float
    noise_seed: int


def draw(rng: np.random.Generator, augmentation: Augmentation, centre: Floats) -> Draw:
    """Changes within the ranges of `augmentation`, around a centre."""
    ranges = augmentation
    return Draw(
        centre=centre + _even(rng, ranges.shift_voxels, 3),
        matrix=_matrix(rng, ranges),
        displacement=rng.normal(0.0, 1.0, (3, COARSE, COARSE, COARSE)) * ranges.elastic_voxels,
        bias=rng.normal(0.0, 1.0, (COARSE, COARSE, COARSE)) * ranges.bias_field,
        contrast=1.0 + float(_even(rng, ranges.contrast, 1)[0]),
        brightness=float(_even(rng, ranges.brightness, 1)[0]),
        gamma=1.0 + float(_even(rng, ranges.gamma, 1)[0]),
        noise=float(rng.uniform(0.0, ranges.noise)) if ranges.noise else 0.0,
        noise_seed=int(rng.integers(2**31)),
    )


def centre_for(rng: np.random.Generator, example: Example, patch: tuple[int, int, int], foreground: float) -> Floats:
    """A patch's centre in the example, (3,): in a share `foreground` of draws on a structure.

    The patch never reaches further out of the example than its size makes it.
    """
    shape = np.asarray(example.labels.shape, dtype=np.float64)
    middle, slack = (shape - 1) / 2, np.maximum(shape - patch, 0) / 2
    wanted = middle + rng.uniform(-1.0, 1.0, 3) * slack
    structures = structures_in(example)
    if structures.size and rng.random() < foreground:
        voxels = np.argwhere(example.labels == rng.choice(structures))
        wanted = voxels[rng.integers(len(voxels))].astype(np.float64)
    return np.clip(wanted, middle - slack, middle + slack)


@lru_cache(maxsize=256)
def structures_in(example: Example) -> NDArray[np.uint8]:
    """The labels that the example has beside background, (n,)."""
    return np.flatnonzero(np.bincount(example.labels.ravel()))[1:].astype(np.uint8)


def apply(changes: Draw, example: Example, patch: tuple[int, int, int]) -> Example:
    """The patch of shape `patch` that the changes make of the example."""
    channels = _sampled(_channels(example), _places(changes, example.values.shape, patch))
    values, labels = channels[0], channels[1:].argmax(0)
    return Example(_recoloured(values, changes).numpy(), labels.numpy().astype(np.uint8))


def _even(rng: np.random.Generator, reach: float, count: int) -> Floats:
    return rng.uniform(-1.0, 1.0, count) * reach


def _matrix(rng: np.random.Generator, ranges: Augmentation) -> Floats:
    turn = Rotation.from_euler("zyx", _even(rng, ranges.rotation_deg, 3), degrees=True).as_matrix()
    scales = 1.0 + _even(rng, ranges.scale, 3)
    for axis in ranges.mirror_axes:
        scales[axis] *= rng.choice((-1.0, 1.0))
    return np.asarray(turn * scales)


@lru_cache(maxsize=16)
def _channels(example: Example) -> torch.Tensor:
    """Intensities and one channel per class, (1 + classes, z, y, x): labels are interpolated as likelihoods."""
    labels = torch.from_numpy(example.labels.astype(np.int64))
    one_hot = F.one_hot(labels).movedim(-1, 0).float()
    return torch.cat([torch.from_numpy(example.values)[None], one_hot])


def _places(changes: Draw, shape: tuple[int, ...], patch: tuple[int, int, int]) -> torch.Tensor:
    """Where each patch voxel is taken from: (z, y, x, 3) in -1 to 1 over the example, last axis (x, y, z)."""
    axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in patch]
    offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    places = offsets @ torch.from_numpy(changes.matrix).float().T + torch.from_numpy(changes.centre).float()
    places = places + _smooth(changes.displacement, patch).movedim(0, -1)
    scaled = 2 * places / (torch.tensor(shape) - 1).clamp(min=1) - 1
    return scaled.flip(-1)


def _smooth(nodes: Floats, patch: tuple[int, int, int]) -> torch.Tensor:
    """Coarse nodes (n, a, a, a) spread over the patch: (n, z, y, x)."""
    coarse = torch.from_numpy(nodes).float()[None]
    return F.interpolate(coarse, size=patch, mode="trilinear", align_corners=True)[0]


def _sampled(channels: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    return F.grid_sample(channels[None], places[None], padding_mode="border", align_corners=True)[0]


def _recoloured(values: torch.Tensor, changes: Draw) -> torch.Tensor:
    lowest, span = values.min(), (values.max() - values.min()).clamp(min=1e-6)
    values = ((values - lowest) / span) ** changes.gamma * span + lowest
    factor = _smooth(changes.bias[None], (values.shape[0], values.shape[1], values.shape[2]))[0].exp()
    values = (values * factor - values.mean()) * changes.contrast + values.mean() + changes.brightness
    generator = torch.Generator().manual_seed(changes.noise_seed)
    return values + changes.noise * torch.randn(values.shape, generator=generator)
