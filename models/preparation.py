"""From an image to what a network sees, as data, shared by training and inference."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from models.terms import Text, Triple


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


class Own(Text):
    """As the program that runs the model does it itself: the image goes in on its own grid, with its own values."""

    kind: Literal["own"]


def _span_the_body(axes: str) -> str:
    if {_ALONG[letter] for letter in axes} != set(_ALONG.values()):
        raise ValueError(f"{axes} names a direction of the body twice and another not at all")
    return axes


_ALONG = {"L": "x", "R": "x", "A": "y", "P": "y", "I": "z", "S": "z"}

Axes = Annotated[str, Field(pattern=r"^[LRAPIS]{3}$"), AfterValidator(_span_the_body)]

Intensity = Annotated[
    Standardize | StandardizeNonzero | Window | Scale | Percentiles | Own, Field(discriminator="kind")
]


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
