"""Networks that others have trained: each one's size as data, with the names that its makers gave to the arguments."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from models.terms import Text

Count = Annotated[int, Field(ge=1, le=4096)]
Steps = Annotated[tuple[Annotated[int, Field(ge=1, le=16)], ...], Field(min_length=1, max_length=64)]
Dilations = Annotated[tuple[Annotated[int, Field(ge=1, le=64)], ...], Field(min_length=1, max_length=64)]
Counts = Annotated[tuple[Count, ...], Field(min_length=1, max_length=64)]

Fold = Annotated[int, Field(ge=0, le=99)] | Literal["all"]


class MeshNet(Text):
    """Convolutions at full resolution that see ever further by dilation: no path down and up (Fedorov et al. 2017)."""

    name: Literal["meshnet"]
    width: Count  # channels of every layer
    dilations: Dilations  # of the 3x3x3 convolutions, in their order
    activation: Literal["relu", "elu", "gelu"] = "relu"


class OnnxGraph(Text):
    """A network that is a graph in an ONNX file, which says its own size."""

    name: Literal["onnx"]


class NnUNet(Text):
    """A trained model folder of nnU-Net v2, which nnU-Net itself runs in an environment of its own."""

    name: Literal["nnunet"]
    configuration: str = Field(pattern=r"^[A-Za-z0-9_]{1,100}$")
    folds: tuple[Fold, ...] = Field(min_length=1, max_length=32)  # whose answers are averaged
    checkpoint: str = Field(default="checkpoint_final.pth", pattern=r"^checkpoint_[a-z]{1,50}\.pth$")


def _by_name(layer: object) -> object:
    """MONAI names a layer alone or with its arguments: "batch", or ["group", {"num_groups": 8}]."""
    match layer:
        case str():
            return {"kind": layer.lower()}
        case [str() as kind, {**arguments}]:
            return {"kind": kind.lower(), **arguments}
    return layer


class Norm(Text):
    """A normalisation and the arguments of it that matter here; one that is not said is MONAI's own."""

    kind: Literal["batch", "instance", "group"]
    affine: bool | None = None
    num_groups: Count | None = None
    eps: float | None = None


class Activation(Text):
    """An activation and its arguments, as in `Norm`."""

    kind: Literal["relu", "prelu", "leakyrelu", "elu", "gelu"]
    inplace: bool | None = None
    negative_slope: float | None = None


NormLayer = Annotated[Norm, BeforeValidator(_by_name)]
ActivationLayer = Annotated[Activation, BeforeValidator(_by_name)]
Kernel = Annotated[int, Field(ge=1, le=15)] | tuple[Steps, ...] | Steps


class MonaiUNet(Text):
    """MONAI's UNet: a residual or plain U-shape."""

    name: Literal["monai_unet"]
    channels: Counts
    strides: Steps
    kernel_size: Annotated[int, Field(ge=1, le=15)] = 3
    up_kernel_size: Annotated[int, Field(ge=1, le=15)] = 3
    num_res_units: int = Field(default=0, ge=0, le=16)
    act: ActivationLayer = Activation(kind="prelu")
    norm: NormLayer = Norm(kind="instance")
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)  # of no effect on an answer
    bias: bool = True
    adn_ordering: Literal["NDA", "NAD", "AND", "NA", "A"] = "NDA"


class MonaiDynUNet(Text):
    """MONAI's DynUNet: the U-shape of nnU-Net."""

    name: Literal["monai_dynunet"]
    kernel_size: tuple[Kernel, ...]
    strides: tuple[Kernel, ...]
    upsample_kernel_size: tuple[Kernel, ...]
    filters: Counts | None = None
    norm_name: NormLayer = Norm(kind="instance", affine=True)
    act_name: ActivationLayer = Activation(kind="leakyrelu", inplace=True, negative_slope=0.01)
    deep_supervision: bool = False
    deep_supr_num: Count = 1
    res_block: bool = False
    trans_bias: bool = False


class MonaiSegResNet(Text):
    """MONAI's SegResNet: residual blocks down and up, without the branch of an autoencoder."""

    name: Literal["monai_segresnet"]
    init_filters: Count = 8
    blocks_down: Steps = (1, 2, 2, 4)
    blocks_up: Steps = (1, 1, 1)
    dropout_prob: float | None = None  # of no effect on an answer
    act: ActivationLayer = Activation(kind="relu", inplace=True)
    norm: NormLayer = Norm(kind="group", num_groups=8)
    use_conv_final: bool = True
    upsample_mode: Literal["deconv", "nontrainable", "pixelshuffle"] = "nontrainable"


class MonaiBasicUNet(Text):
    """MONAI's BasicUNet: two convolutions on each of five levels."""

    name: Literal["monai_basicunet"]
    features: tuple[Count, Count, Count, Count, Count, Count] = (32, 32, 64, 128, 256, 32)
    act: ActivationLayer = Activation(kind="leakyrelu", negative_slope=0.1, inplace=True)
    norm: NormLayer = Norm(kind="instance", affine=True)
    bias: bool = True
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)  # of no effect on an answer
    upsample: Literal["deconv", "nontrainable", "pixelshuffle"] = "deconv"


MONAI = MonaiUNet | MonaiDynUNet | MonaiSegResNet | MonaiBasicUNet
