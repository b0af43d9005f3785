"""A network that says where the first and the last voxel of each structure lies along each axis, as distributions.

For each edge all voxels that are seen have a weight; what counts along an axis is the sum over the other two. That is
learned from few cases: the network need not learn what a place is, and a box moves as the image does.
"""

import torch
from torch import nn
from torch.nn import functional as F

SIDES, AXES = 2, 3
NEVER = -1e4  # the logarithm of no chance at all: a place beyond a shorter axis


class EdgeNetwork(nn.Module):
    """(n, 1, z, y, x) -> (n, structures, 2, 3, longest): logarithms of how likely each place along an axis is the edge.

    The sides are first and last voxel, the axes z, y, x, and `longest` is the largest of the three sizes.
    """

    def __init__(self, votes: nn.Module) -> None:
        super().__init__()
        self.votes = votes

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """As the class says."""
        votes: torch.Tensor = self.votes(values)
        votes = votes.float().reshape(len(votes), -1, SIDES, AXES, *values.shape[2:])
        longest = max(values.shape[2:])
        along = [_along(votes[:, :, :, axis], axis) for axis in range(AXES)]
        return torch.stack([F.pad(each, (0, longest - each.shape[-1]), value=NEVER) for each in along], 3)


def expectation(answers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where each edge is expected, and one deviation of it, in voxels: (..., longest) -> (...), (...)."""
    likely, index = answers.exp(), torch.arange(answers.shape[-1], device=answers.device, dtype=answers.dtype)
    expected = (likely * index).sum(-1)
    variance = (likely * (index - expected[..., None]) ** 2).sum(-1)
    return expected, variance.sqrt()


def _along(votes: torch.Tensor, axis: int) -> torch.Tensor:
    """Votes (n, structures, sides, z, y, x) -> logarithms of chances along one axis, (n, structures, sides, places)."""
    across = tuple(3 + other for other in range(AXES) if other != axis)
    return votes.logsumexp(across).log_softmax(-1)
