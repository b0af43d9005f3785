"""Training images that differ from their case: what to change is drawn first and applied second."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from models.training.recipe import ImageAugmentation

Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """One set of changes; an image is a function of its case and a draw, and of nothing else."""

    matrix: NDArray[np.float64]  # (2, 2) places of the new image -> places of the old, (x, y), each axis -1 to 1
    shift: NDArray[np.float64]  # (2,) likewise
    contrast: float
    gamma: float
    noise: float
    noise_seed: int
    collimation: NDArray[np.float64]  # (4,) shares of the image along its top, bottom, left and right edge


def draw(rng: np.random.Generator, ranges: ImageAugmentation) -> Draw:
    """Changes within the ranges."""
    angle = np.deg2rad(rng.uniform(-1.0, 1.0) * ranges.rotation_deg)
    scales = 1.0 + rng.uniform(-1.0, 1.0, 2) * ranges.scale
    if ranges.mirror:
        scales[0] *= rng.choice((-1.0, 1.0))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return Draw(
        matrix=turn * scales,
        shift=rng.uniform(-2.0, 2.0, 2) * ranges.shift,
        contrast=1.0 + float(rng.uniform(-1.0, 1.0)) * ranges.contrast,
        gamma=1.0 + float(rng.uniform(-1.0, 1.0)) * ranges.gamma,
        noise=float(rng.uniform(0.0, 1.0)) * ranges.noise,
        noise_seed=int(rng.integers(2**31)),
        collimation=rng.uniform(0.0, 1.0, 4) * ranges.collimation,
    )


def apply(changes: Draw, values: Values) -> torch.Tensor:
    """The image that the changes make of another, (row, column); beyond its edge it goes on as it ends."""
    image = torch.from_numpy(values)[None, None]
    theta = torch.from_numpy(np.column_stack([changes.matrix, changes.shift])).float()[None]
    places = F.affine_grid(theta, list(image.shape), align_corners=False)
    moved = F.grid_sample(image, places, padding_mode="border", align_corners=False)[0, 0]
    lowest, span = moved.min(), (moved.max() - moved.min()).clamp(min=1e-6)
    bent = ((moved - lowest) / span).clamp(0.0, 1.0) ** changes.gamma * span + lowest
    stretched = (bent - bent.mean()) * changes.contrast + bent.mean()
    generator = torch.Generator().manual_seed(changes.noise_seed)
    noisy = stretched + changes.noise * torch.randn(stretched.shape, generator=generator)
    return _collimated(noisy, changes.collimation)


def _collimated(image: torch.Tensor, shares: NDArray[np.float64]) -> torch.Tensor:
    """The image between its edges, which become as dark as its darkest pixel."""
    rows, columns = image.shape
    lengths = (rows, rows, columns, columns)
    top, bottom, left, right = (round(share * along) for share, along in zip(shares, lengths, strict=True))
    inside = (slice(top, rows - bottom), slice(left, columns - right))
    dark = torch.full_like(image, float(image.min()))
    dark[inside] = image[inside]
    return dark
