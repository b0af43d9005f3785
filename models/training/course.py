"""What is taught: the one thing that differs between kinds of model while they train."""

from typing import Protocol

import numpy as np
import torch
from torch import nn


class Course(Protocol):
    """Cases as batches, what is made small over them, and how good a network is by now."""

    @property
    def network(self) -> nn.Module:
        """The network with fresh weights, drawn from torch's own generator."""

    def batch(self, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets; the same ones for a generator in the same state."""

    def loss(self, answers: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """A scalar."""

    def scores(self, network: nn.Module) -> dict[str, float]:
        """How good the network is on the cases that choose the checkpoint, by name: more is better."""
