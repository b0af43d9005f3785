"""Why a model must not run on an image, in words for the people who read the answer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from models.sections import Intake, RadiographIntake
from models.terms import Span
from models.uneven import gaps_mm
from models.volume import Grid, Radiograph, Volume

ALONG = ("between slices", "between rows", "between columns")
ACROSS = ("across the slices", "across the rows", "across the columns")
ROUNDING = 1e-3  # positions in headers are decimal strings: 1.4999999 is 1.5


class Declined(Exception):  # noqa: N818 - named after what is done
    """A model must not answer for an image, or cannot stand by what it found, which was seen only when it was asked.

    The sentence says why, and nothing of the patient.
    """


@dataclass(frozen=True, slots=True)
class RadiographFacts:
    """What the header of a radiograph says of it; what it does not say is empty, and an age None."""

    view: str
    body_part: str
    age_years: float | None
    rows: int
    columns: int


def objections(
    intake: Intake,
    modality: str,
    grid: Grid,
    *,
    body_parts: Sequence[str] = (),
    lossy: bool = False,
    places: Sequence[float] = (),
) -> tuple[str, ...]:
    """Every reason, value and expectation named, against running on this modality and grid; empty when it may run.

    `body_parts` are those that the images state, of which none may be foreign; `places` are those of unevenly spaced
    slices on the grid.
    """
    return (
        *_modality(intake, modality),
        *(each for stated in body_parts for each in _stated("body part", stated, intake.body_parts)),
        *_compression(intake, lossy),
        *_evenness(intake, grid, places),
        *_slices(intake, len(places) or grid.shape[0]),
        *_spacing(intake, grid, gaps_mm(places, grid)[1]),
        *_extent(intake, grid),
    )


def radiograph_objections(
    intake: RadiographIntake, modality: str, facts: RadiographFacts, *, lossy: bool = False
) -> tuple[str, ...]:
    """As `objections`, for a radiograph; its age is judged by `age_objections`."""
    return (
        *_modality(intake, modality),
        *_stated("view", facts.view, intake.views),
        *_stated("body part", facts.body_part, intake.body_parts),
        *_pixels(intake, facts),
        *_compression(intake, lossy),
    )


def age_objections(intake: RadiographIntake, facts: RadiographFacts) -> tuple[str, ...]:
    """Why a model must not run on an image of a patient of that age: the one reason that a site may set aside."""
    if intake.age_years == Span():
        return ()
    expected = f"the model was validated on {intake.age_years} years"
    if facts.age_years is None:
        return (f"the patient's age is not known; {expected}",)
    if intake.age_years.holds(facts.age_years):
        return ()
    return (f"the patient's age is {facts.age_years:.3g} years; {expected}",)


def blank_objections(image: Volume | Radiograph) -> tuple[str, ...]:
    """Why an image shows nothing, if so."""
    lowest, highest = float(image.values.min()), float(image.values.max())
    if not np.isfinite((lowest, highest)).all():
        return ("the image holds values that are not numbers",)
    return (f"the image is empty: every value is {lowest:g}",) if lowest == highest else ()


def value_objections(intake: Intake, volume: Volume) -> tuple[str, ...]:
    """Every reason in the intensities against running on the volume; empty when it may run."""
    if blank := blank_objections(volume):
        return blank
    lowest, highest = float(volume.values.min()), float(volume.values.max())
    if intake.values.holds(lowest) and intake.values.holds(highest):
        return ()
    return (f"the values of the image run from {lowest:g} to {highest:g}; the model was validated on {intake.values}",)


def _modality(intake: Intake | RadiographIntake, modality: str) -> Iterator[str]:
    if modality not in intake.modalities:
        yield f"the modality is {modality or 'not stated'}; the model was validated on {' or '.join(intake.modalities)}"


def _compression(intake: Intake | RadiographIntake, lossy: bool) -> Iterator[str]:
    if lossy and not intake.lossy:
        yield "the image went through lossy compression; the model was validated on images that did not"


def _stated(what: str, found: str, wanted: Sequence[str]) -> Iterator[str]:
    if wanted and found.upper() not in wanted:
        yield f"the {what} is {found or 'not stated'}; the model was validated on {' or '.join(wanted)}"


def _pixels(intake: RadiographIntake, facts: RadiographFacts) -> Iterator[str]:
    if not (intake.pixels.holds(facts.rows) and intake.pixels.holds(facts.columns)):
        size = f"{facts.rows} x {facts.columns} pixels"
        yield f"the image has {size}; the model was validated on {intake.pixels} along both"


def _evenness(intake: Intake, grid: Grid, places: Sequence[float]) -> Iterator[str]:
    if places and not intake.irregular_spacing:
        smallest, largest = gaps_mm(places, grid)
        yield (
            f"the distance between slices varies from {smallest:.4g} to {largest:.4g} mm; "
            "the model was validated on evenly spaced slices"
        )


def _slices(intake: Intake, count: int) -> Iterator[str]:
    if not intake.slices.holds(count):
        yield f"there are {count} slices; the model was validated on {intake.slices}"


def _spacing(intake: Intake, grid: Grid, largest_gap_mm: float) -> Iterator[str]:
    for where, spacing_mm in zip(ALONG, (largest_gap_mm, *grid.voxel_size_mm[1:]), strict=True):
        if not _nearly(intake.spacing_mm, float(spacing_mm)):
            yield f"the distance {where} is {spacing_mm:.4g} mm; the model was validated on {intake.spacing_mm} mm"


def _extent(intake: Intake, grid: Grid) -> Iterator[str]:
    for where, extent_mm in zip(ACROSS, grid.voxel_size_mm * grid.shape, strict=True):
        if not _nearly(intake.extent_mm, float(extent_mm)):
            yield f"the image measures {extent_mm:.4g} mm {where}; the model was validated on {intake.extent_mm} mm"


def _nearly(span: Span, value: float) -> bool:
    return span.holds(value - ROUNDING) or span.holds(value + ROUNDING)
