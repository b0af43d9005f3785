"""Packages on disk: which are found, and why one is refused."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from models.inference import load
from models.registry import BUILT_IN, PackageError, digest, find, read, verify
from tests.unit.models.packages import put, with_weights, written


def test_packages_are_found_by_name(tmp_path: Path) -> None:
    put(tmp_path / "site" / "b", written(name="second"))
    put(tmp_path / "site" / "a", written(name="first"))
    assert list(find([tmp_path / "site"])) == ["first", "second"]


def test_a_folder_without_a_manifest_is_no_package(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    assert find([tmp_path]) == {}


def test_two_packages_of_one_name_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "a", written())
    put(tmp_path / "b", written())
    with pytest.raises(PackageError, match="both named tiny"):
        find([tmp_path])


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="nowhere is not a folder"):
        find([tmp_path / "nowhere"])


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        pytest.param({"colour": "red"}, "colour: Extra inputs", id="unknown key"),
        pytest.param(
            {"network": {"name": "eval", "channels": [4]}},
            "network: Input tag 'eval'",
            id="network outside the registry",
        ),
        pytest.param({"version": "one"}, "version", id="version that is none"),
        pytest.param({"weights": {"sha256": "abc"}}, "weights.sha256", id="digest that is none"),
        pytest.param({"labels": []}, "labels", id="no labels"),
        pytest.param({"labels": [written()["labels"][0] | {"value": 2}]}, "numbered 1, 2, 3", id="labels with a gap"),
        pytest.param(
            {"intake": {"modalities": ["CT", "MR"]}, "labels": [written()["labels"][0] | {"measure": ["attenuation"]}]},
            "Liver asks for it in CT, MR",
            id="attenuation of MR",
        ),
    ],
)
def test_a_wrong_manifest_is_refused_with_file_and_field(
    tmp_path: Path, changes: dict[str, object], complaint: str
) -> None:
    folder = put(tmp_path / "wrong", written(**changes))
    with pytest.raises(PackageError, match=complaint) as refused:
        read(folder)
    assert "manifest.yaml" in str(refused.value)


def test_a_manifest_that_is_not_yaml_is_refused(tmp_path: Path) -> None:
    folder = put(tmp_path / "wrong", written())
    (folder / "manifest.yaml").write_text("name: [", encoding="utf-8")
    with pytest.raises(PackageError, match="is not YAML"):
        read(folder)


def test_a_manifest_runs_no_code(tmp_path: Path) -> None:
    folder = put(tmp_path / "wrong", written())
    (folder / "manifest.yaml").write_text("!!python/object/apply:os.getcwd []", encoding="utf-8")
    with pytest.raises(PackageError, match="is not YAML"):
        read(folder)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"weights\.safetensors is missing"):
        verify(read(put(tmp_path / "bare", written())))


def test_weights_outside_of_the_package_are_refused(tmp_path: Path) -> None:
    elsewhere = written(weights={"file": "../other.safetensors", "sha256": "0" * 64})
    with pytest.raises(PackageError, match="beside it"):
        verify(read(put(tmp_path / "far", elsewhere)))


def test_weights_that_were_changed_are_refused(tmp_path: Path) -> None:
    package = with_weights(tmp_path / "tiny")
    verify(package)
    with package.weights.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(PackageError, match="has SHA-256"):
        load(package, "cpu")


def test_a_pickle_that_calls_itself_safetensors_is_refused_unopened(tmp_path: Path) -> None:
    package = with_weights(tmp_path / "tiny")
    package.weights.write_bytes(pickle.dumps({"weight": [1.0]}))
    sealed = written(weights={"sha256": digest(package.weights)})
    (package.folder / "manifest.yaml").write_text(yaml.safe_dump(sealed), encoding="utf-8")
    with pytest.raises(PackageError, match="is not a safetensors file"):
        load(read(package.folder), "cpu")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    package = with_weights(tmp_path / "tiny")
    other = written(network={"name": "residual_unet", "channels": [4, 16]}, weights={"sha256": digest(package.weights)})
    (package.folder / "manifest.yaml").write_text(yaml.safe_dump(other), encoding="utf-8")
    with pytest.raises(PackageError, match="does not fit the network"):
        load(read(package.folder), "cpu")


def test_our_own_packages_are_what_their_manifests_say() -> None:
    packages = find()
    assert set(packages) == {"fvc_decline", "hippocampus", "left_atrium", "phantom_abdomen", "pneumonia"}
    for package in packages.values():
        assert package.folder.parent == BUILT_IN
        verify(package)


def test_looking_at_packages_loads_no_torch() -> None:
    program = (
        "import sys; from models.registry import find; find(); import models.intake; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=BUILT_IN.parents[1])
