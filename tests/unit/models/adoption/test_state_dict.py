"""A state dict of other makers becomes a package, or is refused by name before anything of it runs."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from models import networks
from models.adoption.adopting import adopt
from models.architectures import MeshNet
from models.inference import load
from models.registry import PackageError, read
from models.verification import checks
from tests import factories
from tests.unit.models.adoption.foreign import layers, said

SIZE = MeshNet(name="meshnet", width=4, dilations=(1, 2), activation="elu")


@pytest.fixture
def network() -> nn.Module:
    """A MeshNet with fresh weights."""
    torch.manual_seed(0)
    return networks.build(SIZE, classes=2).eval()


@pytest.fixture
def source(tmp_path: Path, network: nn.Module) -> Path:
    """Its state dict in a file, under the names that a wrapper gave it."""
    path = tmp_path / "foreign.pth"
    torch.save({f"model.{name}": tensor for name, tensor in network.state_dict().items()}, path)
    return path


def layer_file(folder: Path, *dilations: int, **changes: Any) -> Path:
    path = folder / "layers.json"
    path.write_text(json.dumps(layers(*dilations, **changes)), encoding="utf-8")
    return path


class Program:
    """What unpickling would run."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return os.mkdir, (self.mark,)


def test_a_state_dict_is_adopted_with_its_layers_and_holds(tmp_path: Path, source: Path, network: nn.Module) -> None:
    package = adopt(source, tmp_path / "site", "brain", said(tmp_path), layer_file(tmp_path, 1, 2))
    assert package.folder == tmp_path / "site" / "brain"
    assert [line for line in checks(package) if not line.holds] == []
    assert "SHA-256" in (package.folder / "CARD.md").read_text(encoding="utf-8")
    volume = factories.volume(factories.grid("oblique", shape=(11, 40, 36), spacing_mm=(4.0, 1.5, 1.5)))
    assert load(package, "cpu")(volume).grid is volume.grid
    adopted = load(package, "cpu").network.state_dict()  # type: ignore[attr-defined]
    assert all(torch.equal(adopted[name], tensor) for name, tensor in network.state_dict().items() if tensor.ndim)


def test_a_pickle_with_a_program_in_it_is_refused_and_not_run(tmp_path: Path) -> None:
    source, mark = tmp_path / "foreign.pth", tmp_path / "ran"
    torch.save({"weight": torch.ones(1), "extra": Program(mark)}, source)
    with pytest.raises(PackageError, match=r"it asks for posix\.mkdir\); nothing of it was run"):
        adopt(source, tmp_path / "site", said=said(tmp_path))
    assert not mark.exists()
    assert not (tmp_path / "site").exists()


def test_torchscript_is_refused_as_the_program_that_it_is(tmp_path: Path, network: nn.Module) -> None:
    source = tmp_path / "foreign.pt"
    with pytest.warns(DeprecationWarning, match="deprecated"):
        torch.jit.save(torch.jit.trace(network, torch.zeros(1, 1, 8, 8, 8)), source)  # type: ignore[no-untyped-call]
    with pytest.raises(PackageError, match="is TorchScript, a program"):
        adopt(source, tmp_path / "site", said=said(tmp_path))


def test_a_pickle_named_safetensors_is_refused_unopened(tmp_path: Path) -> None:
    source, mark = tmp_path / "foreign.safetensors", tmp_path / "ran"
    source.write_bytes(pickle.dumps(Program(mark)))
    with pytest.raises(PackageError, match=r"foreign\.safetensors is not a safetensors file"):
        adopt(source, tmp_path / "site", said=said(tmp_path))
    assert not mark.exists()


def test_a_whole_pickled_network_is_refused(tmp_path: Path, network: nn.Module) -> None:
    source = tmp_path / "foreign.pth"
    torch.save(network, source)
    with pytest.raises(PackageError, match=r"it asks for torch\.nn\.modules\.container\.Sequential"):
        adopt(source, tmp_path / "site", said=said(tmp_path))


