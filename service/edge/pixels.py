"""Pixel Data into volumes: stored values as the modality means them. For the worker alone."""

import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.filereader import read_file_meta_info

from models.uneven import evened
from models.volume import Grid, Radiograph, Volume
from service.core.entities import FrameReference, ImageScale, StackRecord, whole
from service.core.errors import Unsuitable
from service.core.radiographs import scale_of
from service.core.transfer_syntaxes import PLUGINS, PLUGINS_THAT_CRASH, RLE_LOSSLESS
from service.edge.decoding import Wanted, read_into, read_planes, read_shown, translated
from service.edge.part10 import read_instance
from service.edge.sharing import Task, read_together

__all__ = ["read_image", "read_planes", "read_radiograph", "read_volume"]

Shape = tuple[int, int, int]

MOST_BYTES_PER_VOLUME = 16 * 1024**3
_READERS = 2  # reading a file lets go of the interpreter
_MOST_PROCESSES = 4
_WORTH_A_PROCESS = 64 * 512 * 512  # pixels that take longer to decode than a process takes to start


def read_image(frames: Sequence[tuple[Path, FrameReference]], stack: StackRecord) -> Volume | Radiograph:
    """What a stack shows; of a radiograph, the scale is read again from its header. Raises as `read_volume`."""
    if stack.grid is not None:
        return read_volume(frames, stack.grid, stack.places)
    ((path, frame),) = frames
    (shown,) = (each for each in whole(read_instance(path)) if each.reference == frame)
    return read_radiograph(path, scale_of(shown), frame)


def read_volume(frames: Sequence[tuple[Path, FrameReference]], grid: Grid, places: Sequence[float] = ()) -> Volume:
    """The frames, in the order of the grid's slices, as one volume of modality values (HU for CT).

    Frames that are unevenly spaced have `places` on the grid, and are interpolated between them. Compressed frames are
    decoded by several processes, and never in this one where damage may crash the decoder.
    Raises Unsuitable for images in colour or without a decodable pixel, Broken when a file is damaged.
    """
    _require_bounded(grid)
    by_file: dict[Path, list[tuple[int, int | None]]] = {}
    for index, (path, frame) in enumerate(frames):
        by_file.setdefault(path, []).append((index, frame.number))
    syntax = _transfer_syntax(next(iter(by_file)))  # the first file speaks for the others
    crashes = PLUGINS.get(syntax) in PLUGINS_THAT_CRASH
    shape = (len(frames), *grid.shape[1:])
    processes = _processes(shape) if syntax in (RLE_LOSSLESS, *PLUGINS) else 1
    if processes == 1 and not crashes:
        return evened(_read_alone(by_file, shape), places, grid)
    tasks = [Task(path, part) for path, wanted in by_file.items() for part in _parts(wanted, processes)]
    children = processes if crashes else processes - 1
    return evened(read_together(tasks, shape, children, parent_helps=not crashes), places, grid)


def read_radiograph(path: Path, scale: ImageScale | None, frame: FrameReference) -> Radiograph:
    """A projection as it is to be shown, with its scale. Raises as `read_volume`."""
    shown = read_shown(path, frame.number)
    if scale is None:
        return Radiograph(shown, None, calibrated=False)
    spacing = scale.spacing
    return Radiograph(shown, (spacing.between_rows_mm, spacing.between_columns_mm), scale.calibrated)


def _read_alone(by_file: dict[Path, list[tuple[int, int | None]]], shape: Shape) -> NDArray[np.float32]:
    values = np.empty(shape, dtype=np.float32)
    with ThreadPoolExecutor(_READERS) as readers:
        list(readers.map(lambda path: read_into(values, path, by_file[path]), by_file))
    return values


def _parts(wanted: Wanted, count: int) -> Iterator[Wanted]:
    """The frames of one file in at most `count` parts, because each part reads the file again."""
    length = -(-len(wanted) // count)
    return (wanted[start : start + length] for start in range(0, len(wanted), length))


def _transfer_syntax(path: Path) -> str:
    with translated(path):
        return str(read_file_meta_info(path).TransferSyntaxUID)


def _processes(shape: Shape) -> int:
    """How many processes are worth their start."""
    return min(len(os.sched_getaffinity(0)), _MOST_PROCESSES, 1 + math.prod(shape) // _WORTH_A_PROCESS)


def _require_bounded(grid: Grid) -> None:
    slices, rows, columns = grid.shape
    if 4 * slices * rows * columns > MOST_BYTES_PER_VOLUME:
        raise Unsuitable(
            f"{slices} slices of {rows} x {columns} pixels take {4 * slices * rows * columns} bytes; at most "
            f"{MOST_BYTES_PER_VOLUME} are read"
        )
