"""What a model package says of itself: `manifest.yaml` as one typed value, readable without torch."""

from abc import abstractmethod
from hashlib import sha256
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, model_validator

from models.architectures import NnUNet
from models.preparation import ImagePreprocessing, Own, Preprocessing
from models.quantities import AnyInput, Baseline, NumberInput, Output, Perceptron
from models.sections import (
    AnyNetwork,
    BoxInference,
    BoxStructure,
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
from models.steps import Step
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
    weights: Weights | None  # none of its own has a chain
    licences: Licences

    @property
    @abstractmethod
    def weights_sha256(self) -> str:
        """One digest of all the weights that answer."""

    @property
    def said_sha256(self) -> str:
        """The digest of what it says; what it leaves out is left out."""
        return sha256(self.model_dump_json(exclude_unset=True).encode()).hexdigest()


class Trained(Manifest):
    """A model with weights of its own."""

    weights: Weights

    @property
    def weights_sha256(self) -> str:
        """The digest of its weights."""
        return self.weights.sha256


class Segmentation(Trained):
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
    def _is_prepared_by_who_runs_it(self) -> "Segmentation":
        if isinstance(self.network, NnUNet) != isinstance(self.preprocessing.intensity, Own):
            raise ValueError("intensity is of kind own for nnunet, which prepares its images itself, and for no other")
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


class Classification(Trained):
    """A model that says what a radiograph shows, and where the evidence for it lies."""

    task: Literal["classify"]
    intake: RadiographIntake
    preprocessing: ImagePreprocessing
    network: ImageNetwork
    classes: tuple[ImageClass, ...] = Field(min_length=1)
    heat_map: Literal["cam", "grad_cam"] | None = None  # class activation maps of the network's last features
    mirror: bool = False  # whether the answer is the mean over the image and its mirror image


class Regression(Trained):
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


class Chain(Manifest):
    """Several models one after another on one volume, each but the first where an earlier one found something."""

    task: Literal["chain"]
    intake: Intake
    weights: None = None
    steps: tuple[Step, ...] = Field(min_length=2)

    @property
    def weights_sha256(self) -> str:
        """One digest over those that the steps name, in their order."""
        return sha256("\n".join(step.weights_sha256 for step in self.steps).encode()).hexdigest()

    def tells(self, number: int) -> bool:
        """True when anything that a step finds is told; the first step is number 1."""
        tell = self.steps[number - 1].tell
        return number == len(self.steps) if tell is None else bool(tell)

    def tells_of(self, number: int, name: str) -> bool:
        """True when what a step finds under this name is told."""
        tell = self.steps[number - 1].tell
        return name in tell if isinstance(tell, tuple) else self.tells(number)

    @model_validator(mode="after")
    def _steps_follow_earlier_ones(self) -> "Chain":
        if self.steps[0].within is not None:
            raise ValueError("step 1 works on the whole image: there is no earlier step that it could be within")
        for number, step in enumerate(self.steps[1:], start=2):
            if step.within is None or step.within.step >= number:
                raise ValueError(f"step {number} works within what an earlier step found: say which by `within`")
        return self

    @model_validator(mode="after")
    def _tells_something(self) -> "Chain":
        if not any(map(self.tells, range(1, len(self.steps) + 1))):
            raise ValueError("no step is told: a chain says what at least one of its steps found")
        return self


class Location(Trained):
    """A model that puts an upright box around each structure of a volume."""

    task: Literal["locate"]
    intake: Intake
    preprocessing: Preprocessing
    network: Network
    inference: BoxInference
    structures: tuple[BoxStructure, ...] = Field(min_length=1)

    @property
    def window(self) -> tuple[int, int, int]:
        """Voxels of the network's grid that the network sees, (z, y, x)."""
        sizes = zip(self.inference.window_mm, self.preprocessing.spacing_mm, strict=True)
        slices, rows, columns = (round(wide / mm) for wide, mm in sizes)
        return slices, rows, columns

    @model_validator(mode="after")
    def _sees_in_space(self) -> "Location":
        if self.network.name not in ("dynunet", "residual_unet"):
            raise ValueError(f"boxes are found in space, by dynunet or residual_unet, not by {self.network.name}")
        return self

    @model_validator(mode="after")
    def _window_fits_the_network(self) -> "Location":
        step = 2 ** (len(self.network.channels) - 1)
        if any(count < 2 * step or count % step for count in self.window):
            raise ValueError(f"a window is a multiple of {step} voxels each way, and two of them, not {self.window}")
        return self


AnyKind = PatchSegmentation | SliceSegmentation | Classification | Regression | Location | Chain

# one more kind of model is one more of the union, told apart by `task`

_KINDS: TypeAdapter[AnyKind] = TypeAdapter(Annotated[AnyKind, Field(discriminator="task")])


def parse(written: object) -> Manifest:
    """The manifest that a mapping says. Raises pydantic's ValidationError when it is wrong."""
    return _KINDS.validate_python(written)
