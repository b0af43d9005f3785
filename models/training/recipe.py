"""How a package is trained, as data: `training.yaml` as one typed value."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import yaml
from pydantic import Field, ValidationError, model_validator

from models.preparation import Axes
from models.registry import PackageError
from models.sections import AxisIndex
from models.terms import Text, Triple

RECIPE = "training.yaml"
AnyRecipe = TypeVar("AnyRecipe", bound=Text)


class Loss(StrEnum):
    """What training makes small: models/training/losses.py."""

    DICE = "dice"
    CROSS_ENTROPY = "cross_entropy"
    DICE_AND_CROSS_ENTROPY = "dice_and_cross_entropy"
    BCE = "bce"
    MSE = "mse"
    LAPLACE = "laplace"
    EDGES = "edges"


class Schedule(StrEnum):
    """How the learning rate falls to nothing after the warm-up."""

    COSINE = "cosine"
    POLYNOMIAL = "polynomial"


class Drawn(Text):
    """How patients are split by chance.

    Either some of them are held out, or there are so few that all of them are held out in turn: `folds`.
    """

    held_out: int = Field(default=0, ge=0)  # patients evaluated on, never trained on, never chosen by
    folds: int | None = Field(default=None, ge=2)  # each trains on the others; what is shipped trains on all of them
    validation: int = Field(ge=1)  # patients that the checkpoint is chosen by
    seed: int

    @model_validator(mode="after")
    def _is_evaluated(self) -> "Drawn":
        if bool(self.held_out) == bool(self.folds):
            raise ValueError("cases are either held out or in folds: say one of the two")
        return self


class Folder(Drawn):
    """Cases of a folder in the Decathlon's layout: images/ and labels/ with equal file names."""

    kind: Literal["folder"]
    axes: Axes | None = None  # how they run, where the files are wrong about it


class Visits(Drawn):
    """Patients of a CSV file with a row for each visit."""

    kind: Literal["visits"]
    file: str
    patient: str  # the column that says whose a visit is
    weeks: str  # the column that says when it was, from any day of the patient's
    columns: dict[str, str]  # the column of each input by its name, that of the baseline at every visit
    words: dict[str, str] = Field(default_factory=dict)  # what a word of the file is called in the manifest


class Phantoms(Text):
    """Synthetic cases, made on the fly; the three groups are three ranges of seeds."""

    kind: Literal["phantoms"]
    training: int = Field(ge=1)
    validation: int = Field(ge=1)
    held_out: int = Field(ge=1)
    shape: tuple[int, int, int]
    spacing_mm: Triple


class Augmentation(Text):
    """How far a training patch may differ from its case; each range is drawn from evenly."""

    rotation_deg: float = Field(default=0.0, ge=0.0)  # about each axis, either way
    scale: float = Field(default=0.0, ge=0.0, lt=1.0)  # each axis, 1 - scale to 1 + scale
    elastic_voxels: float = Field(default=0.0, ge=0.0)  # standard deviation of a coarse displacement
    shift_voxels: float = Field(default=0.0, ge=0.0)  # of a patch larger than its case
    mirror_axes: tuple[AxisIndex, ...] = ()
    contrast: float = Field(default=0.0, ge=0.0, lt=1.0)
    brightness: float = Field(default=0.0, ge=0.0)
    gamma: float = Field(default=0.0, ge=0.0, lt=1.0)
    bias_field: float = Field(default=0.0, ge=0.0)  # deviation of the logarithm of a smooth factor
    noise: float = Field(default=0.0, ge=0.0)  # highest standard deviation
    withheld: float = Field(default=0.0, ge=0.0, le=1.0)  # how often a value that a model may do without is


class Teaching(Text):
    """How long and in which steps a network is taught, whatever it is taught."""

    seed: int
    iterations: int = Field(ge=1)
    batch: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    schedule: Schedule = Schedule.COSINE
    weight_decay: float = Field(default=0.01, ge=0)
    warm_up: int = Field(default=100, ge=0)
    longest_gradient: float = Field(default=12.0, gt=0)  # a longer one is cut to this length
    average_decay: float = Field(default=0.995, ge=0, lt=1)  # of the running average of the weights
    validate_every: int = Field(ge=1)
    patience: int | None = Field(default=None, ge=1)  # validations without a better one after which training stops


class Recipe(Teaching):
    """Everything that decides what the weights become, beside the cases and the manifest."""

    cases: Annotated[Folder | Phantoms | Visits, Field(discriminator="kind")]
    augmentation: Augmentation = Augmentation()
    loss: Loss = Loss.DICE_AND_CROSS_ENTROPY
    foreground: float = Field(default=0.5, ge=0, le=1)  # share of the patches or slices taken from a structure


class ClassFolders(Text):
    """Images in folders by what they show; the patient is the first group of the pattern that is not empty."""

    kind: Literal["class_folders"]
    folders: dict[str, tuple[str, ...]]  # folder -> the names of the classes that its images show
    patient: str  # a regular expression on the file name; a patient is one of a folder
    held_out: float = Field(gt=0, lt=1)  # share of the images of each combination of classes
    validation: float = Field(gt=0, lt=1)
    seed: int


class ImageTable(Text):
    """Images named by a CSV file with the columns file, class (several with | between them, or none) and patient."""

    kind: Literal["table"]
    file: str
    held_out: float = Field(gt=0, lt=1)
    validation: float = Field(gt=0, lt=1)
    seed: int


class ImageAugmentation(Text):
    """How far a training image may differ from its case; each range is drawn from evenly."""

    rotation_deg: float = Field(default=0.0, ge=0.0)  # either way
    scale: float = Field(default=0.0, ge=0.0, lt=1.0)  # each axis, 1 - scale to 1 + scale
    shift: float = Field(default=0.0, ge=0.0, lt=1.0)  # each axis, share of it
    mirror: bool = False  # left and right
    contrast: float = Field(default=0.0, ge=0.0, lt=1.0)
    gamma: float = Field(default=0.0, ge=0.0, lt=1.0)
    noise: float = Field(default=0.0, ge=0.0)  # highest standard deviation
    collimation: float = Field(default=0.0, ge=0.0, lt=0.5)  # share of the image that is darkened along each edge


class AtLeastSensitivity(Text):
    """The highest operating point that still finds this share of what there is to find."""

    sensitivity: float = Field(gt=0, le=1)


class ClassificationRecipe(Teaching):
    """As a Recipe, of a model that judges images; the validation images decide the operating points too."""

    cases: Annotated[ClassFolders | ImageTable, Field(discriminator="kind")]
    augmentation: ImageAugmentation
    sampling: Literal["even", "balanced"] = "balanced"  # balanced: every combination of classes is as frequent
    calibration: Literal["platt", "temperature", "none"] = "platt"
    operating_point: Literal["youden"] | AtLeastSensitivity = "youden"
    prevalence: float = Field(gt=0, lt=1)  # at which the card says predictive values


def read_recipe(folder: Path) -> Recipe:
    """The recipe of the package in a folder, which marks structures.

    Raises PackageError when it is absent or wrong.
    """
    return _read(folder, Recipe)


def read_classification_recipe(folder: Path) -> ClassificationRecipe:
    """The recipe of the package in a folder, which judges images. Raises as `read_recipe`."""
    return _read(folder, ClassificationRecipe)


def _read(folder: Path, kind: type[AnyRecipe]) -> AnyRecipe:
    path = folder / RECIPE
    try:
        return kind.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise PackageError(f"{path} is not a recipe: {error}") from error
