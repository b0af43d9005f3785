"""`isocenter cases`: Series and the Segmentations of them become cases to train on, in the Decathlon's layout.

In a process of its own, because it loads what pixels need.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import typer
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from models.nifti import DATASET, IMAGES, LABELS, SUFFIX, write_labels, write_volume
from models.registry import PackageError, read, segmentation
from models.terms import Term
from models.volume import LabelMap
from service.commands.survey import Folder, look, parts, stack_volume
from service.core.entities import FrameReference, Stack
from service.core.errors import IsocenterError, Unsuitable
from service.derived.frames import Frame, frames

application = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
SEGMENTATIONS = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})
_SAME_PLACE = 0.05  # voxels; what rounding of positions explains

Key = tuple[str, str]  # the code of a type, and of its modifier where it has one
Stacks = Mapping[FrameReference, Stack]


@dataclass(slots=True)
class Numbering:
    """Which label a segment becomes: that of its codes, from 1 on in the order in which they were first seen.

    Where `closed`, the labels are a package's, and what it does not know is background.
    """

    names: dict[Key, str] = field(default_factory=dict)
    closed: bool = False

    def value(self, segment: Dataset) -> int:
        """The label of a segment, 0 for one that is left out."""
        key = _key(segment)
        if key not in self.names and not self.closed:
            self.names[key] = str(segment.SegmentLabel)
        return list(self.names).index(key) + 1 if key in self.names else 0


@application.command()
def main(path: Path, output: Path, package: Path | None = None) -> None:
    """Write a case into OUTPUT for every Segmentation below PATH whose Series is there too."""
    numbering = _numbering(package) if package else Numbering()
    written = write_cases(path, output, numbering)
    typer.echo(f"{len(written)} cases are in {output}: {', '.join(numbering.names.values()) or 'no label'}")
    if not written:
        raise typer.Exit(1)


def write_cases(path: Path, output: Path, numbering: Numbering) -> dict[str, str]:
    """The cases that were written, and whose each is: patients are numbered, not named."""
    for each in (IMAGES, LABELS):
        (output / each).mkdir(parents=True, exist_ok=True)
    seen = look(path)
    patient_of: dict[str, str] = {}
    numbers: dict[str, int] = {}
    done: set[str] = set()
    stacks = {each.reference: part for part in parts(seen) if isinstance(part, Stack) for each in part.slices}
    for file in _segmentations(seen):
        try:
            stack, labels = labels_of(dcmread(file), stacks, numbering)
            _require_new(stack, done)
            name = f"case_{len(patient_of) + 1:03d}"
            write_volume(output / IMAGES / f"{name}{SUFFIX}", stack_volume(seen, stack))
        except IsocenterError as error:
            typer.echo(f"{file.name}: not a case: {error}")
            continue
        write_labels(output / LABELS / f"{name}{SUFFIX}", labels)
        number = numbers.setdefault(stack.instances[0].patient, len(numbers) + 1)
        patient_of[name] = f"patient_{number:03d}"
        typer.echo(f"{file.name}: {name}, of Series {stack.instances[0].series_instance_uid}")
    _describe(output, numbering, patient_of)
    return patient_of


def labels_of(segmentation: Dataset, stacks: Stacks, numbering: Numbering) -> tuple[Stack, LabelMap]:
    """The stack that a Segmentation is drawn on, and its segments as labels there.

    Raises Unsuitable for a Segmentation that is not on one evenly spaced stack, or whose segments overlap.
    """
    drawn = _frames(segmentation)
    stack = _only_stack(drawn, stacks)
    segments = {int(each.SegmentNumber): each for each in segmentation.SegmentSequence}
    values = {
        number: numbering.value(each) for number, each in segments.items() if number
    }  # 0: a label map's background
    labels = np.zeros(stack.grid.shape, dtype=np.uint8)
    for frame in drawn:
        value = values.get(frame.segment_number, 0)
        if value:
            _draw(labels[_slice_of(frame, stack)], frame, value)
    return stack, LabelMap(stack.grid, labels)


def _draw(plane: NDArray[np.uint8], frame: Frame, value: int) -> None:
    before = plane[frame.pixels]
    if bool(((before != 0) & (before != value)).any()):
        raise Unsuitable("its segments overlap, and a voxel of a case has one label")
    plane[frame.pixels] = value


def _frames(segmentation: Dataset) -> list[Frame]:
    try:
        return list(frames(segmentation))
    except (AttributeError, KeyError, ValueError) as error:
        raise Unsuitable(f"its frames do not say what they are drawn on: {error}") from error


def _only_stack(drawn: Sequence[Frame], stacks: Stacks) -> Stack:
    found = {id(stack): stack for frame in drawn if (stack := stacks.get(frame.source))}
    if len(found) != 1 or any(frame.source not in stacks for frame in drawn):
        raise Unsuitable(f"it is drawn on images of {len(found)} stacks that are here, and a case is of one")
    (stack,) = found.values()
    if stack.places:
        raise Unsuitable(f"{stack.remarks[0]}; NIfTI holds evenly spaced slices only")
    return stack


def _slice_of(frame: Frame, stack: Stack) -> int:
    """The slice that a frame lies on, by its own position and not by its reference."""
    grid = stack.grid
    rows, columns = frame.pixels.shape
    far = frame.position_mm + frame.orientation[3:] * frame.spacing_mm[0] * (rows - 1)
    far = far + frame.orientation[:3] * frame.spacing_mm[1] * (columns - 1)
    corners = grid.to_index(np.stack([frame.position_mm, far]))
    index = round(float(corners[0, 0]))
    wanted = np.array([[index, 0, 0], [index, grid.shape[1] - 1, grid.shape[2] - 1]], dtype=float)
    if not 0 <= index < grid.shape[0] or np.abs(corners - wanted).max() > _SAME_PLACE:
        raise Unsuitable(f"frame {frame.number} does not lie on a slice of the image")
    return index


def _segmentations(seen: Folder) -> Iterator[Path]:
    for instances in seen.series.values():
        for instance in instances:
            if instance.sop_class_uid in SEGMENTATIONS:
                yield seen.paths[instance.sop_instance_uid]


def _require_new(stack: Stack, done: set[str]) -> None:
    if stack.stack_id in done:
        raise Unsuitable("its images are a case already, with another Segmentation")
    done.add(stack.stack_id)


def _numbering(package: Path) -> Numbering:
    return Numbering({_key_of(label): label.name for label in segmentation(read(package)).labels}, closed=True)


def _key(segment: Dataset) -> Key:
    kind = segment.SegmentedPropertyTypeCodeSequence[0]
    modifiers = kind.get("SegmentedPropertyTypeModifierCodeSequence") or []
    return str(kind.CodeValue), str(modifiers[0].CodeValue) if modifiers else ""


def _key_of(term: Term) -> Key:
    return term.type.value, term.modifier.value if term.modifier else ""


def _describe(output: Path, numbering: Numbering, patient_of: Mapping[str, str]) -> None:
    """The Decathlon's description of the folder; `patients` is ours, so that no patient is split between groups."""
    labels = {"0": "background"} | {str(value): name for value, name in enumerate(numbering.names.values(), start=1)}
    files = [{"image": f"{IMAGES}/{name}{SUFFIX}", "label": f"{LABELS}/{name}{SUFFIX}"} for name in patient_of]
    described = {"labels": labels, "numTraining": len(files), "training": files, "patients": dict(patient_of)}
    (output / DATASET).write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        application()
    except (IsocenterError, PackageError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
