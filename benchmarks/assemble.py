"""How fast a Series becomes a volume, and what becomes of one that is none: `python benchmarks/assemble.py`.

Isocenter beside SimpleITK's series reader, highdicom and dcm2niix: the same files, each in a process of its own, by
turns, several times; medians and peak memory.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import Dataset

from benchmarks.cost import peak_mb
from models.volume import Grid, Volume
from service.derived.encoding import encode
from service.derived.synthetic import Subject, ct_series

_SPACING_MM = (2.5, 0.8, 0.8)
_SMALL = (20, 64, 64)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one subject made of one folder."""

    seconds: float
    memory_mb: float
    said: str


def by_isocenter(folder: Path) -> str:
    """Headers, stacks, grid and values, as the node does it."""
    from service.commands.survey import image_of, look, parts
    from service.core.entities import Refusal, Stack

    seen = look(folder)
    said: list[str] = []
    for part in parts(seen):
        if isinstance(part, Stack):
            image_of(seen, part)
            apart = () if part.places else (_words(len(part.slices), part.grid.plane_distance_mm),)
            said.extend((*apart, *part.remarks))
        elif isinstance(part, Refusal):
            said.append(f"refused: {part.reason}: {part.sentence}")
    return "; ".join(said)


def by_simpleitk(folder: Path) -> str:
    """ImageSeriesReader over the names that GDCM sorts."""
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    return _words(image.GetSize()[2], image.GetSpacing()[2])


def by_highdicom(folder: Path) -> str:
    """get_volume_from_series with its defaults."""
    import highdicom
    from pydicom import dcmread

    images = [dcmread(path) for path in sorted(folder.iterdir())]
    try:
        volume = highdicom.get_volume_from_series(images, dtype=np.float32)
    except ValueError as error:
        return f"ValueError: {error}"
    return _words(volume.shape[0], volume.spacing[0])


def by_dcm2niix(folder: Path) -> str:
    """The command, uncompressed, into a folder that is thrown away."""
    import nibabel

    with tempfile.TemporaryDirectory() as target:
        command = ["dcm2niix", "-z", "n", "-b", "n", "-f", "%s_%p", "-o", target, str(folder)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        images = [nibabel.load(path) for path in sorted(Path(target).glob("*.nii"))]
        made = [_words(image.shape[2], float(image.header.get_zooms()[2])) for image in images]
    warned = [line.strip() for line in f"{run.stdout}\n{run.stderr}".splitlines() if "arning" in line]
    return "; ".join((*made, *warned[:1]))


def _words(slices: int, spacing_mm: float) -> str:
    return f"{slices} slices, {spacing_mm:.3f} mm apart"


SUBJECTS: dict[str, Callable[[Path], str]] = {
    "Isocenter": by_isocenter,
    "SimpleITK": by_simpleitk,
    "highdicom": by_highdicom,
    "dcm2niix": by_dcm2niix,
}


def series(shape: tuple[int, int, int], shear: float = 0.0) -> list[Dataset]:
    """A synthetic CT of that shape; `shear` is the drift along columns for each mm of height."""
    affine = np.zeros((4, 4))
    affine[[2, 1, 0, 3], [0, 1, 2, 3]] = (*_SPACING_MM, 1.0)
    affine[1, 0] = shear * _SPACING_MM[0]
    values = np.random.default_rng(1).normal(40.0, 60.0, shape).astype(np.float32)
    return ct_series(Volume(Grid(shape, affine), values), Subject(seed=f"assemble {shape} {shear}"))


def _moved(images: Sequence[Dataset], heights_mm: Sequence[float]) -> list[Dataset]:
    for image, height in zip(images, heights_mm, strict=True):
        image.ImagePositionPatient[2] = height
    return list(images)


def cases() -> Iterator[tuple[str, list[Dataset]]]:
    """Series that are no volume, or hardly one."""
    yield "one slice missing inside", [image for number, image in enumerate(series(_SMALL)) if number != 8]
    yield "gantry tilted by 15 degrees", series(_SMALL, shear=float(np.tan(np.radians(15))))
    two = [4.0 * number for number in range(10)] + [36.0 + 7.0 * number for number in range(1, 11)]
    yield "4 mm, then 7 mm apart", _moved(series(_SMALL), two)
    doubled = series(_SMALL)
    yield "two slices at one place", _moved(doubled, [2.5 * min(number, 18) for number in range(20)])
    yield "last slice missing", series(_SMALL)[:-1]


def write(images: Sequence[Dataset], folder: Path) -> Path:
    """The images as files, named against their order."""
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        (folder / f"{len(images) - number:05d}.dcm").write_bytes(encode(image))
    return folder


def measured(subject: str, folder: Path) -> Outcome:
    """One run in a process of its own."""
    command = [sys.executable, __file__, "--subject", subject, "--folder", str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    with suppress(ValueError, IndexError):
        return Outcome(**json.loads(run.stdout.splitlines()[-1]))
    return Outcome(0.0, 0.0, f"ended with {run.returncode}: {run.stderr.strip().splitlines()[-1:]}")


def run_here(subject: str, folder: Path) -> None:
    """Measure in this process: reading the files and making the volume, not the start of the interpreter."""
    SUBJECTS[subject](write(series((3, 8, 8)), folder.parent / f"warm_{subject}_{time.monotonic_ns()}"))
    began = time.perf_counter()
    said = SUBJECTS[subject](folder)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "memory_mb": peak_mb(), "said": said}))


def speed(folder: Path, slices: int, repetitions: int, subjects: Sequence[str]) -> None:
    """The table of speed and memory."""
    size = (slices, 512, 512)
    images = write(series(size), folder / "many")
    outcomes: dict[str, list[Outcome]] = {subject: [] for subject in subjects}
    for repetition in range(repetitions):
        for subject in [*subjects[repetition % len(subjects) :], *subjects[: repetition % len(subjects)]]:
            outcomes[subject].append(measured(subject, images))
    size_mb = np.prod(size) * 4 / 2**20
    print(f"\n{slices} uncompressed slices of 512 x 512; the volume as float32 takes {size_mb:.0f} MB\n")
    print("| program | seconds (median) | lowest to highest | peak memory MB | result |")
    print("| --- | ---: | ---: | ---: | --- |")
    for subject, runs in outcomes.items():
        seconds = sorted(each.seconds for each in runs)
        memory = max(each.memory_mb for each in runs)
        row = f"{statistics.median(seconds):.2f} | {seconds[0]:.2f} to {seconds[-1]:.2f} | {memory:.0f}"
        print(f"| {subject} | {row} | {runs[-1].said} |")


def behaviour(folder: Path, subjects: Sequence[str]) -> None:
    """The table of what becomes of a Series that is no volume."""
    print(f"\n| Series | {' | '.join(subjects)} |\n| --- |{' --- |' * len(subjects)}")
    for number, (name, images) in enumerate(cases()):
        place = write(images, folder / f"case{number}")
        print(f"| {name} | {' | '.join(measured(subject, place).said for subject in subjects)} |")


def main() -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=400)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--subject", choices=SUBJECTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="where the files go")
    options = parser.parse_args()
    if options.subject:
        run_here(options.subject, options.folder)
        return 0
    subjects = [name for name in SUBJECTS if name != "dcm2niix" or shutil.which("dcm2niix")]
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        behaviour(Path(folder), subjects)
        speed(Path(folder), options.slices, options.repetitions, subjects)
    return 0


if __name__ == "__main__":
    sys.exit(main())
