"""A package on a device becomes a Predictor: one image in, findings on its own grid out."""

from collections.abc import Sequence
from typing import Literal, Protocol

import torch

from models import networks
from models.architectures import NnUNet, OnnxGraph
from models.chains import chain_of, steps_of
from models.environment import Environment
from models.findings import Findings
from models.manifest import Chain, Location
from models.perceptron import perceptron_of
from models.registry import Package, classification, location, regression, segmentation, verify
from models.runtimes import nnunet, onnx, safetensors
from models.tasks.chain import Chained, Link
from models.tasks.classify import Classifier
from models.tasks.locate import Locator, locating_network
from models.tasks.regress import Regressor
from models.tasks.segment import Segmenter, network_of
from models.tasks.whole import WholeSegmenter
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


def load(package: Package, device: str, environment: Environment | None = None) -> Predictor:
    """The package's model on the device, ready to predict; `environment` is that of nnU-Net, where the site has one.

    Raises PackageError when the weights are missing, are not the ones that were evaluated, or may not be run here; for
    a chain, those of any of its steps, before one of them is loaded. Raises Ended when the process of a model that has
    its own dies.
    """
    if isinstance(package.manifest, Chain):
        return _load_chain(package, device, environment)
    if isinstance(package.manifest, Location):
        return load_for_boxes(package, device)
    manifest = segmentation(package)
    if isinstance(manifest.network, NnUNet):
        return WholeSegmenter(manifest, nnunet.load(package, device, environment))
    if isinstance(manifest.network, OnnxGraph):
        return Segmenter(manifest, onnx.load(package, device))
    return Segmenter(manifest, safetensors.load(package, network_of(manifest), device))


def load_for_boxes(package: Package, device: str) -> Locator:
    """The model of a package that puts boxes around structures, ready to be asked. Raises as `load`."""
    manifest = location(package)
    return Locator(manifest, safetensors.load(package, locating_network(manifest), device))


def load_for_radiographs(package: Package, device: str) -> Classifier:
    """The model of a package that judges radiographs, ready to be asked. Raises as `load`."""
    manifest = classification(package)
    network = networks.build_for_images(manifest.network, classes=len(manifest.classes))
    return Classifier(manifest, safetensors.load(package, network, device))


def load_for_values(package: Package, device: str) -> Regressor:
    """The model of a package that predicts a quantity from values, ready to be asked. Raises as `load`."""
    manifest = regression(package)
    return Regressor(manifest, safetensors.load(package, perceptron_of(manifest), device))


def _load_chain(package: Package, device: str, environment: Environment | None) -> Chained:
    steps = list(steps_of(package))
    verify(package)
    loaded = {each: load(each, device, environment) for each in dict.fromkeys(package.steps)}
    return Chained(chain_of(package), tuple(Link(said, each.manifest, loaded[each]) for said, each in steps))
