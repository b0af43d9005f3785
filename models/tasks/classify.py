"""Judging a radiograph: how likely it shows what, and where the evidence for it lies."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models.findings import Findings, HeatMap, Score
from models.fitting import to_image, to_radiograph
from models.manifest import Classification
from models.resnet import ImageNetwork
from models.sections import Calibration
from models.tasks.activation import METHODS
from models.tasks.identity import algorithm
from models.volume import Radiograph

COLUMN_AXIS = -1


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a network says of one image, the mean over the image and, where it is wanted, its mirror image."""

    logits: NDArray[np.float64]  # (classes,)
    evidence: NDArray[np.float32] | None  # (classes, rows, columns) over the network's image, 0 and above


@dataclass(frozen=True, slots=True)
class Classifier:
    """A network and the manifest that says how it is asked."""

    manifest: Classification
    network: ImageNetwork

    def __call__(self, radiograph: Radiograph) -> Findings:
        """A score for each class, and its heat map on the radiograph's own pixels: its peak is the probability.

        Raises ValueError when the network answers with anything that is not a finite number, and MemoryError when
        the device has too little memory.
        """
        classes = self.manifest.classes
        answer = self.answer(radiograph)
        likely = [probability(logit, each.calibration) for logit, each in zip(answer.logits, classes, strict=True)]
        return Findings(
            algorithm=algorithm(self.manifest),
            scores=tuple(
                Score(each.term, value, each.operating_point) for each, value in zip(classes, likely, strict=True)
            ),
            heat_maps=self._heat_maps(answer, likely, radiograph),
        )

    def answer(self, radiograph: Radiograph) -> Answer:
        """What the network says before calibration. Raises as the call."""
        image = to_image(radiograph.values, self.manifest.preprocessing)
        try:
            return ask(self.network, image, self.manifest)
        except torch.OutOfMemoryError as error:
            raise MemoryError(str(error)) from error

    def _heat_maps(self, answer: Answer, likely: list[float], radiograph: Radiograph) -> tuple[HeatMap, ...]:
        if answer.evidence is None:
            return ()
        shape, preprocessing = radiograph.values.shape, self.manifest.preprocessing
        return tuple(
            HeatMap(each.term, peaking(to_radiograph(evidence, (shape[0], shape[1]), preprocessing), value))
            for each, evidence, value in zip(self.manifest.classes, answer.evidence, likely, strict=True)
        )


def ask(network: ImageNetwork, image: NDArray[np.float32], manifest: Classification) -> Answer:
    """What the network says of an image that was made for it, (row, column). Raises ValueError as the Classifier."""
    device = next(network.parameters()).device
    picture = torch.from_numpy(np.ascontiguousarray(image))[None, None].to(device)
    seen = torch.cat([picture, picture.flip(COLUMN_AXIS)]) if manifest.mirror else picture
    with torch.no_grad():
        features = network.features(seen)
        logits = network.head(features).mean(0)
    if not bool(torch.isfinite(logits).all()):
        raise ValueError("the network answered with values that are not finite numbers")
    evidence = None
    if manifest.heat_map:
        maps = METHODS[manifest.heat_map](network, features)
        turned = torch.stack([maps[0], *(each.flip(COLUMN_AXIS) for each in maps[1:])])
        evidence = turned.mean(0).cpu().numpy().astype(np.float32)
    return Answer(logits.cpu().numpy().astype(np.float64), evidence)


def probability(logit: float, calibration: Calibration) -> float:
    """What the logit means, 0 to 1."""
    return float(1.0 / (1.0 + np.exp(-np.clip(calibration.slope * logit + calibration.offset, -500, 500))))


def peaking(evidence: NDArray[np.float32], value: float) -> NDArray[np.float32]:
    """The evidence scaled so that its peak is `value`, whatever there is of it; nothing where there is none.

    An image that hardly shows something has a heat map that hardly shows it either.
    """
    highest = float(evidence.max())
    return np.asarray(np.clip(evidence * (value / highest), 0.0, 1.0) if highest > 0 else evidence, dtype=np.float32)
