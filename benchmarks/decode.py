"""How fast and in how much memory files become a volume: `python benchmarks/decode.py [--slices 400] [--large]`.

Each row is one kind of file, read by plain pydicom, by one process of ours, and as the worker reads it, in turns.
`--large` adds 1,250, 2,500 and 5,000 uncompressed slices: time and peak memory beside the volume's own size.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.pixels import apply_modality_lut
from pydicom.uid import UID, JPEG2000Lossless, JPEGLSLossless

from models.volume import Grid, Volume
from service.core.entities import FrameReference
from service.derived.encoding import encode
from service.derived.synthetic import ct_series
from service.edge.decoding import read_into
from service.edge.pixels import read_volume

SIDE = 512
VARIANTS = 8  # different slices; the rest are links to them
REPETITIONS = 3
LARGE = (1250, 2500, 5000)
ENCODERS = {
    "JPEG-LS": (JPEGLSLossless, "pyjpegls"),
    "JPEG 2000": (JPEG2000Lossless, "pylibjpeg"),
}

Paths = Sequence[Path]


def main() -> None:
    """Measure, and print a table in Markdown."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--slices", type=int, default=400)
    arguments.add_argument("--large", action="store_true")
    arguments.add_argument("--peak", nargs=2, metavar=("FOLDER", "SLICES"), help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.peak:
        sys.stdout.write(json.dumps(_peak(Path(chosen.peak[0]), int(chosen.peak[1]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        for line in (*_speeds(Path(folder), chosen.slices), *(_peaks(Path(folder)) if chosen.large else ())):
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()


def _speeds(folder: Path, slices: int) -> Iterator[str]:
    yield f"{slices} slices of {SIDE} x {SIDE}, ms a slice, median of {REPETITIONS}, {os.cpu_count()} cores"
    yield "| files | pydicom | one process | read_volume | over pydicom | over one process |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for kind, write in _KINDS.items():
        paths = _files(folder / kind, slices, write)
        plain, alone, ours = _in_turns(paths, (_plain, _alone, _ours))
        cells = (f"{plain:.2f}", f"{alone:.2f}", f"{ours:.2f}", f"{plain / ours:.2f}", f"{alone / ours:.2f}")
        yield f"| {kind} | {' | '.join(cells)} |"


def _in_turns(paths: Paths, readers: Sequence[Callable[[Paths], object]]) -> list[float]:
    """The median of each reader's milliseconds a slice; all take part in every repetition, so that noise is shared."""
    found: list[list[float]] = [[] for _ in readers]
    for _ in range(REPETITIONS):
        for reader, times in zip(readers, found, strict=True):
            began = time.perf_counter()
            reader(paths)
            times.append((time.perf_counter() - began) * 1000 / len(paths))
    return [median(times) for times in found]


def _plain(paths: Paths) -> object:
    values = np.empty((len(paths), SIDE, SIDE), dtype=np.float32)
    for index, path in enumerate(paths):
        image = dcmread(path)
        values[index] = apply_modality_lut(image.pixel_array, image)
    return values


def _alone(paths: Paths) -> object:
    values = np.empty((len(paths), SIDE, SIDE), dtype=np.float32)
    for index, path in enumerate(paths):
        read_into(values, path, [(index, None)])
    return values


def _ours(paths: Paths) -> object:
    return read_volume([(path, FrameReference("1.2.3")) for path in paths], _grid(len(paths)))


def _grid(slices: int) -> Grid:
    return Grid((slices, SIDE, SIDE), np.eye(4))


def _files(folder: Path, slices: int, write: Callable[[Dataset, Path], None]) -> Paths:
    folder.mkdir()
    for index, image in enumerate(_images()):
        write(image, folder / f"{index}.dcm")
    for index in range(VARIANTS, slices):
        os.link(folder / f"{index % VARIANTS}.dcm", folder / f"{index}.dcm")
    return [folder / f"{index}.dcm" for index in range(slices)]


def _images() -> list[Dataset]:
    """A round body of soft tissue with noise of 10 HU, in air."""
    random = np.random.default_rng(1)
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    body = np.where(x**2 + 1.5 * y**2 < 0.7, 40 + 60 * np.sin(9 * x) * np.cos(7 * y), -1000.0)
    values = body + random.normal(0, 10, (VARIANTS, SIDE, SIDE))
    return ct_series(Volume(_grid(VARIANTS), values.astype(np.float32)))


def _uncompressed(image: Dataset, path: Path) -> None:
    path.write_bytes(encode(image))


def _by_pydicom(syntax: UID, plugin: str) -> Callable[[Dataset, Path], None]:
    def write(image: Dataset, path: Path) -> None:
        image.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
        path.write_bytes(encode(image))

    return write


def _jpeg_lossless(image: Dataset, path: Path) -> None:
    plain = path.with_suffix(".plain")
    plain.write_bytes(encode(image))
    subprocess.run(["dcmcjpeg", "+e1", plain, path], check=True)


_KINDS: dict[str, Callable[[Dataset, Path], None]] = {
    "uncompressed": _uncompressed,
    **{kind: _by_pydicom(*encoder) for kind, encoder in ENCODERS.items()},
    "JPEG Lossless": _jpeg_lossless,
}


def _peaks(folder: Path) -> Iterator[str]:
    paths = _files(folder / "large", LARGE[-1], _uncompressed)
    yield "\n| slices | s | ms a slice | volume MB | peak memory MB | peak over volume |\n| ---: " + "| ---: " * 5 + "|"
    for slices in LARGE:
        command = [sys.executable, __file__, "--peak", str(paths[0].parent), str(slices)]
        seconds, peak_mb = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        volume_mb = 4 * slices * SIDE * SIDE / 1e6
        cells = (slices, f"{seconds:.2f}", f"{seconds * 1000 / slices:.2f}", f"{volume_mb:.0f}", f"{peak_mb:.0f}")
        yield f"| {' | '.join(map(str, cells))} | {peak_mb / volume_mb:.2f} |"


def _peak(folder: Path, slices: int) -> tuple[float, float]:
    """Seconds, and the most memory in MB that a process of its own ever held, the interpreter's included."""
    began = time.perf_counter()
    _ours([folder / f"{index}.dcm" for index in range(slices)])
    return time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


if __name__ == "__main__":
    main()
