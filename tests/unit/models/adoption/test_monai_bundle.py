"""A MONAI bundle becomes a package without any of it being evaluated, or is refused by name."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data.meta_tensor import MetaTensor
from monai.inferers import SlidingWindowInferer
from monai.networks.nets import UNet
from monai.transforms import Compose, Orientation, ScaleIntensityRange

from models.adoption.adopting import adopt
from models.inference import load
from models.preprocessing import to_network, to_source
from models.registry import Package, PackageError, read, segmentation
from models.verification import checks
from tests import factories
from tests.unit.models.adoption.foreign import said

SHAPE = {"spatial_dims": 3, "in_channels": 1, "out_channels": 2}
SIZE = {"channels": [4, 8, 16], "strides": [2, 2], "num_res_units": 1, "norm": "batch"}
SPACING = {"_target_": "Spacingd", "keys": "@image_key", "pixdim": [3.0, 3.0, 2.0], "mode": "bilinear"}
TURN = {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"}
SCALE = {
    **{"_target_": "ScaleIntensityRanged", "keys": ["image"], "a_min": -57, "a_max": 164, "b_min": 0.0, "b_max": 1.0},
    "clip": True,
}
BEFORE: list[dict[str, Any]] = [
    {"_target_": "LoadImaged", "keys": "image"},
    {"_target_": "EnsureChannelFirstd", "keys": "image"},
    TURN,
    SPACING,
    SCALE,
    {"_target_": "EnsureTyped", "keys": "image", "device": "@device"},
]
AFTER = [
    {"_target_": "Activationsd", "keys": "pred", "softmax": True},
    {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image"},
    {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
    {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir"},
]
WINDOW = {"roi_size": [16, 16, 16], "overlap": 0.25}
CONFIG: dict[str, Any] = {
    "imports": ["$import glob", "$import os"],
    "bundle_root": ".",
    "image_key": "image",
    "output_dir": "$@bundle_root + '/eval'",
    "datalist": "$list(sorted(glob.glob('*.nii.gz')))",
    "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
    "network_def": {"_target_": "UNet", **SHAPE, **SIZE},
    "network": "$@network_def.to(@device)",
    "preprocessing": {"_target_": "Compose", "transforms": BEFORE},
    "inferer": {"_target_": "SlidingWindowInferer", "sw_batch_size": 4, **WINDOW},
    "postprocessing": {"_target_": "Compose", "transforms": AFTER},
    "evaluator": {"_target_": "SupervisedEvaluator", "device": "@device", "network": "@network"},
    "evaluating": ["$setattr(torch.backends.cudnn, 'benchmark', True)", "$@evaluator.run()"],
}
METADATA: dict[str, Any] = {
    "version": "0.3.1",
    "name": "Liver of a test",
    "authors": "Somebody",
    "changelog": {"0.3.1": "prose"},
    "network_data_format": {
        "inputs": {"image": {"type": "image", "modality": "CT", "num_channels": 1}},
        "outputs": {"pred": {"num_channels": 2, "channel_def": {"0": "background", "1": "liver"}}},
    },
}


def network() -> UNet:
    """The network of the bundle, with weights of a fixed seed."""
    torch.manual_seed(3)
    return UNet(**SHAPE, **SIZE).eval()


def bundle(folder: Path, metadata: dict[str, Any] = METADATA, **changes: Any) -> Path:
    """A bundle in MONAI's layout."""
    root = folder / "bundle"
    for name in ("configs", "models"):
        (root / name).mkdir(parents=True)
    (root / "configs" / "inference.json").write_text(json.dumps(CONFIG | changes), encoding="utf-8")
    (root / "configs" / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    torch.save(network().state_dict(), root / "models" / "model.pt")
    return root


def transforms(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"_target_": "Compose", "transforms": list(steps)}


def adopted(folder: Path, source: Path) -> Package:
    return adopt(source, folder / "site", "liver", said(folder, "preprocessing", "inference", "intake"))


def test_a_bundle_is_adopted_and_answers_as_monai_does_on_the_same_array(tmp_path: Path) -> None:
    package = adopted(tmp_path, bundle(tmp_path))
    assert [line for line in checks(package) if not line.holds] == []
    manifest = segmentation(read(package.folder))
    assert (manifest.title, manifest.version, manifest.manufacturer) == ("Liver of a test", "0.3.1", "Somebody")
    volume = factories.volume(factories.grid("oblique", shape=(20, 45, 50), spacing_mm=(3.0, 2.0, 2.0)))

    prepared = to_network(volume, manifest.preprocessing)
    inferer = SlidingWindowInferer(**WINDOW)
    with torch.inference_mode():
        logits = inferer(torch.from_numpy(prepared.values)[None, None], network())
    expected = to_source(logits.softmax(1)[0].numpy(), prepared)

    found = load(package, "cpu")(volume).layers[0].labels
    assert 0 < np.count_nonzero(expected.labels) < expected.labels.size
    assert np.array_equal(found, expected.labels)


@pytest.mark.filterwarnings("ignore:monai.transforms.spatial.array Orientation:FutureWarning")
def test_the_preprocessing_is_that_of_monais_own_transforms(tmp_path: Path) -> None:
    recipe = segmentation(adopted(tmp_path, bundle(tmp_path))).preprocessing
    volume = factories.volume(factories.grid("sagittal", shape=(12, 14, 16), spacing_mm=(3.0, 2.0, 3.0)))
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.grid.affine
    theirs = Compose([Orientation("RAS"), ScaleIntensityRange(-57, 164, 0.0, 1.0, clip=True)])(
        MetaTensor(torch.from_numpy(volume.values)[None], affine=torch.from_numpy(ras))
    )
    spacing_mm = np.linalg.norm(theirs.affine.numpy()[:3, :3], axis=0)
    ours = to_network(volume, recipe.model_copy(update={"spacing_mm": tuple(map(float, spacing_mm))}))
    np.testing.assert_allclose(ours.values, theirs[0].numpy(), atol=1e-6)


def test_a_bundle_in_an_archive_is_the_same(tmp_path: Path) -> None:
    root = bundle(tmp_path)
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", root_dir=tmp_path, base_dir="bundle")
    from_folder = adopted(tmp_path, root)
    again = adopt(Path(archive), tmp_path / "again", "liver", said(tmp_path, "preprocessing", "inference", "intake"))
    assert again.manifest == from_folder.manifest


def test_without_codes_the_structures_are_named_and_their_codes_asked_for(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"liver.manifest\.yaml lacks labels: fill in"):
        adopt(bundle(tmp_path), tmp_path / "site", "liver")
    with pytest.raises(PackageError, match=r"labels\.0\.category: Field required"):
        read(tmp_path / "site" / "liver")
    assert "name: liver" in (tmp_path / "site" / "liver" / "manifest.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        pytest.param(
            {"network_def": {"_target_": "UNet", **SHAPE, **SIZE, "channels": "$[2**n for n in range(3)]"}},
            r"network_def\.channels is the expression '\$\[2\*\*n",
            id="expression",
        ),
        pytest.param(
            {"preprocessing": transforms(TURN | {"axcodes": "$__import__('os').mkdir('ran')"})},
            r"preprocessing\.transforms\.0\.axcodes is the expression",
            id="expression in a transform",
        ),
        pytest.param(
            {"network_def": "$import_my_network()"}, "network_def has no _target_", id="network as an expression"
        ),
        pytest.param({"+network_def": {"act": "relu"}}, r"\+network_def is no plain name", id="change of another key"),
        pytest.param({"imports": ["$import scripts"]}, "'\\$import scripts': a bundle that needs code", id="own code"),
        pytest.param({"network": "$wrap(@network_def)"}, "it has to be network_def itself", id="wrapped network"),
        pytest.param({"extra": {"_target_": "os.mkdir"}}, "extra is the expression '_target_: os.mkdir'", id="class"),
        pytest.param(
            {"network_def": {"_target_": "os.system", "command": "true"}},
            "os.system is no class of MONAI",
            id="not MONAI",
        ),
        pytest.param(
            {"network_def": {"_target_": "monai.networks.nets.SwinUNETR", **SHAPE}},
            "network_def is SwinUNETR: known are UNet",
            id="unknown network",
        ),
        pytest.param(
            {"network_def": {"_target_": "UNet", "_mode_": "callable", **SHAPE, **SIZE}}, "says _mode_", id="mode"
        ),
        pytest.param(
            {"network_def": {"_target_": "UNet", "_requires_": "$print(1)", **SHAPE, **SIZE}},
            "says _requires_",
            id="requires",
        ),
        pytest.param(
            {"network_def": {"_target_": "UNet", **SHAPE, **SIZE, "in_channels": 4}},
            "in_channels: Input",
            id="channels",
        ),
        pytest.param(
            {"network_def": {"_target_": "UNet", **SHAPE, **SIZE, "strides": "@datalist"}},
            "strides is the expression '@datalist'",
            id="reference to an expression",
        ),
        pytest.param(
            {"preprocessing": transforms(TURN, {"_target_": "CropForegroundd", "keys": "image"}, SPACING)},
            r"transforms\.1 is CropForegroundd, which a manifest cannot say: say preprocessing by --labels",
            id="unknown transform",
        ),
        pytest.param({"preprocessing": transforms(TURN, SCALE, SPACING)}, "ours comes before", id="order"),
        pytest.param({"preprocessing": transforms(SPACING, TURN)}, "nobody knows which spacing", id="unturned spacing"),
        pytest.param({"preprocessing": transforms(TURN, SPACING, SCALE, SCALE)}, "ours are scaled once", id="twice"),
        pytest.param({"preprocessing": transforms(SPACING | {"pixdim": 2})}, "no Orientationd says", id="no axes"),
        pytest.param({"inferer": {"_target_": "SimpleInferer"}}, "inferer is SimpleInferer", id="inferer"),
        pytest.param(
            {"postprocessing": transforms({"_target_": "Activationsd", "keys": "pred", "sigmoid": True})},
            "sigmoid: Input should be False",
            id="sigmoid",
        ),
        pytest.param(
            {"inferer": {"_target_": "SlidingWindowInferer", "roi_size": [15, 16, 16]}},
            r"answers a window of \(15, 16, 16\) with one of \(16, 16, 16\)",
            id="window that does not fit",
        ),
    ],
)
def test_what_would_be_evaluated_or_is_not_known_is_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    source = bundle(tmp_path, **changes)
    with pytest.raises(PackageError, match=complaint):
        adopted(tmp_path, source)
    assert not (tmp_path / "site" / "liver").exists()
    assert not Path("ran").exists()


