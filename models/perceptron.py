"""The network behind predictions: how much a quantity changes until a week, and how sure that is."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from models.inputs import width
from models.manifest import Regression
from models.quantities import Output, Perceptron

WEEKS_PER_YEAR = 365.25 / 7
_OF_TIME = 2  # the year, and its square root: what a baseline was wrong by shows at once, and the decline later


class ChangeNetwork(nn.Module):
    """Rows (n, width + 1), whose last number is weeks -> (n, 2): the change, and sigma, in the output's unit."""

    def __init__(self, perceptron: Perceptron, inputs: int, output: Output) -> None:
        super().__init__()
        sizes = (inputs + _OF_TIME, *perceptron.hidden)
        hidden = [layer for before, after in pairwise(sizes) for layer in (nn.Linear(before, after), nn.Tanh())]
        self.layers = nn.Sequential(*hidden, nn.Linear(sizes[-1], 2))
        self._scale, self._least = output.scale, output.least_sigma

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(n, width + 1) -> (n, 2); sigma is never below what measuring twice differs by."""
        years = rows[:, -1:] / WEEKS_PER_YEAR
        change, spread = self.layers(torch.cat([rows[:, :-1], years, years.sqrt()], 1)).unbind(1)
        return torch.stack([self._scale * change, self._least + self._scale * F.softplus(spread)], 1)


def perceptron_of(manifest: Regression) -> ChangeNetwork:
    """The manifest's network with fresh weights."""
    return ChangeNetwork(manifest.network, width(manifest.inputs), manifest.output)


def rows_at(features: torch.Tensor, weeks: torch.Tensor) -> torch.Tensor:
    """Rows of features (n, width) and weeks (n,) as the network takes them, (n, width + 1)."""
    return torch.cat([features, weeks[:, None]], 1)
