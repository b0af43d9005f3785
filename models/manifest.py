"""What a model package says of itself: `manifest.yaml` as one typed value, readable without torch."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, model_validator

from models.preparation import ImagePreprocessing, Preprocessing
from models.quantities import AnyInput, Baseline, NumberInput, Output, Perceptron
from models.sections import (
    AnyNetwork,
    Evidence,
    ImageClass,
    ImageNetwork,
    Inference,
    Intake,
    Label,
    Licences,
    Measure,
    Network,
    RadiographIntake,
    SliceInference,
    Weights,
)
from models.terms import Text


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
