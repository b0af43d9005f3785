"""From a stack to the models that may run on it, by rules that are patterns and never code."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import translate
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from models.terms import Span
from models.volume import Grid
from service.core.entities import Slice, consensus
from service.core.geometry import plane_name
from service.core.refusals import SayWhyNot


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


Patterns = Annotated[tuple[str, ...], BeforeValidator(_as_list)]


class _Text(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class When(_Text):
    """Conditions, all of which must hold. Patterns are case-blind, with * and ?; several are alternatives."""

    modality: Patterns = ()
    body_part: Patterns = ()
    series_description: Patterns = ()
    study_description: Patterns = ()
    protocol_name: Patterns = ()
    sop_class_uid: Patterns = ()
    manufacturer: Patterns = ()
    contrast_agent: Patterns = ()
    image_type: Patterns = ()
    view_position: Patterns = ()  # of a radiograph: PA, AP, LL, ...
    laterality: Patterns = ()
    plane: Patterns = ()  # axial, coronal, sagittal, oblique
    slices: Span = Span()
    slice_spacing_mm: Span = Span()
    pixel_spacing_mm: Span = Span()
    extent_mm: Span = Span()  # every axis: voxels times spacing


class Rule(_Text):
    """One line of rules.yaml: which stacks go to which model, and where its results go."""

    name: str
    model: str
    destinations: tuple[str, ...] = Field(min_length=1)
    when: When
    say_why_not: SayWhyNot = SayWhyNot.NONE  # where the model does not run on what the rule wanted


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a rule beside what was found."""

    name: str
    wanted: str
    found: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Match:
    """A rule with each of its conditions judged."""

    rule: Rule
    conditions: tuple[Condition, ...]

    @property
    def holds(self) -> bool:
        """True when every condition holds."""
        return all(condition.holds for condition in self.conditions)

    @property
    def objection(self) -> str:
        """The first condition that does not hold, in words; empty when all do."""
        failed = next((condition for condition in self.conditions if not condition.holds), None)
        return f"{failed.name} is {failed.found}, not {failed.wanted}" if failed else ""


_ATTRIBUTES = {
    "modality": "Modality",
    "body_part": "BodyPartExamined",
    "series_description": "SeriesDescription",
    "study_description": "StudyDescription",
    "protocol_name": "ProtocolName",
    "sop_class_uid": "SOPClassUID",
    "manufacturer": "Manufacturer",
    "contrast_agent": "ContrastBolusAgent",
    "image_type": "ImageType",
    "view_position": "ViewPosition",
    "laterality": "ImageLaterality",
}


def match(rule: Rule, slices: Sequence[Slice], grid: Grid | None) -> Match:
    """The rule judged on the consensus of all slices and on the stack's own facts; a radiograph has no grid."""
    return Match(rule, (*match_attributes(rule, slices).conditions, *_geometry(rule.when, grid, len(slices))))


def match_attributes(rule: Rule, slices: Sequence[Slice]) -> Match:
    """The rule judged on the consensus of all slices alone, for what has no geometry to judge."""
    when = rule.when
    conditions = [
        _pattern(name, getattr(when, name), consensus(slices, keyword))
        for name, keyword in _ATTRIBUTES.items()
        if getattr(when, name)
    ]
    return Match(rule, tuple(conditions))


def _geometry(when: When, grid: Grid | None, count: int) -> list[Condition]:
    plane = [_pattern("plane", when.plane, (plane_name(grid) if grid else "",))] if when.plane else []
    return [*plane, *(_spans(when, grid, count) if grid else _without_place(when))]


def _pattern(name: str, patterns: Patterns, values: tuple[str, ...]) -> Condition:
    wanted = " or ".join(patterns)
    if len(values) > 1:
        return Condition(name, wanted, f"not the same in all instances ({', '.join(values)})", False)
    value = values[0] if values else ""
    holds = any(re.fullmatch(translate(pattern), value, re.IGNORECASE) for pattern in patterns)
    return Condition(name, wanted, value or "absent", holds)


def _without_place(when: When) -> list[Condition]:
    """Conditions that only a volume can meet."""
    spans = {name: getattr(when, name) for name in _SPANS}
    return [Condition(name, str(span), "nothing: no volume", False) for name, span in spans.items() if span != Span()]


_SPANS = ("slices", "slice_spacing_mm", "pixel_spacing_mm", "extent_mm")


def _spans(when: When, grid: Grid, count: int) -> list[Condition]:
    extent = grid.voxel_size_mm * grid.shape
    measured = (
        ("slices", when.slices, (count,)),
        ("slice_spacing_mm", when.slice_spacing_mm, (grid.plane_distance_mm,)),
        ("pixel_spacing_mm", when.pixel_spacing_mm, grid.spacing_mm[1:]),
        ("extent_mm", when.extent_mm, extent),
    )
    return [
        Condition(name, str(span), " x ".join(f"{value:g}" for value in values), all(map(span.holds, values)))
        for name, span, values in ((n, s, [round(float(v), 3) for v in vs]) for n, s, vs in measured)
        if span != Span()
    ]
