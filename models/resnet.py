"""An image network in two parts, so that whoever asks where its evidence lies can look between them."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

GROUPS = 8  # normalisation that does not depend on the batch, and has no state beside the weights
BLOCKS = 2  # of each stage
STRIDES = (1, 2, 2, 1)  # of the stages; the last keeps its resolution, for the sake of class activation maps


class ImageNetwork(nn.Module):
    """Features, (n, 1, row, column) -> (n, channels, rows, columns), and a head that makes (n, classes) of them."""

    def __init__(self, features: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.features, self.head = features, head

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(n, 1, row, column) -> (n, classes) logits."""
        logits: torch.Tensor = self.head(self.features(images))
        return logits


class PooledHead(nn.Module):
    """The mean over the features' positions, and a linear map of it: what class activation maps are exact for."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, classes)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(n, channels, rows, columns) -> (n, classes)."""
        logits: torch.Tensor = self.linear(features.mean((2, 3)))
        return logits


class _Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first, self.first_norm = _convolution(before, after, 3, stride), _normalisation(after)
        self.second, self.second_norm = _convolution(after, after, 3, 1), _normalisation(after)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(_convolution(before, after, 1, stride), _normalisation(after))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        inside = F.relu(self.first_norm(self.first(images)))
        return F.relu(self.second_norm(self.second(inside)) + self.shortcut(images))


def resnet18(channels: tuple[int, int, int, int], classes: int) -> ImageNetwork:
    """ResNet-18 (He et al., 2016) for one input channel, at a sixteenth of the image's resolution before its head."""
    stem = [
        _convolution(1, channels[0], 7, 2),
        _normalisation(channels[0]),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
    ]
    steps = zip(pairwise((channels[0], *channels)), STRIDES, strict=True)
    stages = [_stage(before, after, stride) for (before, after), stride in steps]
    return ImageNetwork(nn.Sequential(*stem, *stages), PooledHead(channels[-1], classes))


def _stage(before: int, after: int, stride: int) -> nn.Module:
    rest = [_Block(after, after, 1) for _ in range(BLOCKS - 1)]
    return nn.Sequential(_Block(before, after, stride), *rest)


def _convolution(before: int, after: int, size: int, stride: int) -> nn.Module:
    return nn.Conv2d(before, after, size, stride=stride, padding=size // 2, bias=False)


def _normalisation(channels: int) -> nn.Module:
    return nn.GroupNorm(GROUPS, channels)
