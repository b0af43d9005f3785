"""Frames of one file as modality values, read once and held no longer than they are needed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from service.core.errors import Broken, IsocenterError, TryAgain
from service.edge.file_meta import digests
from service.edge.modality_values import put_modality_values
from service.edge.stored_values import StoredImage

Wanted = Sequence[tuple[int, int | None]]  # the slice of the volume, and the number of the frame that belongs there


def read_planes(path: Path, numbers: Sequence[int | None] = (None,)) -> Iterator[NDArray[np.float32]]:
    """Modality values of frames of one file, each (row, column); None is the frame of a single-frame image.

    Raises Unsuitable for images in colour or without a decodable pixel, Broken when the file is damaged.
    """
    image = _opened(path)
    for number in numbers:
        plane = np.empty(image.shape, dtype=np.float32)
        _put(path, image, number, plane)
        yield plane


def read_shown(path: Path, number: int | None) -> NDArray[np.float32]:
    """One frame as it is to be shown: Modality LUT, first VOI LUT or window, MONOCHROME1 inverted (PS3.3 C.11.2).

    Raises as read_planes.
    """
    image = _opened(path)
    with translated(path):
        header = image.header_of(number)
        values = apply_modality_lut(image.frame(number), header)
        shown = np.asarray(apply_voi_lut(values, header), dtype=np.float32)
    if header.PhotometricInterpretation == "MONOCHROME1":
        shown = shown.max() + shown.min() - shown
    return shown


def read_into(values: NDArray[np.float32], path: Path, wanted: Wanted) -> None:
    """Put frames of one file where they belong in `values`, (slice, row, column). Raises as read_planes."""
    image = _opened(path)
    if image.shape != values.shape[1:]:
        raise Broken(f"{path.name}: its slices have {image.shape} pixels, those of the volume {values.shape[1:]}")
    for index, number in wanted:
        _put(path, image, number, values[index])


def _opened(path: Path) -> StoredImage:
    with translated(path):
        content = path.read_bytes()
        _require_unchanged(content)
        return StoredImage(content)


def _put(path: Path, image: StoredImage, number: int | None, out: NDArray[np.float32]) -> None:
    with translated(path):
        stored = image.frame(number)
        put_modality_values(image.header_of(number), stored, out)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Errors of a file as ours, with its name."""
    try:
        yield
    except Broken as error:
        raise Broken(f"{path.name}: {error}") from error
    except IsocenterError:
        raise
    except (OSError, MemoryError) as error:
        raise TryAgain(f"{path.name} cannot be read now ({type(error).__name__})") from error
    except Exception as error:  # decoders raise anything on damaged or hostile bytes
        raise Broken(f"{path.name} cannot be decoded ({type(error).__name__})") from error


def _require_unchanged(content: bytes) -> None:
    """What a disk has changed since it was acknowledged is not what the modality sent."""
    noted, now = digests(content)
    if noted and noted != now:
        raise Broken(f"it is not what was received: its digest was {noted} and is {now}; send it again")
