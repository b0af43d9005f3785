"""What a model package says of itself: `manifest.yaml` as one typed value, readable without torch."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from models.architectures import MONAI, MeshNet, OnnxGraph

Triple = tuple[float, float, float]
PatchShape = tuple[int, int, int]
AxisIndex = Annotated[int, Field(ge=0, le=2)]


class Text(BaseModel):
    """Text from outside: unknown keys are refused and values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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


class Code(Text):
    """A coded concept (PS3.16): value, coding scheme designator, meaning."""

    value: str
    scheme: str
    meaning: str


class Span(Text):
    """A closed interval; a missing end is open."""

    minimum: float | None = None
    maximum: float | None = None

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> "Span":
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"nothing lies between {self.minimum:g} and {self.maximum:g}")
        return self

    def holds(self, value: float) -> bool:
        """True when `value` lies inside."""
        above = self.minimum is None or value >= self.minimum
        return above and (self.maximum is None or value <= self.maximum)

    def __str__(self) -> str:
        if self.minimum is None:
            return f"at most {self.maximum:g}" if self.maximum is not None else "anything"
        return f"at least {self.minimum:g}" if self.maximum is None else f"{self.minimum:g} to {self.maximum:g}"


class Intake(Text):
    """The input a model was validated on; outside of it the model must not run."""

    modalities: tuple[str, ...]
    spacing_mm: Span = Span()  # every axis
    slices: Span = Span(minimum=3)
    irregular_spacing: bool = False  # whether unevenly spaced slices may be interpolated; their largest gap counts
    extent_mm: Span = Span()  # every axis: voxels times spacing
    values: Span = Span()  # after the Modality LUT: HU for CT
    lossy: bool = True  # whether images that went through lossy compression may be read


class Standardize(Text):
    """Zero mean and unit deviation over the image, after clipping to two percentiles of it."""

    kind: Literal["standardize"]
    clip_percentiles: tuple[float, float] = (0.5, 99.5)


class Window(Text):
    """Clip to [minimum, maximum] and scale to [-1, 1]: for CT, where HU have a meaning."""

    kind: Literal["window"]
    minimum: float
    maximum: float


class Percentiles(Text):
    """Scale so that two percentiles of the image become `onto`; what lies outside of them is clipped to it."""

    kind: Literal["percentiles"]
    percentiles: tuple[float, float]
    onto: tuple[float, float] = (0.0, 1.0)
    clip: bool = True


class Scale(Text):
    """Scale so that minimum and maximum become `onto`."""

    kind: Literal["scale"]
    minimum: float
    maximum: float
    onto: tuple[float, float] = (0.0, 1.0)
    clip: bool = True

    @model_validator(mode="after")
    def _spans_something(self) -> "Scale":
        if self.minimum >= self.maximum:
            raise ValueError(f"nothing lies between {self.minimum:g} and {self.maximum:g}")
        return self


class StandardizeNonzero(Text):
    """Zero mean and unit deviation over the voxels that are not 0; those that are stay so."""

    kind: Literal["standardize_nonzero"]


def _span_the_body(axes: str) -> str:
    if {_ALONG[letter] for letter in axes} != set(_ALONG.values()):
        raise ValueError(f"{axes} names a direction of the body twice and another not at all")
    return axes


_ALONG = {"L": "x", "R": "x", "A": "y", "P": "y", "I": "z", "S": "z"}
Axes = Annotated[str, Field(pattern=r"^[LRAPIS]{3}$"), AfterValidator(_span_the_body)]
Intensity = Annotated[Standardize | StandardizeNonzero | Window | Scale | Percentiles, Field(discriminator="kind")]


class Preprocessing(Text):
    """From the source grid to the network's grid, as data, shared by training and inference."""

    axes: Axes = "SPL"  # where the network's three axes run to: ours to Superior, Posterior, Left
    spacing_mm: Triple  # along these axes, in their order
    intensity: Intensity


class ImagePreprocessing(Text):
    """From a radiograph to the network's image, as data, shared by training and inference."""

    rows: int = Field(ge=16)
    columns: int = Field(ge=16)
    fit: Literal["stretch", "pad", "crop"]  # whole, losing its shape; whole, in a margin; its middle
    intensity: Annotated[Standardize | Percentiles, Field(discriminator="kind")]


