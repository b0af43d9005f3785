"""From what is known of a patient to the row of numbers that a network sees, for training and inference alike."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from models.quantities import AnyInput, NumberInput

Values = Mapping[str, float | str]  # by the names of inputs; what is not known is not there


@dataclass(frozen=True, slots=True)
class Known:
    """What a model is told of a patient, and on which day the value that the prediction starts from was measured."""

    values: Values
    measured_on: date


def width(inputs: Sequence[AnyInput]) -> int:
    """How many numbers the network sees."""
    return sum(_width(each) for each in inputs)


def encode(inputs: Sequence[AnyInput], values: Values) -> NDArray[np.float32]:
    """The numbers, (width,). Raises ValueError for a required value that is missing, and for an unknown word."""
    return np.array([number for each in inputs for number in _encoded(each, values)], dtype=np.float32)


def places(inputs: Sequence[AnyInput]) -> dict[str, slice]:
    """Where each input lies in the row; all of it is 0 where the value is not known."""
    ends = np.cumsum([_width(each) for each in inputs]).tolist()
    return {each.name: slice(end - _width(each), end) for each, end in zip(inputs, ends, strict=True)}


def objections(inputs: Sequence[AnyInput], values: Values) -> Iterator[str]:
    """Every reason in the values against running the model, value and expectation named."""
    for each in inputs:
        value = values.get(each.name)
        if value is None:
            if each.required:
                yield f"no {each.title} is known for this patient"
        elif isinstance(each, NumberInput):
            if not each.range.holds(float(value)):
                unit = each.unit.value
                yield f"the {each.title} is {value:g} {unit}; the model was validated on {each.range} {unit}"
        elif value not in each.values:
            yield f"the {each.title} is {value}; the model was validated on {' or '.join(each.values)}"


def in_words(inputs: Sequence[AnyInput], values: Values) -> str:
    """What the network was told, for a reader; what it was not told is said to be unknown."""
    return ", ".join(f"{each.title} {_words(each, values.get(each.name))}" for each in inputs if each.learned)


def _words(each: AnyInput, value: float | str | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:g} {each.unit.value}" if isinstance(each, NumberInput) else str(value)


def _width(each: AnyInput) -> int:
    """A number that may be missing has a second place that says whether it is there."""
    if isinstance(each, NumberInput):
        return 1 if each.required else 2
    return len(each.values)


def _encoded(each: AnyInput, values: Values) -> Iterator[float]:
    value = values.get(each.name) if each.learned else None
    if value is None:
        if each.required:
            raise ValueError(f"no {each.title} is known")
        yield from (0.0,) * _width(each)
    elif isinstance(each, NumberInput):
        yield (float(value) - each.centre) / each.scale
        yield from () if each.required else (1.0,)
    elif value in each.values:
        yield from (float(value == word) for word in each.values)
    else:
        raise ValueError(f"{value} is none of {', '.join(each.values)}")
