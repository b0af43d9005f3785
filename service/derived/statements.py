"""Everything that a part of a report states, read with no help from the library that wrote it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pydicom import Dataset

from service.derived.content_tree import Term, term

IMAGING_MEASUREMENTS: Term = ("126010", "DCM")
GROUP: Term = ("125007", "DCM")


@dataclass(frozen=True, slots=True)
class Number:
    """A numeric value with its unit."""

    value: float
    unit: Term | None


@dataclass(frozen=True, slots=True)
class Shape:
    """Spatial coordinates in an image: POINT, POLYLINE, ..., with (column, row) pairs one after another."""

    kind: str
    coordinates: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """An image, one of its frames, one of its segments."""

    sop_instance_uid: str
    frame_number: int | None = None
    segment_number: int | None = None


Value = Term | Number | Shape | Reference | str | None


@dataclass(frozen=True, slots=True)
class Statement:
    """One content item with those below it: a name, and a value that is None in a container."""

    name: Term | None
    value: Value
    below: tuple["Statement", ...] = ()


def ordered(statements: Iterable[Statement]) -> tuple[Statement, ...]:
    """Statements by their names; those of one name stay in their order."""
    return tuple(sorted(statements, key=lambda statement: statement.name or ("", "")))


def groups(report: Dataset) -> list[tuple[Statement, ...]]:
    """What each measurement group of a report states."""
    tree = statements(report)
    measured = [each for part in tree if part.name == IMAGING_MEASUREMENTS for each in part.below]
    return [each.below for each in measured if each.name == GROUP]


def statements(item: Dataset) -> tuple[Statement, ...]:
    """What is directly below an item, by names."""
    return ordered(
        Statement(term(child), _value(child), statements(child)) for child in item.get("ContentSequence", [])
    )


def _value(item: Dataset) -> Value:
    read = _READERS.get(item.ValueType)
    return None if read is None else read(item)


def _number(item: Dataset) -> Number:
    measured = item.MeasuredValueSequence[0]
    return Number(float(measured.NumericValue), term(measured, "MeasurementUnitsCodeSequence"))


def _shape(item: Dataset) -> Shape:
    return Shape(item.GraphicType, tuple(float(coordinate) for coordinate in item.GraphicData))


def _reference(image: Dataset) -> Reference:
    item = image.ReferencedSOPSequence[0]
    frame, segment = item.get("ReferencedFrameNumber"), item.get("ReferencedSegmentNumber")
    return Reference(
        item.ReferencedSOPInstanceUID, None if frame is None else int(frame), None if segment is None else int(segment)
    )


_READERS: Mapping[str, Callable[[Dataset], Value]] = {
    "CODE": lambda item: term(item, "ConceptCodeSequence"),
    "NUM": _number,
    "SCOORD": _shape,
    "IMAGE": _reference,
    "TEXT": lambda item: str(item.TextValue),
    "UIDREF": lambda item: str(item.UID),
    "DATE": lambda item: str(item.Date),
}
