"""Small packages for tests: a manifest with only what matters changed, and weights that fit it."""

import shutil
from pathlib import Path
from typing import Any

import torch
import yaml

from models import networks
from models.manifest import Classification, PatchSegmentation
from models.registry import BUILT_IN, Package, digest, read
from models.runtimes import safetensors

CODE = {"value": "10200004", "scheme": "SCT", "meaning": "Liver"}


def written(**changes: Any) -> dict[str, Any]:
    """A manifest as it stands in a file."""
    manifest: dict[str, Any] = {
        "name": "tiny",
        "version": "1.0.0",
        "title": "Tiny",
        "task": "patches",
        "evidence": "phantom",
        "intake": {"modalities": ["CT"], "spacing_mm": {"minimum": 1, "maximum": 4}},
        "preprocessing": {"spacing_mm": [3, 3, 3], "intensity": {"kind": "window", "minimum": -160, "maximum": 240}},
        "network": {"name": "residual_unet", "channels": [4, 8]},
        "inference": {"patch": [16, 16, 16]},
        "labels": [{"value": 1, "name": "Liver", "category": CODE, "type": CODE, "color_rgb": [1, 2, 3]}],
        "weights": {"sha256": "0" * 64},
        "licences": {"training_data": "Apache-2.0", "weights": "Apache-2.0"},
    }
    return manifest | changes


def manifest(**changes: Any) -> PatchSegmentation:
    """A manifest as a value."""
    return PatchSegmentation.model_validate(written(**changes))


def classifier_written(**changes: Any) -> dict[str, Any]:
    """The manifest of a model that judges radiographs, as it stands in a file."""
    term = {"name": "Square", "category": CODE, "type": CODE, "color_rgb": [1, 2, 3]}
    manifest: dict[str, Any] = {
        "name": "tiny_square",
        "version": "1.0.0",
        "title": "Tiny square",
        "task": "classify",
        "evidence": "real",
        "intake": {"modalities": ["DX"], "pixels": {"minimum": 16}},
        "preprocessing": {"rows": 32, "columns": 32, "fit": "stretch", "intensity": {"kind": "standardize"}},
        "network": {"name": "resnet18", "channels": [8, 8, 16, 16]},
        "classes": [term | {"operating_point": 0.5, "calibration": {"slope": 1.0, "offset": 0.0}}],
        "heat_map": "cam",
        "weights": {"sha256": "0" * 64},
        "licences": {"training_data": "Apache-2.0", "weights": "Apache-2.0"},
    }
    return manifest | changes


def classifier(**changes: Any) -> Classification:
    """The same as a value."""
    return Classification.model_validate(classifier_written(**changes))


def classifier_with_weights(folder: Path, **changes: Any) -> Package:
    """A complete package that judges radiographs, of fresh weights of a fixed seed."""
    torch.manual_seed(0)
    said = classifier(**changes)
    network = networks.build_for_images(said.network, classes=len(said.classes))
    return _sealed(folder, network.state_dict(), classifier_written(**changes))


def chain_written(*steps: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The manifest of a chain of these steps, as it stands in a file."""
    manifest: dict[str, Any] = {
        "name": "tiny_chain",
        "version": "1.0.0",
        "title": "Tiny chain",
        "task": "chain",
        "evidence": "phantom",
        "intake": {"modalities": ["CT"], "spacing_mm": {"minimum": 1, "maximum": 4}},
        "steps": list(steps),
        "licences": {"training_data": "Apache-2.0", "weights": "Apache-2.0"},
    }
    return manifest | changes


def pinned(package: Package, **said: Any) -> dict[str, Any]:
    """A step of a chain: this package, and no other."""
    manifest = package.manifest
    return {"package": manifest.name, "version": manifest.version, "weights_sha256": manifest.weights_sha256} | said


def put(folder: Path, manifest: dict[str, Any]) -> Path:
    """A package folder with this manifest and no weights."""
    folder.mkdir(parents=True)
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest), encoding="utf-8")
    return folder


def with_weights(folder: Path, **changes: Any) -> Package:
    """A complete package whose weights are fresh ones of a fixed seed."""
    torch.manual_seed(0)
    network = networks.build(manifest(**changes).network, classes=len(manifest(**changes).labels) + 1)
    return _sealed(folder, network.state_dict(), written(**changes))


def _sealed(folder: Path, weights: dict[str, torch.Tensor], manifest: dict[str, Any]) -> Package:
    folder.mkdir(parents=True)
    safetensors.save(weights, folder / "weights.safetensors")
    sealed = manifest | {"weights": {"sha256": digest(folder / "weights.safetensors")}}
    (folder / "manifest.yaml").write_text(yaml.safe_dump(sealed), encoding="utf-8")
    return read(folder)


def adapted(folder: Path, original: str, *, intake: dict[str, Any], **changes: Any) -> Path:
    """A copy of a package of ours with this said of its intake and these changes; its weights are the same."""
    shutil.copytree(BUILT_IN / original, folder)
    manifest = yaml.safe_load((folder / "manifest.yaml").read_text(encoding="utf-8"))
    changed = manifest | changes | {"intake": manifest["intake"] | intake}
    (folder / "manifest.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")
    return folder
