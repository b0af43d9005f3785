"""Pixel Data into volumes: stored values as the modality means them. For the worker alone."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut, pixel_array

from models.volume import Grid, Radiograph, Volume
from service.core.entities import FrameReference, ImageScale
from service.core.errors import Broken, TryAgain, Unsuitable
from service.edge.file_meta import digests
from service.edge.functional_groups import FunctionalGroups

MOST_BYTES_PER_FRAME = 256 * 1024 * 1024  # decoded; a larger declaration is a mistake or an attack
MOST_BYTES_PER_INSTANCE = 4 * 1024**3
_READERS = 2  # decoding holds the interpreter, reading does not


def read_volume(frames: Sequence[tuple[Path, FrameReference]], grid: Grid) -> Volume:
    """The frames, in the order of the grid's slices, as one volume of modality values (HU for CT).

    Each file is read once. Raises Unsuitable for images in colour or without a decodable pixel, Broken when a file
    is damaged.
    """
    values = np.empty(grid.shape, dtype=np.float32)
    by_file: dict[Path, list[tuple[int, int | None]]] = {}
    for index, (path, frame) in enumerate(frames):
        by_file.setdefault(path, []).append((index, frame.number))
    with ThreadPoolExecutor(_READERS) as readers:
        list(readers.map(lambda path: _read_into(values, path, by_file[path]), by_file))
    return Volume(grid, values)


def _read_into(values: NDArray[np.float32], path: Path, wanted: Sequence[tuple[int, int | None]]) -> None:
    """Put the frames of one file, by number, at their indices."""
    planes = read_planes(path, [number for _, number in wanted])
    for (index, _), plane in zip(wanted, planes, strict=True):
        if plane.shape != values.shape[1:]:
            raise Broken(f"slice {index + 1} decodes to {plane.shape}, its header says {values.shape[1:]}")
        values[index] = plane


def read_radiograph(path: Path, scale: ImageScale | None, frame: FrameReference) -> Radiograph:
    """A projection as it is to be shown: Modality LUT, first VOI LUT or window, MONOCHROME1 inverted (PS3.3 C.11.2).

    Raises as `read_volume`.
    """
    with _translated(path):
        image = _opened(path)
        header = image if frame.number is None else FunctionalGroups(image).header_of(frame.number)
        stored = pixel_array(image, raw=True, index=None if frame.number is None else frame.number - 1)
        shown = np.asarray(apply_voi_lut(apply_modality_lut(stored, header), header), dtype=np.float32)
    if header.PhotometricInterpretation == "MONOCHROME1":
        shown = shown.max() + shown.min() - shown
    if scale is None:
        return Radiograph(shown, None, calibrated=False)
    spacing = scale.spacing
    return Radiograph(shown, (spacing.between_rows_mm, spacing.between_columns_mm), scale.calibrated)


def read_planes(path: Path, numbers: Sequence[int | None] = (None,)) -> Iterator[NDArray[np.float32]]:
    """Modality values of frames of one file, each (row, column); None is the frame of a single-frame image.

    Raises as `read_volume`.
    """
    with _translated(path):
        image = _opened(path)
        groups = FunctionalGroups(image)
    for number in numbers:
        with _translated(path):
            header = image if number is None else groups.header_of(number)
            stored = pixel_array(image, raw=True, index=None if number is None else number - 1)
        yield _modality_values(header, stored)


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (Unsuitable, Broken):
        raise
    except (OSError, MemoryError) as error:
        raise TryAgain(f"{path.name} cannot be read now ({type(error).__name__})") from error
    except Exception as error:  # decoders raise anything on damaged or hostile bytes
        raise Broken(f"{path.name} cannot be decoded ({type(error).__name__})") from error


def _opened(path: Path) -> Dataset:
    content = path.read_bytes()
    _require_unchanged(path, content)
    image = dcmread(BytesIO(content))
    _require_one_sample(image)
    _require_bounded(image)
    return image


def _modality_values(header: Dataset, stored: NDArray[np.integer]) -> NDArray[np.float32]:
    padding = _padding(header, stored)
    upright = _inverted(header, stored) if _is_inverted(header) else stored
    values = np.asarray(apply_modality_lut(upright, header), dtype=np.float32)
    if padding.any() and not padding.all():
        values[padding] = values[~padding].min()
    return values


def _require_unchanged(path: Path, content: bytes) -> None:
    """What a disk has changed since it was acknowledged is not what the modality sent."""
    noted, now = digests(content)
    if noted and noted != now:
        raise Broken(f"{path.name} is not what was received: its digest was {noted} and is {now}; send it again")


def _require_one_sample(image: Dataset) -> None:
    if int(image.get("SamplesPerPixel", 1)) != 1:
        raise Unsuitable(f"the image is in colour ({image.get('PhotometricInterpretation')})")


def _require_bounded(image: Dataset) -> None:
    declared = int(image.Rows) * int(image.Columns) * int(image.BitsAllocated) // 8
    frames = int(image.get("NumberOfFrames") or 1)
    if declared > MOST_BYTES_PER_FRAME or declared * frames > MOST_BYTES_PER_INSTANCE:
        raise Unsuitable(
            f"the header declares {frames} frames of {declared} bytes; at most {MOST_BYTES_PER_FRAME} for a frame and "
            f"{MOST_BYTES_PER_INSTANCE} for all of them are decoded"
        )


def _is_inverted(image: Dataset) -> bool:
    """MONOCHROME1 says how to show values, not what they are: Hounsfield units stay as they are."""
    return bool(image.PhotometricInterpretation == "MONOCHROME1" and image.get("Modality") != "CT")


def _inverted(image: Dataset, stored: NDArray[np.integer]) -> NDArray[np.integer]:
    highest = -1 if int(image.PixelRepresentation) == 1 else (1 << int(image.BitsStored)) - 1
    return np.asarray(highest - stored.astype(np.int64))


def _padding(image: Dataset, stored: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Where Pixel Padding Value, or the range up to its limit, stands (PS3.3 C.7.5.1.1.2), (row, column)."""
    if "PixelPaddingValue" not in image:
        return np.zeros(stored.shape, dtype=np.bool_)
    ends = sorted((int(image.PixelPaddingValue), int(image.get("PixelPaddingRangeLimit", image.PixelPaddingValue))))
    return np.asarray((stored >= ends[0]) & (stored <= ends[1]))
