"""A model folder of nnU-Net is adopted by its two JSON files alone, or refused with what is not supported in it."""

import json
from pathlib import Path
from typing import Any

import pytest

from models.adoption.adopting import adopt
from models.registry import PackageError, segmentation
from tests.unit.models.adoption.foreign import said
from tests.unit.models.nnunet_folders import adopted, folder

CASCADE = {"previous_stage": "3d_lowres"}
BUILDS_ANYTHING = {
    "architecture": {"network_class_name": "subprocess.Popen", "arch_kwargs": {}, "_kw_requires_import": []}
}
IMPORTS_ANYTHING = {
    "architecture": {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {"nonlin": "os.system"},
        "_kw_requires_import": ["nonlin"],
    }
}


def test_what_the_json_files_say_becomes_the_manifest_and_every_file_is_listed(tmp_path: Path) -> None:
    package = adopted(tmp_path)
    manifest = segmentation(package)
    assert manifest.network.model_dump() == {
        "name": "nnunet",
        "configuration": "3d_fullres",
        "folds": (0,),
        "checkpoint": "checkpoint_final.pth",
    }
    recipe = manifest.preprocessing.model_dump()
    assert recipe == {"axes": "SAR", "spacing_mm": (3, 2, 1), "intensity": {"kind": "own"}}
    listed = [line.split("  ")[1] for line in package.weights.read_text(encoding="utf-8").splitlines()]
    assert listed == ["model/dataset.json", "model/fold_0/checkpoint_final.pth", "model/plans.json"]
    assert "the usual way of NIfTI" in (package.folder / "CARD.md").read_text(encoding="utf-8")


def test_patch_and_spacing_are_told_along_the_axes_of_the_image(tmp_path: Path) -> None:
    turned = {"transpose_backward": [1, 2, 0]}
    source = folder(tmp_path, plans=turned, patch_size=[32, 48, 64], spacing=[1, 2, 3])
    package = adopt(source, tmp_path / "site", "tiny", said(tmp_path, "preprocessing", "inference"))
    assert segmentation(package).preprocessing.spacing_mm == (2, 3, 1)
    assert getattr(segmentation(package).inference, "patch", None) == (48, 64, 32)


def test_codes_and_modality_are_asked_for_where_nobody_says_them(tmp_path: Path) -> None:
    source = folder(tmp_path, dataset={"channel_names": {"0": "noNorm"}})
    with pytest.raises(PackageError, match="lacks intake, labels: fill in"):
        adopt(source, tmp_path / "site", "tiny")
    assert "name: liver" in (tmp_path / "site" / "tiny" / "manifest.yaml").read_text(encoding="utf-8")


def test_all_folds_are_taken_unless_a_person_says_which(tmp_path: Path) -> None:
    source = folder(tmp_path)
    (source / "fold_3").mkdir()
    (source / "fold_3" / "checkpoint_final.pth").write_bytes(b"another")
    words = said(tmp_path, "preprocessing", "inference")
    assert getattr(segmentation(adopt(source, tmp_path / "a", "tiny", words)).network, "folds", None) == (0, 3)
    chosen = {"name": "nnunet", "configuration": "3d_fullres", "folds": [3]}
    words = said(tmp_path, "preprocessing", "inference", network=chosen)
    package = adopt(source, tmp_path / "b", "tiny", words)
    assert not (package.folder / "model" / "fold_0").exists()


@pytest.mark.parametrize(
    ("dataset", "plans", "plan", "complaint"),
    [
        pytest.param({"channel_names": {"0": "T1", "1": "T2"}}, {}, {}, "wants 2 images at once", id="channels"),
        pytest.param({"labels": {"background": 0, "whole": [1, 2]}}, {}, {}, r"has regions \(whole\)", id="regions"),
        pytest.param({"labels": {"background": 0, "a": 2}}, {}, {}, r"has the labels \[0, 2\]", id="a hole"),
        pytest.param({"labels": {"liver": 0, "a": 1}}, {}, {}, "has to be background", id="no background"),
        pytest.param({}, {}, CASCADE, "is a cascade: it wants the answer of 3d_lowres", id="cascade"),
        pytest.param({}, {}, {"inherits_from": "3d_fullres"}, "inherits without end", id="circle"),
        pytest.param({}, {}, {"patch_size": [16, 16]}, "in two dimensions", id="two dimensions"),
        pytest.param({}, {}, BUILDS_ANYTHING, "would import subprocess.Popen", id="a class of others"),
        pytest.param({}, {}, IMPORTS_ANYTHING, "would import os.system", id="a function of others"),
        pytest.param({}, {"image_reader_writer": "NaturalImage2DIO"}, {}, "reads no volumes", id="pictures"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(
    tmp_path: Path, dataset: dict[str, Any], plans: dict[str, Any], plan: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(PackageError, match=complaint):
        adopt(folder(tmp_path, dataset, plans, **plan), tmp_path / "site", "tiny")
    assert not (tmp_path / "site").exists()


def test_a_cascade_is_found_through_what_it_inherits(tmp_path: Path) -> None:
    source = folder(tmp_path)
    written = json.loads((source / "plans.json").read_text(encoding="utf-8"))
    written["configurations"]["later"] = written["configurations"]["3d_fullres"] | CASCADE
    written["configurations"]["3d_fullres"] = {"inherits_from": "later"}
    (source / "plans.json").write_text(json.dumps(written), encoding="utf-8")
    with pytest.raises(PackageError, match="is a cascade"):
        adopt(source, tmp_path / "site", "tiny")


@pytest.mark.parametrize("name", ["plans.json", "dataset.json", "fold_0/checkpoint_final.pth"])
def test_a_link_in_the_place_of_a_file_is_refused(tmp_path: Path, name: str) -> None:
    source = folder(tmp_path)
    (source / name).rename(tmp_path / "elsewhere")
    (source / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PackageError, match="is missing, or a link"):
        adopt(source, tmp_path / "site", "tiny", said(tmp_path, "preprocessing", "inference"))


def test_a_text_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    source = folder(tmp_path)
    (source / "plans.json").write_bytes(b" " * (2**20 + 1))
    with pytest.raises(PackageError, match="at most 1048576 are read"):
        adopt(source, tmp_path / "site", "tiny")


def test_a_folder_that_was_renamed_has_to_be_said_the_configuration_of(tmp_path: Path) -> None:
    source = folder(tmp_path).rename(tmp_path / "liver")
    with pytest.raises(PackageError, match="does not say its configuration"):
        adopt(source, tmp_path / "site", "tiny")
    network = {"name": "nnunet", "configuration": "3d_fullres", "folds": [0]}
    words = said(tmp_path, "preprocessing", "inference", network=network)
    assert adopt(source, tmp_path / "site", "tiny", words).manifest.name == "tiny"
