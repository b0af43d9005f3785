"""How alike two masks are, voxel by voxel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class VolumeError:
    """Found less true volume, in millilitres, and in percent of the true one where there is any."""

    millilitres: float
    percent: float | None


def dice(found: Mask, truth: Mask) -> float:
    """Twice the overlap of two masks over the sum of their sizes; 1 where both are empty."""
    size = int(np.count_nonzero(found)) + int(np.count_nonzero(truth))
    return 2 * int(np.count_nonzero(found & truth)) / size if size else 1.0


def jaccard(found: Mask, truth: Mask) -> float:
    """The overlap of two masks over what either covers; 1 where both are empty."""
    either = int(np.count_nonzero(found | truth))
    return int(np.count_nonzero(found & truth)) / either if either else 1.0


def volume_error(found_ml: float, truth_ml: float) -> VolumeError:
    """How far a volume is from the truth; positive is too much."""
    error_ml = found_ml - truth_ml
    return VolumeError(error_ml, 100.0 * error_ml / truth_ml if truth_ml else None)
