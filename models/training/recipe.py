"""How a package is trained, as data: `training.yaml` as one typed value."""

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field, ValidationError

from models.manifest import AxisIndex, Text, Triple
from models.registry import PackageError

RECIPE = "training.yaml"


class Folder(Text):
    """Cases of a folder in the Decathlon's layout: images/ and labels/ with equal file names."""

    kind: Literal["folder"]
    held_out: int = Field(ge=1)  # evaluated on, never trained on, never chosen by
    validation: int = Field(ge=1)  # the checkpoint is chosen by
    seed: int


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


class Recipe(Text):
    """Everything that decides what the weights become, beside the cases and the manifest."""

    cases: Annotated[Folder | Phantoms, Field(discriminator="kind")]
    augmentation: Augmentation
    seed: int
    iterations: int = Field(ge=1)
    batch: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    warm_up: int = Field(default=100, ge=0)
    average_decay: float = Field(default=0.995, ge=0, lt=1)  # of the running average of the weights
    validate_every: int = Field(ge=1)
    patience: int | None = Field(default=None, ge=1)  # validations without a better one after which training stops
    foreground: float = Field(default=0.5, ge=0, le=1)  # share of the patches that are centred on a structure


def read_recipe(folder: Path) -> Recipe:
    """The recipe of the package in a folder.

    Raises PackageError when it is absent or wrong.
    """
    path = folder / RECIPE
    try:
        return Recipe.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise PackageError(f"{path} is not a recipe: {error}") from error
