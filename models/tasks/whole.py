"""Segmentation of a whole volume by a program that prepares it itself: turned to its axes, and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.findings import Findings
from models.manifest import Segmentation
from models.measurement import Likelihoods, measured
from models.preprocessing import labels_to_source, upright
from models.regions import found, on_planes
from models.sections import Measure
from models.tasks.identity import algorithm
from models.tasks.patches import keep_largest_components
from models.volume import Volume


class Answered(Protocol):
    """What a program says of an image."""

    @property
    def labels(self) -> NDArray[np.uint8]:
        """(z, y, x), on the image's own grid."""

    @property
    def probabilities(self) -> NDArray[np.float32] | None:
        """(classes, z, y, x) there, where they were asked for."""


class Program(Protocol):
    """A program that marks structures in whole volumes."""

    def __call__(
        self, values: NDArray[np.float32], spacing_mm: NDArray[np.float64], *, probabilities: bool
    ) -> Answered:
        """What it says of values (z, y, x) at that spacing."""


@dataclass(frozen=True, slots=True)
class WholeSegmenter:
    """A program and the manifest that says along which axes it is asked."""

    manifest: Segmentation
    program: Program

    def __call__(self, volume: Volume, places: Sequence[float] = ()) -> Findings:
        """Regions on the volume's own grid, as the planes at `places` can show them, and measured there.

        Raises what the program raises.
        """
        asked = upright(volume, self.manifest.preprocessing.axes)
        wanted = any(Measure.PROBABILITY in label.measure for label in self.manifest.labels)
        answer = self.program(asked.values, asked.grid.spacing_mm, probabilities=wanted)
        raw = labels_to_source(answer.labels, asked)
        label_map = keep_largest_components(raw, self.manifest.inference.largest_component)
        findings = on_planes(found(algorithm(self.manifest), label_map, self.manifest.labels), places)
        likely = answer.probabilities
        return measured(findings, volume, Likelihoods(asked.grid, likely) if likely is not None else None)
