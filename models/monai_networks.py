"""MONAI's networks in torch, by the size that a manifest gives: a closed list, and nothing looked up by name."""

from collections.abc import Callable, Mapping

from monai.networks.nets import BasicUNet, DynUNet, SegResNet, UNet
from torch import nn

from models.architectures import MONAI, Activation, Norm

NETWORKS: Mapping[str, Callable[..., nn.Module]] = {
    "monai_unet": UNet,
    "monai_dynunet": DynUNet,
    "monai_segresnet": SegResNet,
    "monai_basicunet": BasicUNet,
}


def build(size: MONAI, inputs: int, classes: int) -> nn.Module:
    """The network with fresh weights: (n, inputs, z, y, x) -> (n, classes, z, y, x) logits."""
    arguments = {name: _argument(getattr(size, name)) for name in type(size).model_fields if name != "name"}
    return NETWORKS[size.name](spatial_dims=3, in_channels=inputs, out_channels=classes, **arguments)


def _argument(value: object) -> object:
    """A layer in the form that MONAI wants; anything else as it is."""
    if isinstance(value, Norm | Activation):
        return (value.kind.upper(), value.model_dump(exclude={"kind"}, exclude_none=True))
    return value
