"""A package on a device becomes a Predictor: one volume in, findings on its own grid out."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, Protocol

import torch
from torch import nn

from models.findings import Algorithm, Findings
from models.manifest import Manifest
from models.measurement import Likelihoods, measured
from models.preprocessing import to_network, to_source
from models.regions import found, on_planes
from models.registry import Package
from models.runtimes import safetensors
from models.tasks import patches
from models.volume import Volume


class Predictor(Protocol):
    """A model that is ready to be asked."""

    def __call__(self, volume: Volume, places: Sequence[float] = ()) -> Findings:
        """What the model says of a volume; `places` are those of unevenly spaced source planes (models/uneven.py)."""


def pick_device(wanted: Literal["auto", "cpu", "cuda"]) -> str:
    """The device to run on: `auto` is the GPU where there is one.

    Raises ValueError when `cuda` is wanted and there is none.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ValueError("the device cuda is wanted and this machine has none that torch can use")
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted


def load(package: Package, device: str) -> Predictor:
    """The package's model on the device, ready to predict.

    Raises PackageError when the weights are missing or are not the ones that were evaluated.
    """
    return _Model(package.manifest, safetensors.load(package, device))


@dataclass(frozen=True, slots=True)
class _Model:
    """A network and the manifest that says how it is asked."""

    manifest: Manifest
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


def algorithm(manifest: Manifest) -> Algorithm:
    """Who speaks in the findings of this package."""
    return Algorithm(
        name=manifest.title,
        version=manifest.version,
        manufacturer=manifest.manufacturer,
        weights_sha256=manifest.weights.sha256,
        package=manifest.name,
        manifest_sha256=sha256(manifest.model_dump_json().encode()).hexdigest(),
    )
