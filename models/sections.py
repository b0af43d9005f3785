"""The sections that manifests of several kinds of model are made of."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from models.architectures import MONAI, MeshNet, NnUNet, OnnxGraph
from models.terms import Code, Span, Term, Text, Triple

PatchShape = tuple[int, int, int]

AxisIndex = Annotated[int, Field(ge=0, le=2)]


class Evidence(StrEnum):
    """What the claim that a model works rests on."""

    REAL = "real"  # trained and evaluated on images of patients
    PHANTOM = "phantom"  # trained and evaluated on synthetic anatomy: never for a patient
    FOREIGN = "foreign"  # evaluated by others


class Measure(StrEnum):
    """What may be measured of a structure beside its volume."""

    DIAMETERS = "diameters"  # the longest in an axial plane and in space, mm
    ATTENUATION = "attenuation"  # mean and deviation, HU: CT only
    PROBABILITY = "probability"  # the mean over its voxels


class Intake(Text):
    """The input a model was validated on; outside of it the model must not run."""

    modalities: tuple[str, ...]
    body_parts: tuple[str, ...] = ()  # Body Part Examined; empty: any. One that an image does not state is no objection
    spacing_mm: Span = Span()  # every axis
    slices: Span = Span(minimum=3)
    irregular_spacing: bool = False  # whether unevenly spaced slices may be interpolated; their largest gap counts
    extent_mm: Span = Span()  # every axis: voxels times spacing
    values: Span = Span()  # after the Modality LUT: HU for CT
    lossy: bool = True  # whether images that went through lossy compression may be read


class Network(Text):
    """A network of the closed registry in `models/networks.py`, and its size."""

    name: Literal["dynunet", "residual_unet", "unet2d", "residual_unet2d"]
    channels: tuple[int, ...]


class ImageNetwork(Text):
    """A network of the closed registry for images, and its size."""

    name: Literal["resnet18"]
    channels: tuple[int, int, int, int]  # of its four stages


AnyNetwork = Annotated[Network | MeshNet | MONAI | OnnxGraph | NnUNet, Field(discriminator="name")]


class Inference(Text):
    """Sliding window in voxels of the network's grid, and the axes to mirror at test time."""

    patch: PatchShape
    overlap: float = Field(default=0.5, ge=0.0, lt=1.0)
    blend: Literal["gaussian", "constant"] = "gaussian"  # how much the middle of a window counts above its edge
    padding: Literal["replicate", "constant"] = "replicate"  # beyond an image that is smaller than a window
    mirror_axes: tuple[AxisIndex, ...] = ()
    largest_component: tuple[int, ...] = ()  # labels that keep only their largest component


class SliceInference(Text):
    """Slices along one axis of the network's grid, each with its neighbours as channels, in a window about the middle.

    What lies outside of the window is background.
    """

    axis: AxisIndex
    neighbours: int = Field(default=0, ge=0)  # slices on either side that go along as channels: 2.5-D
    window_mm: tuple[float, float]  # along the other two axes, in their order; an image that is smaller is continued
    mirror_axes: tuple[AxisIndex, ...] = ()
    largest_component: tuple[int, ...] = ()  # labels that keep only their largest component


class Label(Term):
    """One structure of the label map, with what is plausible for it."""

    value: int = Field(ge=1, le=255)
    plausible_ml: Span = Span()
    includes: tuple[int, ...] = ()  # labels whose voxels belong to this structure too: a tumour to its liver
    lesions: bool = False  # whether each piece (26 neighbours) is a finding of its own
    measure: tuple[Measure, ...] = ()  # beside the volume
    volume_index: Code | None = None  # what the volume over the body's surface is called, where it is wanted


class BoxInference(Text):
    """A window about the middle of the network's grid, and how sure the network has to be of an edge."""

    window_mm: Triple  # along the network's axes; an image that is smaller is continued
    spread_mm: float = Field(gt=0)  # one deviation of where an edge may lie; above it there is no answer


class Size(Text):
    """What is plausible of an upright box, in mm."""

    width: Span = Span()  # from right to left
    depth: Span = Span()  # from front to back
    height: Span = Span()  # from foot to head

    @property
    def spans(self) -> tuple[Span, Span, Span]:
        """Along x, y, z of the patient."""
        return self.width, self.depth, self.height


class BoxStructure(Term):
    """One structure that a box is put around; `value` and `includes` are its labels in the cases that train."""

    value: int = Field(ge=1, le=255)
    includes: tuple[int, ...] = ()  # labels whose voxels belong to this structure too: a tumour to its liver
    plausible_mm: Size = Size()

    @property
    def values(self) -> tuple[int, ...]:
        """All labels whose voxels the box is around."""
        return (self.value, *self.includes)


class Calibration(Text):
    """From the network's answer to a probability, by Platt: the logistic function of slope x answer + offset."""

    slope: float = Field(default=1.0, gt=0)
    offset: float = 0.0


class ImageClass(Term):
    """One thing that an image may show, and from which probability on the site is told that it does."""

    operating_point: float = Field(gt=0, lt=1)
    calibration: Calibration = Calibration()


class Weights(Text):
    """The file that holds the weights and the digest that proves it is the one that was evaluated."""

    file: str = "weights.safetensors"
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Licences(Text):
    """SPDX names of the licences of the training data and of the weights."""

    training_data: str
    weights: str


class RadiographIntake(Text):
    """The projection images a model was validated on."""

    modalities: tuple[str, ...]
    views: tuple[str, ...] = ()  # View Position (PS3.3 C.8.1.1): empty is any, and an image that states none
    body_parts: tuple[str, ...] = ()  # Body Part Examined, as in `views`
    age_years: Span = Span()  # a patient whose age is not known is outside of any span that is not open
    pixels: Span = Span(minimum=64)  # rows, and columns
    lossy: bool = True  # whether images that went through lossy compression may be read
