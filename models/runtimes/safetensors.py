"""Our own weights: one safetensors file whose tensors have the names of the network's parameters."""

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from models.registry import Package, PackageError, verify

AnyNetwork = TypeVar("AnyNetwork", bound=nn.Module)


def load(package: Package, network: AnyNetwork, device: str) -> AnyNetwork:
    """The network with the package's weights, in float32 and ready to predict.

    Raises PackageError when the weights are missing, are not the ones of the manifest, or do not fit the network.
    """
    verify(package)
    try:
        network.load_state_dict(_read(package.weights))
    except RuntimeError as error:
        raise PackageError(f"{package.weights} does not fit the network of the manifest: {error}") from error
    return network.to(device).eval()


def save(weights: dict[str, torch.Tensor], path: Path) -> None:
    """Writes the weights in half precision."""
    save_file({name: tensor.detach().cpu().half().contiguous() for name, tensor in weights.items()}, path)


def keep(weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Writes the weights of others in the precision that they came in."""
    save_file({name: tensor.detach().cpu().clone().contiguous() for name, tensor in weights.items()}, path)


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        return {name: tensor.float() for name, tensor in load_file(path).items()}
    except SafetensorError as error:
        raise PackageError(f"{path} is not a safetensors file: {error}") from error
