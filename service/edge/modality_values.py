"""From stored values to what the modality means by them: the Modality LUT (PS3.3 C.11.1), padding, MONOCHROME1."""

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from service.core.errors import Broken

Stored = NDArray[np.integer]
Values = NDArray[np.float32]

_WITH_UNITS = ("CT", "PT")
_EXACT = 1 << 24  # whole numbers up to here are exact in float32
_SIXTEEN_BITS = 1 << 16


def put_modality_values(header: Dataset, stored: Stored, out: Values) -> None:
    """Write the modality's values of one frame into `out`; both (row, column).

    Padding (PS3.3 C.7.5.1.1.2) becomes the lowest value of the rest. Raises Broken when the header does not say
    clearly what the values mean.
    """
    upright = _inverted(header, stored) if _is_inverted(header) else stored
    table = header.get("ModalityLUTSequence")
    if table:
        out[...] = _looked_up(table[0], upright)
    else:
        _rescale(header, upright, out)
    if "PixelPaddingValue" in header:
        _level(out, _padding(header, stored))


def _is_inverted(header: Dataset) -> bool:
    """MONOCHROME1 says how to show values, not what they are: those that have a unit stay as they are."""
    return bool(header.PhotometricInterpretation == "MONOCHROME1" and header.get("Modality") not in _WITH_UNITS)


def _inverted(header: Dataset, stored: Stored) -> Stored:
    """The highest storable value where the lowest was; with two's complement that turns every bit."""
    turned = -1 if stored.dtype.kind == "i" else (1 << int(header.get("BitsStored", stored.itemsize * 8))) - 1
    return np.asarray(stored ^ stored.dtype.type(turned))


def _rescale(header: Dataset, stored: Stored, out: Values) -> None:
    slope, intercept = _slope_and_intercept(header)
    if not _is_exact(slope, intercept, stored):
        out[...] = np.multiply(stored, slope, dtype=np.float64) + intercept
    elif slope == 1.0:
        np.add(stored, np.float32(intercept), out=out)
    else:
        np.multiply(stored, np.float32(slope), out=out)
        out += np.float32(intercept)


def _slope_and_intercept(header: Dataset) -> tuple[float, float]:
    said = [header.get(keyword) for keyword in ("RescaleSlope", "RescaleIntercept")]
    if all(value in (None, "") for value in said):
        return 1.0, 0.0
    try:
        slope, intercept = (float(value) for value in said)
    except (TypeError, ValueError) as error:
        raise Broken(f"its Rescale Slope is {said[0]} and its Rescale Intercept {said[1]}: both are needed") from error
    if not np.isfinite((slope, intercept)).all():
        raise Broken(f"its Rescale Slope is {slope} and its Rescale Intercept {intercept}: both must be finite")
    return slope, intercept


def _is_exact(slope: float, intercept: float, stored: Stored) -> bool:
    """True when no step of slope and intercept loses anything in float32."""
    whole = slope.is_integer() and intercept.is_integer()
    return whole and stored.itemsize <= 2 and abs(slope) * _SIXTEEN_BITS + abs(intercept) <= _EXACT


def _looked_up(table: Dataset, stored: Stored) -> NDArray[np.integer]:
    count, first, bits = (int(value) for value in table.LUTDescriptor)
    entries = _entries(table, count & 0xFFFF or _SIXTEEN_BITS)
    if stored.dtype.kind == "i" and first >= _SIXTEEN_BITS // 2:  # written as US, meant as SS
        first -= _SIXTEEN_BITS
    if not 8 <= bits <= 16:
        raise Broken(f"its Modality LUT has entries of {bits} bits")
    return np.asarray(entries[np.clip(stored.astype(np.int64) - first, 0, entries.size - 1)])


def _entries(table: Dataset, count: int) -> NDArray[np.integer]:
    """LUT Data as US, or as OW with one or two bytes for each entry."""
    written = table.LUTData
    if isinstance(written, bytes):
        wide = len(written) >= 2 * count
        entries = np.frombuffer(written, "<u2" if wide else "u1", count if len(written) >= count else 0)
    else:
        entries = np.atleast_1d(np.asarray(written, dtype=np.int64))
    if entries.size != count:
        raise Broken(f"its Modality LUT says that it has {count} entries and has {entries.size}")
    return entries & 0xFFFF


def _padding(header: Dataset, stored: Stored) -> NDArray[np.bool_]:
    """Where Pixel Padding Value, or the range up to its limit, stands, (row, column)."""
    said = [header.get(keyword) for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    ends = [np.array(int(value)).astype(stored.dtype) for value in said if value is not None]  # US may mean SS
    if len(ends) < 2:
        return np.asarray(stored == ends[0])
    return np.asarray((stored >= min(ends)) & (stored <= max(ends)))


def _level(values: Values, padding: NDArray[np.bool_]) -> None:
    if padding.any() and not padding.all():
        values[padding] = values.min(where=~padding, initial=np.inf)
