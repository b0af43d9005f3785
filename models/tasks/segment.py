"""Marking structures in a volume: from the source's grid to the network's, and back."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models import networks
from models.findings import Findings
from models.manifest import PatchSegmentation, Segmentation, SliceSegmentation
from models.measurement import Likelihoods, measured
from models.preprocessing import to_network, to_source
from models.regions import found, on_planes
from models.sections import SliceInference
from models.tasks import patches, slices
from models.tasks.identity import algorithm
from models.volume import Volume


@dataclass(frozen=True, slots=True)
class Segmenter:
    """A network and the manifest that says how it is asked."""

    manifest: Segmentation
    network: nn.Module

    def __call__(self, volume: Volume, places: Sequence[float] = ()) -> Findings:
        """Regions on the volume's own grid, as the planes at `places` can show them, and measured there.

        Raises ValueError when the network answers with anything that is not a finite number, and MemoryError when
        the device has too little memory.
        """
        network_input = to_network(volume, self.manifest.preprocessing)
        try:
            likelihoods = probabilities(self.network, network_input.values, self.manifest)
        except torch.OutOfMemoryError as error:
            raise MemoryError(str(error)) from error
        raw = to_source(likelihoods, network_input)
        label_map = patches.keep_largest_components(raw, self.manifest.inference.largest_component)
        findings = on_planes(found(algorithm(self.manifest), label_map, self.manifest.labels), places)
        return measured(findings, volume, Likelihoods(network_input.grid, likelihoods))


def network_of(manifest: Segmentation) -> nn.Module:
    """The manifest's network with fresh weights: as many answers as labels and background."""
    inference = manifest.inference
    inputs = 2 * inference.neighbours + 1 if isinstance(inference, SliceInference) else 1
    return networks.build(manifest.network, len(manifest.labels) + 1, inputs)


def probabilities(network: nn.Module, values: NDArray[np.float32], manifest: Segmentation) -> NDArray[np.float32]:
    """Class probabilities on the network's grid, asked for as the manifest says: (z, y, x) -> (classes, z, y, x).

    Raises ValueError when the network answers with anything that is not a finite number.
    """
    match manifest:
        case PatchSegmentation():
            return patches.probabilities(network, values, manifest.inference)
        case SliceSegmentation():
            return slices.probabilities(network, values, manifest.inference, manifest.window)
    raise TypeError(f"{manifest.name} marks structures in a way that is not known: {manifest.task}")
