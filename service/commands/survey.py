"""What a newcomer to a folder of images needs to know: every Series, its stacks or why not, and what they hold."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.volume import Grid, Radiograph, Volume
from service.assemble import describe
from service.core.entities import FrameReference, Instance, Projection, Refusal, Slice, Stack, consensus
from service.core.errors import Broken, IsocenterError, TryAgain
from service.core.stacking import Part, split
from service.edge.part10 import is_dicom, read_header, read_instance
from service.edge.pixels import read_radiograph, read_volume

_EXPECTED = ("PatientID", "FrameOfReferenceUID", "PatientPosition", "BodyPartExamined", "SeriesDescription")
_EXPECTED_OF = {
    "CT": ("RescaleSlope", "RescaleIntercept", "KVP", "ConvolutionKernel"),
    "MR": ("EchoTime", "RepetitionTime", "MagneticFieldStrength"),
    "PT": ("Units", "RescaleSlope", "DecayCorrection"),
}
_SHOULD_AGREE = ("BodyPartExamined", "SeriesDescription", "ProtocolName", "Manufacturer", "KVP", "SliceThickness")
_BINS = 64
_METAL_HU = 3000.0
_FAR = 10.0  # times the span of the middle 98 %: no tissue lies there
_UNUSUAL = 3.0  # times the median of its modality


@dataclass(frozen=True, slots=True)
class Values:
    """What the voxels of a stack hold, after the Modality LUT."""

    minimum: float
    percentile_1: float
    median: float
    percentile_99: float
    maximum: float
    lowest_share: float  # of voxels at the minimum: padding or background
    metal_share: float  # of CT voxels at 3000 HU and above: nothing grown
    histogram: tuple[int, ...]  # between the 1st and the 99th percentile
    outliers: tuple[str, ...]


@dataclass(slots=True)
class Found:
    """One part of a Series: a stack, or frames with the reason why they are none."""

    series_instance_uid: str
    series_description: str
    modality: str
    instances: int
    frames: int
    is_stack: bool
    what: str  # geometry in words, or the reason
    split_by: str
    spacing_mm: tuple[float, ...]  # between planes, rows and columns; empty for what is no stack
    transfer_syntaxes: tuple[str, ...]
    missing: tuple[str, ...]
    disagreements: tuple[str, ...]
    values: Values | None = None
    unusual: list[str] = field(default_factory=list)  # beside the others of its modality


@dataclass(frozen=True, slots=True, eq=False)
class Folder:
    """The DICOM files below a path: their instances by Series, their places, and what could not be read."""

    series: Mapping[str, Sequence[Instance]]
    paths: Mapping[str, Path]  # by SOP Instance UID
    unreadable: Mapping[str, int]  # files by reason

    def files(self, stack: Stack | Projection) -> list[tuple[Path, FrameReference]]:
        """The frames of a stack with the files they are in, in its order."""
        return [(self.paths[each.reference.sop_instance_uid], each.reference) for each in stack.slices]


def look(path: Path, *, deep: bool = True) -> Folder:
    """Read every header below a path, or in that folder alone. Raises Broken when there is no DICOM file."""
    by_series: dict[str, dict[str, Instance]] = defaultdict(dict)
    paths: dict[str, Path] = {}
    unreadable: Counter[str] = Counter()
    below = [path] if path.is_file() else path.rglob("*") if deep else path.iterdir()
    for file in sorted(each for each in below if each.is_file()):
        if not is_dicom(file):
            continue
        try:
            instance = read_instance(file)
        except (Broken, TryAgain) as error:
            unreadable[str(error).replace(f"{file.name} ", "")] += 1
            continue
        if instance.sop_instance_uid in paths:
            unreadable["its SOP Instance UID is that of another file"] += 1
            continue
        by_series[instance.series_instance_uid][instance.sop_instance_uid] = instance
        paths[instance.sop_instance_uid] = file
    if not by_series and not unreadable:
        raise Broken(f"there is no DICOM file in {path}")
    return Folder({uid: list(each.values()) for uid, each in by_series.items()}, paths, unreadable)


def parts(folder: Folder) -> Iterator[Part]:
    """Every part of every Series."""
    for instances in folder.series.values():
        yield from split(instances)


def examine(folder: Folder, part: Part, image: Volume | Radiograph | None) -> Found:
    """What is to be said of a part, and of its values where they were read."""
    first = part.slices[0]
    header = read_header(folder.paths[first.instance.sop_instance_uid])
    modality = first.value("Modality")
    wanted = (*_EXPECTED, *_EXPECTED_OF.get(modality, ()))
    return Found(
        series_instance_uid=first.instance.series_instance_uid,
        series_description=first.value("SeriesDescription"),
        modality=modality,
        instances=len(part.instances),
        frames=len(part.slices),
        is_stack=not isinstance(part, Refusal),
        what=f"{part.reason}: {part.sentence}" if isinstance(part, Refusal) else describe(part),
        split_by="" if isinstance(part, Refusal) else part.split_by,
        spacing_mm=_spacing(part.grid) if isinstance(part, Stack) else (),
        transfer_syntaxes=(str(header.file_meta.TransferSyntaxUID.name),),
        missing=tuple(keyword for keyword in wanted if not (header.get(keyword) or first.value(keyword))),
        disagreements=tuple(_disagreements(part.slices)),
        values=None if image is None else values_of(image.values, modality),
    )


def image_of(folder: Folder, part: Part) -> Volume | Radiograph | None:
    """The values of a stack or radiograph; None where there is none. Raises as read_volume."""
    if isinstance(part, Stack):
        return stack_volume(folder, part)
    if isinstance(part, Projection):
        ((path, frame),) = folder.files(part)
        return read_radiograph(path, part.scale, frame)
    return None


def stack_volume(folder: Folder, stack: Stack) -> Volume:
    """The values of a stack. Raises as read_volume."""
    return read_volume(folder.files(stack), stack.grid, stack.places)


def survey(folder: Folder) -> Iterator[tuple[Found, Volume | Radiograph | None]]:
    """Every part with its values; where those cannot be decoded, `what` says why."""
    for part in parts(folder):
        try:
            volume = image_of(folder, part)
        except IsocenterError as error:
            found = examine(folder, part, None)
            found.what += f"; its pixels cannot be used: {error}"
            yield found, None
            continue
        yield examine(folder, part, volume), volume


def compare(found: Sequence[Found]) -> None:
    """Mark what is unusual among the stacks of one modality: spacing or range far from their median."""
    by_modality: dict[str, list[Found]] = defaultdict(list)
    for each in found:
        if each.spacing_mm:
            by_modality[each.modality].append(each)
    for group in by_modality.values():
        for name, measure in _MEASURES.items():
            _mark_unusual(name, {id(each): measure(each) for each in group}, group)


_MEASURES: dict[str, Callable[[Found], float]] = {
    "distance between planes": lambda each: each.spacing_mm[0],
    "distance between rows": lambda each: each.spacing_mm[1],
    "range of values": lambda each: each.values.percentile_99 - each.values.percentile_1 if each.values else 0.0,
}


def _mark_unusual(name: str, measured: Mapping[int, float], group: Sequence[Found]) -> None:
    usual = float(np.median(list(measured.values())))
    for each in group:
        value = measured[id(each)]
        if value > 0 and usual > 0 and not 1 / _UNUSUAL < value / usual < _UNUSUAL:
            each.unusual.append(f"{name} {value:.4g}, median of the others {usual:.4g}")


def _spacing(grid: Grid) -> tuple[float, ...]:
    return tuple(round(float(mm), 6) for mm in grid.voxel_size_mm)


def _disagreements(slices: Sequence[Slice]) -> Iterator[str]:
    for keyword in _SHOULD_AGREE:
        values = consensus(slices, keyword)
        if len(values) > 1:
            yield f"{keyword}: {', '.join(value or 'absent' for value in values[:4])}"


def values_of(values: NDArray[np.float32], modality: str) -> Values:
    """The distribution of an image's values, of any shape."""
    low, middle, high = (float(value) for value in np.percentile(values, (1, 50, 99)))
    minimum, maximum = float(values.min()), float(values.max())
    counts, _ = np.histogram(values, bins=_BINS, range=(low, high if high > low else low + 1))
    return Values(
        minimum=minimum,
        percentile_1=low,
        median=middle,
        percentile_99=high,
        maximum=maximum,
        lowest_share=_share(values == minimum),
        metal_share=_share(values >= _METAL_HU) if modality == "CT" else 0.0,
        histogram=tuple(int(count) for count in counts),
        outliers=tuple(_outliers(minimum, low, high, maximum)),
    )


def _share(mask: NDArray[np.bool_]) -> float:
    return round(float(np.count_nonzero(mask)) / mask.size, 6)


def _outliers(minimum: float, low: float, high: float, maximum: float) -> Iterator[str]:
    span = max(high - low, float(np.finfo(np.float32).tiny))
    for name, value, distance in (("highest", maximum, maximum - high), ("lowest", minimum, low - minimum)):
        if distance > _FAR * span:
            yield f"the {name} value {value:g} lies {distance / span:.0f} times the usual range away"
