"""Why a model must not run on an image, in words for the people who read the answer."""

from collections.abc import Iterator, Sequence

import numpy as np

from models.manifest import Intake, Span
from models.uneven import gaps_mm
from models.volume import Grid, Volume

ALONG = ("between slices", "between rows", "between columns")
ACROSS = ("across the slices", "across the rows", "across the columns")
ROUNDING = 1e-3  # positions in headers are decimal strings: 1.4999999 is 1.5


def objections(
    intake: Intake, modality: str, grid: Grid, *, lossy: bool = False, places: Sequence[float] = ()
) -> tuple[str, ...]:
    """Every reason, value and expectation named, against running on this modality and grid; empty when it may run.

    `places` are those of unevenly spaced slices on the grid.
    """
    return (
        *_modality(intake, modality),
        *_compression(intake, lossy),
        *_evenness(intake, grid, places),
        *_slices(intake, len(places) or grid.shape[0]),
        *_spacing(intake, grid, gaps_mm(places, grid)[1]),
        *_extent(intake, grid),
    )


def value_objections(intake: Intake, volume: Volume) -> tuple[str, ...]:
    """Every reason in the intensities against running on the volume; empty when it may run."""
    lowest, highest = float(volume.values.min()), float(volume.values.max())
    if not np.isfinite((lowest, highest)).all():
        return ("the image holds values that are not numbers",)
    if lowest == highest:
        return (f"the image is empty: every value is {lowest:g}",)
    if intake.values.holds(lowest) and intake.values.holds(highest):
        return ()
    return (f"the values of the image run from {lowest:g} to {highest:g}; the model was validated on {intake.values}",)


def _modality(intake: Intake, modality: str) -> Iterator[str]:
    if modality not in intake.modalities:
        yield f"the modality is {modality or 'not stated'}; the model was validated on {' or '.join(intake.modalities)}"


def _compression(intake: Intake, lossy: bool) -> Iterator[str]:
    if lossy and not intake.lossy:
        yield "the image went through lossy compression; the model was validated on images that did not"


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
