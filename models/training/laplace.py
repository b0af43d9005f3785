"""The modified Laplace log likelihood: how good a number is together with the uncertainty that was stated for it."""

import numpy as np
from numpy.typing import NDArray

LEAST_SIGMA_ML = 70.0  # what measuring forced vital capacity twice differs by
LARGEST_ERROR_ML = 1000.0

Values = NDArray[np.float64]


def laplace_log_likelihood(truth: Values, found: Values, sigma: Values) -> Values:
    """Of each prediction (n,), in ml of forced vital capacity: higher is better, and -4.6 is the best there is.

    An uncertainty below 70 ml counts as 70, an error above 1000 ml as 1000 (OSIC Pulmonary Fibrosis Progression, 2020).
    """
    clipped = np.maximum(sigma, LEAST_SIGMA_ML)
    error = np.minimum(np.abs(truth - found), LARGEST_ERROR_ML)
    return np.asarray(-np.sqrt(2.0) * error / clipped - np.log(np.sqrt(2.0) * clipped))
