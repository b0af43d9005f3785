"""Pixel Data into volumes: stored values as the modality means them. For the worker alone."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, pixel_array

from models.volume import Grid, Volume
from service.core.errors import Broken, TryAgain, Unsuitable
from service.edge.file_meta import digests

MOST_BYTES_PER_IMAGE = 256 * 1024 * 1024  # of decoded pixels; a larger declaration is a mistake or an attack
_READERS = 2  # decoding holds the interpreter, reading does not


def read_volume(paths: Sequence[Path], grid: Grid) -> Volume:
    """The images in `paths`, in the order of the grid's slices, as one volume of modality values (HU for CT).

    Raises Unsuitable for images in colour or without a decodable pixel, Broken when a file is damaged.
    """
    values = np.empty(grid.shape, dtype=np.float32)
    with ThreadPoolExecutor(_READERS) as readers:
        for index, plane in enumerate(readers.map(read_plane, paths)):
            if plane.shape != grid.shape[1:]:
                raise Broken(f"slice {index + 1} decodes to {plane.shape}, its header says {grid.shape[1:]}")
            values[index] = plane
    return Volume(grid, values)


def read_plane(path: Path) -> NDArray[np.float32]:
    """Modality values of one single-frame image, (row, column). Raises as `read_volume`."""
    try:
        content = path.read_bytes()
        _require_unchanged(path, content)
        image = dcmread(BytesIO(content))
        _require_one_sample(image)
        _require_bounded(image)
        stored = pixel_array(image, raw=True)
    except (Unsuitable, Broken):
        raise
    except (OSError, MemoryError) as error:
        raise TryAgain(f"{path.name} cannot be read now ({type(error).__name__})") from error
    except Exception as error:  # decoders raise anything on damaged or hostile bytes
        raise Broken(f"{path.name} cannot be decoded ({type(error).__name__})") from error
    padding = _padding(image, stored)
    upright = _inverted(image, stored) if _is_inverted(image) else stored
    values = np.asarray(apply_modality_lut(upright, image), dtype=np.float32)
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
    declared *= int(image.get("NumberOfFrames") or 1)
    if declared > MOST_BYTES_PER_IMAGE:
        raise Unsuitable(f"the header declares {declared} bytes of pixels; at most {MOST_BYTES_PER_IMAGE} are decoded")


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
