"""Marking structures in a volume: from the source's grid to the network's, and back."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from models.findings import Findings
from models.manifest import Segmentation
from models.measurement import Likelihoods, measured
from models.preprocessing import to_network, to_source
from models.regions import found, on_planes
from models.tasks import patches
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
        inference = self.manifest.inference
        network_input = to_network(volume, self.manifest.preprocessing)
        try:
            likelihoods = patches.probabilities(self.network, network_input.values, inference)
        except torch.OutOfMemoryError as error:
            raise MemoryError(str(error)) from error
        raw = to_source(likelihoods, network_input)
        label_map = patches.keep_largest_components(raw, inference.largest_component)
        findings = on_planes(found(algorithm(self.manifest), label_map, self.manifest.labels), places)
        return measured(findings, volume, Likelihoods(network_input.grid, likelihoods))
