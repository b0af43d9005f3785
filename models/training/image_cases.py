"""Radiographs that train a classifier: which there are, what each shows, of which patient, and how they are split."""

import csv
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from models.training.recipe import ClassFolders, ImageTable
from models.training.split import Split, written_down
from models.volume import Radiograph

SUFFIXES = {".jpeg", ".jpg", ".png", ".tif", ".tiff"}
SEVERAL = "|"

Cases = ClassFolders | ImageTable


@dataclass(frozen=True, slots=True)
class ImageCase:
    """One image: its path below the folder of cases, the names of the classes it shows, and whose it is."""

    name: str
    classes: tuple[str, ...]
    patient: str


def cases_in(source: Path, cases: Cases) -> dict[str, ImageCase]:
    """Every case by its name, in order. Raises ValueError when there is none, or one that has no patient."""
    found = _of_folders(source, cases) if isinstance(cases, ClassFolders) else _of_table(source, cases)
    by_name = {case.name: case for case in sorted(found, key=lambda case: case.name)}
    if not by_name:
        raise ValueError(f"there is no image in {source}")
    return by_name


def read_radiograph(source: Path, name: str) -> Radiograph:
    """One image file as grey values; nothing says how large its pixels are."""
    with Image.open(source / name) as image:
        grey = image if image.mode.startswith(("I", "F")) else image.convert("L")
        return Radiograph(np.asarray(grey, dtype=np.float32), None, calibrated=False)


def split_for(folder: Path, cases: Cases, source: Path | None) -> Split:
    """The split of the package in `folder`: what was written down, else drawn from `source` and written down."""
    return written_down(folder, source, lambda there: split_by_patient(cases_in(there, cases).values(), cases))


def split_by_patient(found: Iterable[ImageCase], cases: Cases) -> Split:
    """Three groups that share no patient, with their shares of the images of each combination of classes.

    No group gets more than its share; the rest trains.
    """
    patients: dict[str, list[ImageCase]] = defaultdict(list)
    for case in found:
        patients[case.patient].append(case)
    strata: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for patient, images in sorted(patients.items()):
        strata[tuple(sorted({name for image in images for name in image.classes}))].append(patient)
    groups: dict[str, list[str]] = {"held_out": [], "validation": [], "training": []}
    rng = random.Random(cases.seed)
    for _, names in sorted(strata.items()):
        rng.shuffle(names)
        _deal({name: patients[name] for name in names}, cases, groups)
    held_out, validation, training = (tuple(sorted(names)) for names in groups.values())
    return Split(held_out=held_out, validation=validation, training=training)


def _deal(patients: Mapping[str, Sequence[ImageCase]], cases: Cases, groups: dict[str, list[str]]) -> None:
    """Each patient to the first group that still has room for all of their images."""
    images = sum(map(len, patients.values()))
    room = {
        "held_out": round(images * cases.held_out),
        "validation": round(images * cases.validation),
        "training": images,
    }
    for theirs in patients.values():
        group = next(group for group, left in room.items() if left >= len(theirs))
        room[group] -= len(theirs)
        groups[group].extend(case.name for case in theirs)


def _of_folders(source: Path, cases: ClassFolders) -> Iterator[ImageCase]:
    for folder, classes in cases.folders.items():
        for path in (source / folder).iterdir():
            if path.suffix.lower() in SUFFIXES:
                patient = _first_group(cases.patient, path.name)
                yield ImageCase(f"{folder}/{path.name}", classes, f"{folder}/{patient}")


def _first_group(pattern: str, file_name: str) -> str:
    found = re.search(pattern, file_name)
    patient = next(filter(None, found.groups()), "") if found else ""
    if not patient:
        raise ValueError(f"the pattern {pattern!r} finds no patient in {file_name}")
    return patient


def _of_table(source: Path, cases: ImageTable) -> Iterator[ImageCase]:
    with (source / cases.file).open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            shown = tuple(filter(None, row["class"].split(SEVERAL)))
            if not row["patient"]:
                raise ValueError(f"{cases.file} names no patient for {row['file']}")
            yield ImageCase(row["file"], shown, row["patient"])
