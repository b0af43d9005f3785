"""`isocenter models adopt`, as a site calls it, on someone else's trained MeshNet for T1 images of the brain."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from torch.nn import functional as F

from models.inference import load
from models.nifti import read_volume
from models.registry import read
from models.volume import Grid, Volume
from tests.node import run_command
from tests.unit.models.adoption.foreign import said
from tests.unit.models.adoption.test_monai_bundle import bundle

STRUCTURE = {"value": "91723000", "scheme": "SCT", "meaning": "Anatomical Structure"}
SAID = {
    "title": "MeshNet grey and white matter",
    "manufacturer": "Brainchop",
    "intake": {"modalities": ["MR"], "spacing_mm": {"minimum": 0.8, "maximum": 1.2}, "slices": {"minimum": 100}},
    "preprocessing": {
        "axes": "LIA",
        "spacing_mm": [1, 1, 1],
        "intensity": {"kind": "percentiles", "percentiles": [2, 98]},
    },
    "inference": {"patch": [256, 256, 256], "overlap": 0},
    "labels": [
        {
            "value": 1,
            "name": "White matter",
            "category": dict(STRUCTURE),
            "type": {"value": "389080008", "scheme": "SCT", "meaning": "White Matter"},
            "color_rgb": [240, 240, 220],
        },
        {
            "value": 2,
            "name": "Grey matter",
            "category": dict(STRUCTURE),
            "type": {"value": "389081007", "scheme": "SCT", "meaning": "Gray Matter"},
            "color_rgb": [150, 150, 150],
        },
    ],
    "licences": {"training_data": "LicenseRef-not-stated", "weights": "MIT"},
}
SIDE = 64


@pytest.fixture
def foreign(real_images: Callable[[str], Path]) -> Path:
    """The folder of the foreign model."""
    return real_images("weights/brainchop_meshnet_gwm")


def adopted(foreign: Path, into: Path, **changes: object) -> Path:
    """The package, by the command."""
    words = into / "said.yaml"
    words.write_text(json.dumps(SAID | changes), encoding="utf-8")
    run = run_command(
        *("models", "adopt", str(foreign / "model.pth"), "--into", str(into / "site"), "--name", "gwm"),
        *("--labels", str(words), "--layers", str(foreign / "modelAE.json")),
    )
    assert run.returncode == 0, run.stderr
    assert "gwm 1.0.0 is in" in run.stdout
    return into / "site" / "gwm"


def answered(foreign: Path, values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """What the makers' formula says of scaled values, layer by layer from their own files: (z, y, x) labels."""
    weights = torch.load(foreign / "model.pth", map_location="cpu", weights_only=True)
    *body, _ = json.loads((foreign / "modelAE.json").read_text(encoding="utf-8"))["layers"]
    seen = torch.from_numpy(values)[None, None]
    for number, layer in enumerate(body):
        conv, norm = f"model.{number}.0", f"model.{number}.1"
        seen = F.conv3d(
            seen,
            weights[f"{conv}.weight"],
            weights[f"{conv}.bias"],
            padding=layer["padding"],
            dilation=layer["dilation"],
        )
        mean, variance = weights[f"{norm}.running_mean"], weights[f"{norm}.running_var"]
        seen = F.elu(F.batch_norm(seen, mean, variance, weights[f"{norm}.weight"], weights[f"{norm}.bias"]))
    last = len(body)
    logits = F.conv3d(seen, weights[f"model.{last}.weight"], weights[f"model.{last}.bias"])
    return np.asarray(logits.argmax(1)[0].numpy(), dtype=np.uint8)


def test_a_foreign_model_is_adopted_verified_and_answers_as_its_makers_formula(foreign: Path, tmp_path: Path) -> None:
    folder = adopted(foreign, tmp_path, inference={"patch": [SIDE] * 3, "overlap": 0})
    manifest = yaml.safe_load((folder / "manifest.yaml").read_text(encoding="utf-8"))
    assert (manifest["evidence"], manifest["network"]["width"]) == ("foreign", 15)
    verified = run_command("models", "verify", str(folder))
    assert (verified.returncode, verified.stdout.count("ok  ")) == (0, 6), verified.stdout

    whole = read_volume(foreign / "t1_crop.nii.gz")
    values = np.ascontiguousarray(whole.values[96 : 96 + SIDE, 98 : 98 + SIDE, 100 : 100 + SIDE])
    lowest, highest = np.percentile(values, (2, 98))
    expected = answered(foreign, np.clip((values - lowest) / (highest - lowest), 0, 1).astype(np.float32))
    findings = load(read(folder), "cpu")(Volume(Grid(values.shape, whole.grid.affine), values))
    assert len(np.unique(expected)) == 3
    assert np.mean(findings.layers[0].labels == expected) > 0.9999  # ties aside


def test_a_bundle_that_would_have_to_be_evaluated_is_refused_in_one_sentence(tmp_path: Path) -> None:
    source = bundle(tmp_path, network_def={"_target_": "UNet", "channels": "$__import__('os').getcwd()"})
    run = run_command("models", "adopt", str(source), "--into", str(tmp_path / "site"))
    assert (run.returncode, run.stdout, run.stderr.count("\n")) == (1, "", 1)
    assert "network_def.channels is the expression" in run.stderr


def test_a_bundle_is_adopted_once_its_codes_are_said(tmp_path: Path) -> None:
    words = (str(bundle(tmp_path)), "--name", "liver", "--into", str(tmp_path / "site"))
    unsaid = run_command("models", "adopt", *words)
    assert unsaid.returncode == 1
    assert "manifest.yaml lacks labels" in unsaid.stderr

    (tmp_path / "site" / "liver").rename(tmp_path / "unsaid")
    labels = said(tmp_path, "preprocessing", "inference", "intake")
    assert run_command("models", "adopt", *words, "--labels", str(labels)).returncode == 0
    verified = run_command("models", "verify", str(tmp_path / "site" / "liver"))
    assert (verified.returncode, verified.stdout.count("ok  ")) == (0, 6), verified.stdout


@pytest.mark.exhaustive
@pytest.mark.timeout(1800)
def test_a_foreign_model_finds_as_much_white_and_grey_matter_as_its_makers_say(foreign: Path, tmp_path: Path) -> None:
    findings = load(read(adopted(foreign, tmp_path)), "cpu")(read_volume(foreign / "t1_crop.nii.gz"))
    assert [region.volume_ml for region in findings.regions] == [
        pytest.approx(544, rel=0.03),  # "about", they say
        pytest.approx(728, rel=0.03),
    ]
