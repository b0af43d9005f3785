"""MeshNet in torch: dilated convolutions one after the other, at full resolution."""

from torch import nn

from models.architectures import MeshNet

ACTIVATIONS = {"relu": nn.ReLU, "elu": nn.ELU, "gelu": nn.GELU}


def build(size: MeshNet, inputs: int, classes: int) -> nn.Module:
    """The network with fresh weights: (n, inputs, z, y, x) -> (n, classes, z, y, x) logits, for any z, y, x."""
    widths = [inputs] + [size.width] * len(size.dilations)
    layers = [
        nn.Sequential(
            nn.Conv3d(before, after, 3, padding=dilation, dilation=dilation),
            nn.BatchNorm3d(after),
            ACTIVATIONS[size.activation](),
        )
        for before, after, dilation in zip(widths, widths[1:], size.dilations, strict=False)
    ]
    return nn.Sequential(*layers, nn.Conv3d(size.width, classes, 1))