def test_an_expression_is_refused_before_the_weights_are_looked_at(tmp_path: Path) -> None:
    source = bundle(tmp_path, network_def={"_target_": "UNet", "channels": "$range(3)"})
    (source / "models" / "model.pt").unlink()
    with pytest.raises(PackageError, match="channels is the expression"):
        adopted(tmp_path, source)


def test_a_bundle_with_torchscript_alone_is_refused(tmp_path: Path) -> None:
    source = bundle(tmp_path)
    (source / "models" / "model.pt").rename(source / "models" / "model.ts")
    with pytest.raises(PackageError, match="it is a program"):
        adopted(tmp_path, source)


def test_a_transform_that_cannot_be_said_is_cured_by_saying_the_preprocessing(tmp_path: Path) -> None:
    source = bundle(tmp_path, preprocessing=transforms({"_target_": "CropForegroundd", "keys": "image"}))
    package = adopt(source, tmp_path / "site", "liver", said(tmp_path, "inference", "intake"))
    assert segmentation(package).preprocessing.spacing_mm == (3, 3, 3)


def test_channels_without_background_are_refused(tmp_path: Path) -> None:
    formats = json.loads(json.dumps(METADATA["network_data_format"]))
    formats["outputs"]["pred"]["channel_def"]["0"] = "spleen"
    with pytest.raises(PackageError, match="calls channel 0 'spleen'"):
        adopted(tmp_path, bundle(tmp_path, METADATA | {"network_data_format": formats}))


def test_an_archive_without_a_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "empty")
    with pytest.raises(PackageError, match=r"has 0 of configs/metadata\.json"):
        adopted(tmp_path, Path(archive))
