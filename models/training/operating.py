"""What validation images decide beside the checkpoint: what an answer means, and from where on it is positive."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from models.sections import Calibration
from models.training.recipe import AtLeastSensitivity

DIGITS = 4
LOWEST, HIGHEST = 0.0001, 0.9999  # an operating point lies between 0 and 1

Truth = NDArray[np.bool_]
Values = NDArray[np.float64]


def fitted_calibration(truth: Truth, logits: Values, how: str) -> Calibration:
    """The slope and offset under which the probabilities are likeliest (Platt, 1999); a temperature has no offset.

    The truth is softened as Platt did, so that what is told apart without fault gets no slope without end.
    """
    if how == "none":
        return Calibration()
    positives, negatives = int(truth.sum()), int((~truth).sum())
    wanted = np.where(truth, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def surprise(parameters: Values) -> float:
        answers = np.exp(parameters[0]) * logits + (parameters[1] if how == "platt" else 0.0)
        return float(np.mean(np.logaddexp(0.0, answers) - wanted * answers))

    slope, offset = minimize(surprise, np.zeros(2), method="Nelder-Mead").x
    return Calibration(
        slope=round(float(np.exp(slope)), DIGITS), offset=round(float(offset), DIGITS) if how == "platt" else 0.0
    )


def fitted_operating_point(truth: Truth, likely: Values, how: str | AtLeastSensitivity) -> float:
    """From which probability on an answer is positive: half-way between two probabilities that were seen.

    By Youden's J the sum of sensitivity and specificity is the largest; else the sensitivity is at least as wanted.
    """
    seen = np.unique(likely)
    between = np.concatenate([[seen[0] / 2], (seen[:-1] + seen[1:]) / 2])
    sensitivity = np.array([(likely[truth] >= point).mean() for point in between])
    specificity = np.array([(likely[~truth] < point).mean() for point in between])
    if isinstance(how, AtLeastSensitivity):
        best = int(np.flatnonzero(sensitivity >= how.sensitivity)[-1])
    else:
        best = int(np.argmax(sensitivity + specificity))
    steps = 10.0**DIGITS
    rounded = math.floor(float(between[best]) * steps) / steps
    return min(max(rounded, LOWEST), HIGHEST)
