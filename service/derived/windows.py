"""Which intensities a picture shows as black and as white, and how that is named."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.terms import Term
from models.volume import Volume

_MOST_VALUES = 4_000_000  # percentiles of more are not worth the time


@dataclass(frozen=True, slots=True)
class Window:
    """Intensities shown as black and as white."""

    minimum: float
    maximum: float
    unit: str = ""

    @property
    def width(self) -> float:
        """From black to white."""
        return self.maximum - self.minimum

    @property
    def centre(self) -> float:
        """Half way."""
        return (self.maximum + self.minimum) / 2

    def __str__(self) -> str:
        return f"W {self.width:.4g} L {self.centre:.4g} {self.unit}".rstrip()


def _hounsfield(width: float, centre: float) -> Window:
    return Window(centre - width / 2, centre + width / 2, "HU")


_SOFT_TISSUE = _hounsfield(400, 40)
_CT_WINDOWS = (  # words of a structure or a body part, and the window that radiology looks at it in
    (("lung", "pulmonary", "bronch", "airway", "trachea"), _hounsfield(1500, -600)),
    (("brain", "cerebr", "intracranial", "hippocamp", "head"), _hounsfield(80, 40)),
    (("bone", "vertebra", "rib", "femur", "skull", "spine", "sacrum"), _hounsfield(1800, 400)),
)


def ct_window(terms: Sequence[Term], body_part: str) -> Window:
    """The usual window of the first structure that has one of its own, then of the body part, then of soft tissue."""
    for words in (*(f"{term.name} {term.type.meaning}" for term in terms), body_part):
        for parts, window in _CT_WINDOWS:
            if any(word.startswith(parts) for word in words.lower().split()):
                return window
    return _SOFT_TISSUE


def window_of(volume: Volume) -> Window:
    """Black at the 1st percentile, white at the 99.5th: for images whose units have no meaning."""
    return spread_window(volume.values, (1.0, 99.5))


def spread_window(values: NDArray[np.float32], percentiles: tuple[float, float]) -> Window:
    """Black at one percentile of the values, white at the other; those of a large image are taken from a part."""
    step = max(1, values.size // _MOST_VALUES)
    low, high = np.percentile(values.reshape(-1)[::step], percentiles)
    return Window(float(low), max(float(high), float(low) + 1e-6))


def grey(values: NDArray[np.floating], window: Window) -> NDArray[np.float64]:
    """Shades (row, column, 3) of values (row, column), 0 to 255; black where there is no value (nan)."""
    shade = np.clip((values.astype(np.float64) - window.minimum) / window.width, 0.0, 1.0) * 255.0
    return np.repeat(np.nan_to_num(shade)[..., None], 3, axis=2)
