"""The closed registry of networks: a name and a size in a manifest become an untrained network."""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from monai.networks.nets import DynUNet, UNet
from torch import nn

from models import meshnet, monai_networks, resnet
from models.architectures import MONAI, MeshNet, NnUNet, OnnxGraph
from models.sections import AnyNetwork, ImageNetwork

Builder = Callable[[tuple[int, ...], int, int], nn.Module]  # channels, inputs, classes


def build(network: AnyNetwork, classes: int, inputs: int = 1) -> nn.Module:
    """The network with fresh weights: (n, inputs, ...) -> (n, classes, ...) logits, ... being z, y, x, or y, x in 2-D.

    Every axis is a multiple of 2 ** (levels - 1), where there are levels. Raises ValueError for a name that is not in
    the registry.
    """
    if isinstance(network, MeshNet):
        return meshnet.build(network, inputs, classes)
    if isinstance(network, OnnxGraph | NnUNet):
        raise ValueError(f"a network of kind {network.name} is run and never built")  # noqa: TRY004 - any network may ask
    if isinstance(network, MONAI):
        return monai_networks.build(network, inputs, classes)
    if network.name not in BUILDERS:
        raise ValueError(f"there is no network {network.name!r}: choose one of {', '.join(BUILDERS)}")
    built = BUILDERS[network.name](network.channels, inputs, classes)
    # On a CPU, convolutions over few channels run up to a third faster in this order.
    order = torch.channels_last if network.name in TWO_DIMENSIONAL else torch.channels_last_3d
    return built.to(memory_format=order)  # type: ignore[call-overload, no-any-return]


def build_for_images(network: ImageNetwork, classes: int) -> resnet.ImageNetwork:
    """The network with fresh weights: (n, 1, row, column) -> (n, classes) logits, each of which may hold by itself."""
    built = FOR_IMAGES[network.name](network.channels, classes)
    return built.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _dynunet(dimensions: int, channels: tuple[int, ...], inputs: int, classes: int) -> nn.Module:
    downsamplings = [2] * (len(channels) - 1)
    network: nn.Module = DynUNet(
        spatial_dims=dimensions,
        in_channels=inputs,
        out_channels=classes,
        kernel_size=[3] * len(channels),
        strides=[1, *downsamplings],
        upsample_kernel_size=downsamplings,
        filters=list(channels),
        norm_name=("INSTANCE", {"affine": True}),
        res_block=True,
    )
    return network


def _residual_unet(dimensions: int, channels: tuple[int, ...], inputs: int, classes: int) -> nn.Module:
    network: nn.Module = UNet(
        spatial_dims=dimensions,
        in_channels=inputs,
        out_channels=classes,
        channels=channels,
        strides=[2] * (len(channels) - 1),
        num_res_units=2,
        norm=("INSTANCE", {"affine": True}),
    )
    return network


BUILDERS: Mapping[str, Builder] = {
    "dynunet": partial(_dynunet, 3),
    "residual_unet": partial(_residual_unet, 3),
    "unet2d": partial(_dynunet, 2),
    "residual_unet2d": partial(_residual_unet, 2),
}
TWO_DIMENSIONAL = frozenset({"unet2d", "residual_unet2d"})
FOR_IMAGES = {"resnet18": resnet.resnet18}