class Network(Text):
    """A network of the closed registry in `models/networks.py`, and its size."""

    name: Literal["dynunet", "residual_unet", "unet2d", "residual_unet2d"]
    channels: tuple[int, ...]


class ImageNetwork(Text):
    """A network of the closed registry for images, and its size."""

    name: Literal["resnet18"]
    channels: tuple[int, int, int, int]  # of its four stages


AnyNetwork = Annotated[Network | MeshNet | MONAI | OnnxGraph, Field(discriminator="name")]


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


class Term(Text):
    """What a model speaks of: codes as PS3.3 C.8.20.2 wants them, and a colour."""

    name: str
    category: Code
    type: Code
    modifier: Code | None = None  # which part of the type, where two share one
    color_rgb: tuple[int, int, int]


class Label(Term):
    """One structure of the label map, with what is plausible for it."""

    value: int = Field(ge=1, le=255)
    plausible_ml: Span = Span()
    includes: tuple[int, ...] = ()  # labels whose voxels belong to this structure too: a tumour to its liver
    lesions: bool = False  # whether each piece (26 neighbours) is a finding of its own
    measure: tuple[Measure, ...] = ()  # beside the volume
    volume_index: Code | None = None  # what the volume over the body's surface is called, where it is wanted


class Calibration(Text):
    """From the network's answer to a probability, by Platt: the logistic function of slope x answer + offset."""

    slope: float = Field(default=1.0, gt=0)
    offset: float = 0.0


class ImageClass(Term):
    """One thing that an image may show, and from which probability on the site is told that it does."""

    operating_point: float = Field(gt=0, lt=1)
    calibration: Calibration = Calibration()

    @property
    def term(self) -> Term:
        """What it is, without how it is judged."""
        return Term(**{name: getattr(self, name) for name in Term.model_fields})


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


