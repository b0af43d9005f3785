"""How alike two label maps are."""

import numpy as np
from numpy.typing import NDArray


def dice(found: NDArray[np.uint8], truth: NDArray[np.uint8], label: int) -> float:
    """Twice the overlap over the sum of the sizes; 1 where the label is in neither."""
    in_found, in_truth = found == label, truth == label
    size = int(np.count_nonzero(in_found)) + int(np.count_nonzero(in_truth))
    return 2 * int(np.count_nonzero(in_found & in_truth)) / size if size else 1.0
