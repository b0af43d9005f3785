"""The sections of a manifest that predicts a quantity: what it is told, from what it starts, what it states."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from models.terms import Code, Span, Term, Text


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
