"""Predicting a quantity from values: what it will be at some weeks after a baseline, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from models.findings import Findings, Measurement, Prediction
from models.inputs import Known, Values, encode, in_words
from models.lungs import are_whole, lungs
from models.manifest import Regression
from models.perceptron import ChangeNetwork, rows_at
from models.regions import found
from models.tasks.identity import algorithm
from models.terms import Code
from models.volume import Volume

LUNG_VOLUME = "lung_volume"  # as manifests name the input
ESTIMATED = Code(value="414135002", scheme="SCT", meaning="Estimated")


@dataclass(frozen=True, slots=True)
class Regressor:
    """A network and the manifest that says how it is asked."""

    manifest: Regression
    network: ChangeNetwork

    def __call__(self, known: Known, volume: Volume | None = None) -> Findings:
        """A prediction with its sigma for each week of the manifest, and the lungs where they are wholly on the volume.

        Raises ValueError when a required value is missing, when the network answers with anything that is not a finite
        number, and when a prediction is not plausible.
        """
        manifest, measured = self.manifest, self._lungs(volume)
        values = dict(known.values)
        for region in measured.regions:
            values[LUNG_VOLUME] = region.volume_ml
        basis = in_words(manifest.inputs, values)
        answers = self.answers(values, manifest.weeks)
        predicted = tuple(
            Prediction(manifest.output.term, self._measurement(value, sigma), weeks, known.measured_on, basis)
            for weeks, (value, sigma) in zip(manifest.weeks, answers.tolist(), strict=True)
        )
        return replace(measured, predictions=predicted)

    def answers(self, values: Values, weeks: Sequence[float]) -> NDArray[np.float64]:
        """The quantity and sigma at each of the weeks, (n, 2). Raises ValueError as the call."""
        features = torch.from_numpy(encode(self.manifest.inputs, values)).expand(len(weeks), -1)
        device = next(self.network.parameters()).device
        with torch.inference_mode():
            changes = self.network(rows_at(features, torch.tensor(weeks, dtype=torch.float32)).to(device)).cpu()
        answers: NDArray[np.float64] = changes.numpy().astype(np.float64)
        if not np.isfinite(answers).all():
            raise ValueError("the network answered with values that are not finite numbers")
        answers[:, 0] += float(values[self.manifest.baseline.input])
        return answers

    def _lungs(self, volume: Volume | None) -> Findings:
        """The lungs as a region, where the manifest has a label for them and their volume is one that lungs have."""
        speaker, label = algorithm(self.manifest), self.manifest.lungs
        label_map = lungs(volume) if volume is not None and label is not None else None
        if label is None or label_map is None or not are_whole(label_map):
            return Findings(speaker)
        if not label.plausible_ml.holds(label_map.volume_ml(label.value)):
            return Findings(speaker)
        return found(speaker, label_map, (label,))

    def _measurement(self, value: float, sigma: float) -> Measurement:
        output = self.manifest.output
        if not output.plausible.holds(value):
            unit = output.unit.value
            raise ValueError(
                f"{output.name} of {value:.0f} {unit} is not plausible: expected {output.plausible} {unit}"
            )
        return Measurement(output.type, value, output.unit, ESTIMATED, sigma)