def test_weights_of_another_network_are_refused_with_their_names(tmp_path: Path, source: Path) -> None:
    with pytest.raises(PackageError, match=r"missing: 2\.0\.bias, .* and 3 more; not of this network: 2\.bias, 2\."):
        adopt(source, tmp_path / "site", said=said(tmp_path), layers=layer_file(tmp_path, 1, 2, 4))
    assert not (tmp_path / "site").exists()


def test_weights_that_were_tampered_with_after_adoption_are_refused(tmp_path: Path, source: Path) -> None:
    package = adopt(source, tmp_path / "site", said=said(tmp_path), layers=layer_file(tmp_path, 1, 2))
    held = bytearray(package.weights.read_bytes())
    held[-1] ^= 1
    package.weights.write_bytes(held)
    with pytest.raises(PackageError, match="has SHA-256"):
        load(package, "cpu")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        pytest.param({"bnorm": False}, "bnorm: Input should be True", id="without normalisation"),
        pytest.param({"script": "x"}, "script: Extra inputs", id="unknown key"),
        pytest.param({"layers": layers(1, 2)["layers"][:-1]}, "the last convolution alone is 1x1x1", id="no end"),
        pytest.param(
            {"layers": [layers(1)["layers"][0] | {"padding": 0}, *layers(1, 2)["layers"]]},
            "a padding of 0 changes the size",
            id="layers that shrink",
        ),
    ],
)
def test_layers_of_another_form_are_refused(
    tmp_path: Path, source: Path, changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(PackageError, match=complaint):
        adopt(source, tmp_path / "site", said=said(tmp_path), layers=layer_file(tmp_path, 1, 2, **changes))


def test_what_nobody_said_is_asked_for_in_the_manifest_that_is_written(tmp_path: Path, source: Path) -> None:
    without_labels = said(tmp_path, "labels", "intake")
    with pytest.raises(PackageError, match=r"manifest\.yaml lacks intake, labels: fill in what its last lines show"):
        adopt(source, tmp_path / "site", said=without_labels, layers=layer_file(tmp_path, 1, 2))
    path = tmp_path / "site" / "foreign" / "manifest.yaml"
    with pytest.raises(PackageError, match="intake: Field required; labels: Field required"):
        read(path.parent)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("# intake:", "intake:").replace("# labels:", "labels:"), encoding="utf-8")
    assert load(read(path.parent), "cpu")


def test_what_a_person_says_with_an_unknown_key_is_refused(tmp_path: Path, source: Path) -> None:
    with pytest.raises(PackageError, match=r"said\.yaml: colour: Extra inputs"):
        adopt(source, tmp_path / "site", said=said(tmp_path, colour="red"))


def test_aliases_are_refused_because_they_may_multiply(tmp_path: Path, source: Path) -> None:
    path = tmp_path / "said.yaml"
    path.write_text("title: &a x\nmanufacturer: *a\n", encoding="utf-8")
    with pytest.raises(PackageError, match="has aliases"):
        adopt(source, tmp_path / "site", said=path)


@pytest.mark.parametrize("name", ["Brain", "../brain", "1"])
def test_a_name_that_cannot_be_is_refused(tmp_path: Path, source: Path, name: str) -> None:
    with pytest.raises(PackageError, match="a package cannot be named"):
        adopt(source, tmp_path / "site", name)


def test_a_package_that_is_there_is_left_as_it_is(tmp_path: Path, source: Path) -> None:
    words = (said(tmp_path), layer_file(tmp_path, 1, 2))
    adopt(source, tmp_path / "site", "brain", *words)
    with pytest.raises(PackageError, match="exists and is left as it is"):
        adopt(source, tmp_path / "site", "brain", *words)


def test_a_manifest_says_which_way_the_networks_axes_run_and_no_two_alike(tmp_path: Path, source: Path) -> None:
    preprocessing = yaml.safe_load(said(tmp_path).read_text(encoding="utf-8"))["preprocessing"] | {"axes": "LIR"}
    with pytest.raises(PackageError, match="LIR names a direction of the body twice"):
        adopt(source, tmp_path / "site", said=said(tmp_path, preprocessing=preprocessing))
