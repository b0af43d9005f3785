"""A package that finds boxes, for tests, and a network that needs no teaching: it points at what is bright."""

from typing import Any

import torch
from torch import nn

from models.boxes import Corners
from models.edges import AXES, EdgeNetwork
from models.manifest import Location
from models.volume import Grid, Volume
from tests.unit.models.packages import CODE, written

BRIGHT = 240.0  # HU: the upper end of the packages' window
SHARP = 40.0


class Bright(nn.Module):
    """Votes for the first and the last bright voxel along each axis; `sharp` says how clearly."""

    def __init__(self, sharp: float = SHARP, offset: float = 0.0) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.tensor(offset))
        self._sharp = sharp

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(n, 1, z, y, x) -> (n, 6, z, y, x)."""
        dark = 1000.0 * (values < 0.5)
        indices = torch.meshgrid(*map(torch.arange, values.shape[2:]), indexing="ij")
        sides = [sign * self._sharp * indices[axis] for sign in (-1, 1) for axis in range(AXES)]
        return torch.stack([side - dark[:, 0] for side in sides], 1) + self.offset


def pointing(sharp: float = SHARP, offset: float = 0.0) -> EdgeNetwork:
    """A network for one structure."""
    return EdgeNetwork(Bright(sharp, offset))


def located_written(**changes: Any) -> dict[str, Any]:
    """A manifest as it stands in a file."""
    structure = {"name": "Liver", "value": 1, "category": CODE, "type": CODE, "color_rgb": [1, 2, 3]}
    manifest = written(task="locate", inference={"window_mm": [36, 48, 36], "spread_mm": 6}, structures=[structure])
    del manifest["labels"]
    return manifest | changes


def locating(**changes: Any) -> Location:
    """A manifest as a value."""
    return Location.model_validate(located_written(**changes))


def with_a_cuboid(grid: Grid, inside: Corners) -> Volume:
    """A dark volume that is bright in a cuboid from the first to before the last index along each axis."""
    values = torch.full(grid.shape, -160.0)
    (z0, y0, x0), (z1, y1, x1) = inside.astype(int).tolist()
    values[z0:z1, y0:y1, x0:x1] = BRIGHT
    return Volume(grid, values.numpy())
