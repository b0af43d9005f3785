"""How the samples of an image lie, as its header says, within bounds (PS3.3 C.7.6.3)."""

from dataclasses import dataclass

import numpy as np
from pydicom.datadict import dictionary_description
from pydicom.dataset import Dataset

from service.core.errors import Broken, Unsuitable

MOST_BYTES_PER_FRAME = 256 * 1024 * 1024  # decoded; a larger declaration is a mistake or an attack
MOST_BYTES_PER_INSTANCE = 4 * 1024**3
ALLOCATED = (8, 16, 32)  # bits


@dataclass(frozen=True, slots=True)
class Layout:
    """How the samples of an image lie (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    frames: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool

    @property
    def frame_bytes(self) -> int:
        """The bytes of one decoded frame."""
        return self.rows * self.columns * self.bits_allocated // 8

    @property
    def container(self) -> np.dtype[np.integer]:
        """What one sample is kept in."""
        return np.dtype(f"{'i' if self.signed else 'u'}{self.bits_allocated // 8}")


def layout_of(header: Dataset) -> Layout:
    """How the samples lie, when they are grey values of a bounded size; raises as StoredImage."""
    photometric = header.get("PhotometricInterpretation")
    if _whole(header, "SamplesPerPixel", 1) != 1 or photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise Unsuitable(f"the image is in colour (Photometric Interpretation {photometric or 'absent'})")
    allocated = _whole(header, "BitsAllocated")
    stored = _whole(header, "BitsStored", allocated)
    high_bit = _whole(header, "HighBit", stored - 1)
    if allocated not in ALLOCATED or not 1 <= stored <= high_bit + 1 <= allocated:
        raise Unsuitable(f"{stored} bits stored up to bit {high_bit} of {allocated} allocated are not decoded here")
    signed = _whole(header, "PixelRepresentation")
    if signed not in (0, 1):
        raise Broken(f"its Pixel Representation is {signed}, neither 0 nor 1")
    rows, columns, frames = _whole(header, "Rows"), _whole(header, "Columns"), _whole(header, "NumberOfFrames", 1)
    layout = Layout(rows, columns, frames, allocated, stored, high_bit, bool(signed))
    _require_bounded(layout)
    return layout


def _whole(header: Dataset, keyword: str, absent: int | None = None) -> int:
    value = header.get(keyword)
    if value in (None, "") and absent is not None:
        return absent
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise Broken(f"its {dictionary_description(keyword)} is {value!r}, which is no number") from error


def _require_bounded(layout: Layout) -> None:
    declared = layout.frame_bytes
    if min(layout.rows, layout.columns, layout.frames) < 1:
        raise Broken(f"its header declares {layout.frames} frames of {layout.rows} x {layout.columns} pixels")
    if declared > MOST_BYTES_PER_FRAME or declared * layout.frames > MOST_BYTES_PER_INSTANCE:
        raise Unsuitable(
            f"the header declares {layout.frames} frames of {declared} bytes; at most {MOST_BYTES_PER_FRAME} for a "
            f"frame and {MOST_BYTES_PER_INSTANCE} for all of them are decoded"
        )
