"""The layers of a MeshNet as Brainchop writes them down in JSON: a closed form, and numbers in it alone."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from models.adoption.statement import read_mapping
from models.adoption.tensors import Tensors
from models.architectures import MeshNet
from models.registry import PackageError, corrections
from models.terms import Text


class Layer(Text):
    """One convolution; channels are placeholders there, since the weights say how many they are."""

    in_channels: int
    out_channels: int
    kernel_size: Literal[1, 3]
    padding: int
    stride: Literal[1]
    dilation: int = Field(ge=1, le=64)

    @model_validator(mode="after")
    def _keeps_the_size(self) -> "Layer":
        if self.padding != self.dilation * (self.kernel_size // 2):
            raise ValueError(f"a padding of {self.padding} changes the size of the image")
        return self


class Layers(Text):
    """A MeshNet from its first layer to its last."""

    header: str = ""
    bnorm: Literal[True]
    gelu: bool  # by name; the makers' own networks have an ELU there, and were trained with it
    dropout_p: float = 0.0  # of no effect on an answer
    layers: tuple[Layer, ...] = Field(min_length=2, max_length=65)

    @model_validator(mode="after")
    def _ends_in_classes(self) -> "Layers":
        *body, last = self.layers
        if last.kernel_size != 1 or any(layer.kernel_size != 3 for layer in body):
            raise ValueError("the last convolution alone is 1x1x1, the others are 3x3x3")
        return self


def read_layers(path: Path, tensors: Tensors) -> MeshNet:
    """The network that a layer file describes, as wide as the weights are. Raises PackageError for any other form."""
    try:
        layers = Layers.model_validate(read_mapping(path.read_bytes(), str(path)))
    except OSError as error:
        raise PackageError(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        raise PackageError(f"{path}: {corrections(error)}") from error
    first = next(iter(tensors.values()))
    if first.ndim != 5:
        raise PackageError(f"the first tensor has {first.ndim} axes: a MeshNet begins with a convolution in 3-D")
    return MeshNet(
        name="meshnet",
        width=first.shape[0],
        dilations=tuple(layer.dilation for layer in layers.layers[:-1]),
        activation="elu" if layers.gelu else "relu",
    )