class Manifest(Text):
    """A model package's statement about itself: what every kind of model says."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    title: str
    manufacturer: str = "Isocenter"
    task: str
    evidence: Evidence
    intake: Intake | RadiographIntake
    weights: Weights
    licences: Licences


class Segmentation(Manifest):
    """A model that marks structures in a volume."""

    intake: Intake
    preprocessing: Preprocessing
    network: AnyNetwork
    inference: Inference | SliceInference
    labels: tuple[Label, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _labels_count_up_from_one(self) -> "Segmentation":
        values = [label.value for label in self.labels]
        if values != list(range(1, len(values) + 1)):
            raise ValueError(f"labels are numbered 1, 2, 3, ... in order, not {values}")
        return self

    @model_validator(mode="after")
    def _attenuation_is_of_ct(self) -> "Segmentation":
        asking = [label.name for label in self.labels if Measure.ATTENUATION in label.measure]
        if asking and self.intake.modalities != ("CT",):
            modalities = ", ".join(self.intake.modalities)
            raise ValueError(f"attenuation is measured in CT alone, and {asking[0]} asks for it in {modalities}")
        return self


class PatchSegmentation(Segmentation):
    """A model that marks structures in patches of a volume."""

    task: Literal["patches"]
    inference: Inference


class SliceSegmentation(Segmentation):
    """A model that marks structures in the slices of a volume, one by one."""

    task: Literal["slices"]
    network: Network
    inference: SliceInference

    @property
    def window(self) -> tuple[int, int]:
        """Rows and columns of what the network sees of a slice."""
        spacing_mm = [mm for axis, mm in enumerate(self.preprocessing.spacing_mm) if axis != self.inference.axis]
        rows, columns = (round(wide / mm) for wide, mm in zip(self.inference.window_mm, spacing_mm, strict=True))
        return rows, columns

    @model_validator(mode="after")
    def _window_fits_the_network(self) -> "SliceSegmentation":
        step = 2 ** (len(self.network.channels) - 1)
        if any(count < step or count % step for count in self.window):
            raise ValueError(f"a window is a multiple of {step} pixels each way, not {self.window}")
        return self


class Classification(Manifest):
    """A model that says what a radiograph shows, and where the evidence for it lies."""

    task: Literal["classify"]
    intake: RadiographIntake
    preprocessing: ImagePreprocessing
    network: ImageNetwork
    classes: tuple[ImageClass, ...] = Field(min_length=1)
    heat_map: Literal["cam", "grad_cam"] | None = None  # class activation maps of the network's last features
    mirror: bool = False  # whether the answer is the mean over the image and its mirror image


class Source(StrEnum):
    """Where a value that a model is told comes from."""

    OBSERVATION = "observation"  # what was measured or asked beside the image
    HEADER = "header"  # the patient as the image's header has them
    IMAGE = "image"  # what is measured on the image itself


class NumberInput(Text):
    """A number that a model is told; the network sees it less `centre`, over `scale`."""

    kind: Literal["number"]
    name: str
    title: str  # as people call it
    source: Source
    code: Code
    unit: Code
    range: Span = Span()  # outside of it the model must not run
    centre: float
    scale: float = Field(gt=0)
    required: bool = True
    learned: bool = True  # False: no training case had it, so it is withheld from the network and reported alone


class ChoiceInput(Text):
    """One of several words that a model is told."""

    kind: Literal["choice"]
    name: str
    title: str
    source: Source
    code: Code
    values: tuple[str, ...] = Field(min_length=2)
    required: bool = True
    learned: Literal[True] = True


AnyInput = Annotated[NumberInput | ChoiceInput, Field(discriminator="kind")]


class Baseline(Text):
    """The input that the prediction starts from, and how many days the image may be from it."""

    input: str
    within_days: int = Field(ge=0)


class Output(Term):
    """What is predicted: `type` names the quantity; its unit, and what is plausible."""

    unit: Code
    plausible: Span = Span()
    least_sigma: float = Field(gt=0)  # what measuring twice differs by: no prediction is surer than that
    scale: float = Field(gt=0)  # of a usual change: what the network calls one

    @property
    def term(self) -> Term:
        """What it is, without how it is predicted."""
        return Term(**{name: getattr(self, name) for name in Term.model_fields})


class Perceptron(Text):
    """Layers over a row of numbers; none hidden is a linear map."""

    hidden: tuple[int, ...] = ()


class Regression(Manifest):
    """A model that predicts a quantity and its uncertainty at some weeks after a baseline."""

    task: Literal["regress"]
    intake: Intake
    inputs: tuple[AnyInput, ...] = Field(min_length=1)
    baseline: Baseline
    output: Output
    weeks: tuple[int, ...] = Field(min_length=1)
    network: Perceptron
    lungs: Label | None = None  # what is marked where lung volume is an input

    @property
    def baseline_input(self) -> NumberInput:
        """The number that the prediction starts from."""
        return next(each for each in self.inputs if isinstance(each, NumberInput) and each.name == self.baseline.input)

    @model_validator(mode="after")
    def _starts_from_a_required_number(self) -> "Regression":
        numbers = [each.name for each in self.inputs if each.kind == "number" and each.required]
        if self.baseline.input not in numbers:
            raise ValueError(f"the baseline {self.baseline.input} is none of the required numbers {', '.join(numbers)}")
        return self

    @model_validator(mode="after")
    def _what_is_not_learned_is_not_required(self) -> "Regression":
        if unlearned := [each.name for each in self.inputs if each.required and not each.learned]:
            raise ValueError(f"{unlearned[0]} cannot be required: the network has not learned from it")
        return self

    @model_validator(mode="after")
    def _weeks_go_forward(self) -> "Regression":
        if list(self.weeks) != sorted(set(self.weeks)) or self.weeks[0] <= 0:
            raise ValueError(f"weeks are positive and in order, not {self.weeks}")
        return self


AnyKind = PatchSegmentation | SliceSegmentation | Classification | Regression

# one more kind of model is one more of the union, told apart by `task`
_KINDS: TypeAdapter[AnyKind] = TypeAdapter(Annotated[AnyKind, Field(discriminator="task")])


def parse(written: object) -> Manifest:
    """The manifest that a mapping says. Raises pydantic's ValidationError when it is wrong."""
    return _KINDS.validate_python(written)
