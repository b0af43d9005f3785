"""A volume in the making: structures are painted over each other, and the truth with them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from models.phantom.shapes import Field
from models.volume import Grid, LabelMap, Volume


@dataclass(frozen=True, slots=True, eq=False)
class Canvas:
    """HU and labels on a grid; an edge is as wide as a voxel, as partial volume makes it."""

    grid: Grid
    values: NDArray[np.float32]
    labels: NDArray[np.uint8]

    @classmethod
    def of_air(cls, grid: Grid) -> "Canvas":
        """Nothing but air."""
        return cls(grid, np.full(grid.shape, -1000, np.float32), np.zeros(grid.shape, np.uint8))

    def paint(self, distance: Field, hounsfield: float | Field, label: int = 0) -> None:
        """Paints the inside of a shape; it carries `label` where it fills more than half of the voxel."""
        edge_mm = float(np.mean(self.grid.spacing_mm))
        share = np.clip(0.5 - distance / edge_mm, 0, 1)
        self.values[...] += share * (hounsfield - self.values)
        self.labels[share > 0.5] = label

    def tint(self, distance: Field, hounsfield: float) -> None:
        """Paints a part of a structure, which keeps its label."""
        edge_mm = float(np.mean(self.grid.spacing_mm))
        self.values[...] += np.clip(0.5 - distance / edge_mm, 0, 1) * (hounsfield - self.values)

    def scanned(self, rng: np.random.Generator, noise_hounsfield: float) -> Volume:
        """The painting as a scanner shows it: a little blurred, with noise that neighbours share."""
        noise = gaussian_filter(rng.standard_normal(self.grid.shape, dtype=np.float32), 0.6)
        noise *= noise_hounsfield / noise.std()
        blurred = gaussian_filter(self.values, 0.35)
        return Volume(self.grid, np.round(np.clip(blurred + noise, -1024, 3071)).astype(np.float32))

    def truth(self) -> LabelMap:
        """The labels as painted."""
        return LabelMap(self.grid, self.labels)
