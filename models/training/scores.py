"""How alike two masks are."""

import numpy as np
from numpy.typing import NDArray


def dice(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Twice the overlap of two masks over the sum of their sizes; 1 where both are empty."""
    size = int(np.count_nonzero(found)) + int(np.count_nonzero(truth))
    return 2 * int(np.count_nonzero(found & truth)) / size if size else 1.0
