"""Which claims of a package hold, and what a blank one lacks."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file, save_file

from models.registry import Package, PackageError, digest, find, read
from models.templates import templates, write_new
from models.training.evaluation import BEGIN, END, write_evaluation
from models.training.figures import identity
from models.training.recipe import read_recipe
from models.training.segmented import CaseScore, LabelScore, segmentation_evaluation
from models.verification import Line, checks
from tests.unit.models.packages import with_weights, written

LIVER = written()["labels"][0] | {"plausible_ml": {"minimum": 500, "maximum": 3000}}


def evaluated(folder: Path, truth_ml: float = 1500.0, **changes: object) -> Package:
    """A complete package with a card and an evaluation of one case."""
    package = with_weights(folder, **({"labels": [LIVER]} | changes))
    (folder / "CARD.md").write_text(f"# Tiny\n{BEGIN}\n{END}\n", encoding="utf-8")
    score = LabelScore(
        dice=0.9, jaccard=0.8, hausdorff_95_mm=1.0, surface_distance_mm=1.0, found_ml=truth_ml, truth_ml=truth_ml
    )
    case = CaseScore(name="one", patient="one", sha256="", labels=(score,))
    write_evaluation(package, segmentation_evaluation(identity(package.manifest), ["Liver"], [case]))
    return package


def failures(package: Package) -> dict[str, str]:
    return {line.check: line.words for line in checks(package) if not line.holds}


def rewritten(package: Package, **changes: object) -> Package:
    path = package.folder / "manifest.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")
    return read(package.folder)


def test_a_complete_package_holds_and_says_what_was_looked_at(tmp_path: Path) -> None:
    lines = list(checks(evaluated(tmp_path / "tiny")))
    assert [line.check for line in lines] == [
        "weights",
        "network",
        "licences",
        "card",
        "evaluation",
        "plausible ranges",
    ]
    assert all(line.holds for line in lines), lines
    assert lines[-1] == Line("plausible ranges", True, "Liver 500 to 3000 ml")


@pytest.mark.parametrize("name", ["hippocampus", "phantom_abdomen"])
def test_the_packages_of_the_node_hold(name: str) -> None:
    assert failures(find()[name]) == {}


def test_missing_weights_fail_with_their_path(tmp_path: Path) -> None:
    package = evaluated(tmp_path / "tiny")
    package.weights.unlink()
    assert "weights.safetensors is missing" in failures(package)["weights"]


def test_weights_of_another_network_fail(tmp_path: Path) -> None:
    package = rewritten(evaluated(tmp_path / "tiny"), network={"name": "residual_unet", "channels": [4, 16]})
    assert set(failures(package)) == {"network", "evaluation"}


def test_weights_that_are_no_numbers_fail(tmp_path: Path) -> None:
    package = evaluated(tmp_path / "tiny")
    tensors = load_file(package.weights)
    name = min(tensors)
    save_file(tensors | {name: np.full_like(tensors[name], np.nan)}, package.weights)
    spoilt = rewritten(package, weights={"sha256": digest(package.weights)})
    assert f"{name} holds values that are no finite numbers" in failures(spoilt)["weights"]


@pytest.mark.parametrize("licence", ["", "NOASSERTION", "free for all"])
def test_a_licence_that_says_nothing_fails(tmp_path: Path, licence: str) -> None:
    package = evaluated(tmp_path / "tiny", licences={"training_data": "CC-BY-4.0", "weights": licence})
    assert f"the licence of the weights is {licence!r}" in failures(package)["licences"]


@pytest.mark.parametrize("licence", ["CC-BY-SA-4.0", "LicenseRef-site", "Apache-2.0 WITH LLVM-exception"])
def test_a_licence_by_its_spdx_name_holds(tmp_path: Path, licence: str) -> None:
    package = evaluated(tmp_path / "tiny", licences={"training_data": licence, "weights": licence})
    assert "licences" not in failures(package)


def test_a_package_that_was_never_evaluated_fails_unless_others_did(tmp_path: Path) -> None:
    package = evaluated(tmp_path / "tiny")
    (package.folder / "evaluation.json").unlink()
    assert "run `isocenter evaluate`" in failures(package)["evaluation"]
    assert "evaluation" not in failures(rewritten(package, evidence="foreign"))


def test_an_evaluation_of_another_manifest_fails(tmp_path: Path) -> None:
    package = rewritten(evaluated(tmp_path / "tiny"), inference={"patch": [16, 16, 32]})
    assert "of another manifest" in failures(package)["evaluation"]


def test_a_range_that_the_truth_leaves_is_not_plausible(tmp_path: Path) -> None:
    package = evaluated(tmp_path / "tiny", truth_ml=4000.0)
    assert failures(package) == {
        "plausible ranges": "Liver of one truly has 4000 ml, and the manifest calls 500 to 3000 plausible"
    }


def test_a_range_that_ends_before_it_begins_is_refused_by_the_manifest(tmp_path: Path) -> None:
    backwards = written()["labels"][0] | {"plausible_ml": {"minimum": 5, "maximum": 1}}
    with pytest.raises(PackageError, match="nothing lies between 5 and 1"):
        rewritten(evaluated(tmp_path / "tiny"), labels=[backwards])


def test_a_blank_chain_is_read_and_lacks_its_steps(tmp_path: Path) -> None:
    package = write_new("liver_tumours", "chain", tmp_path)
    assert (package.manifest.name, package.manifest.title) == ("liver_tumours", "Liver tumours")
    assert "$" not in "".join(path.read_text(encoding="utf-8") for path in package.folder.iterdir())
    failed = failures(package)
    assert set(failed) == {"steps"}
    assert "step 1 is first_model 1.0.0, which is not here" in failed["steps"]


@pytest.mark.parametrize("template", sorted({*templates()} - {"chain"}))
def test_a_blank_package_is_read_and_lacks_weights_licences_and_an_evaluation(tmp_path: Path, template: str) -> None:
    package = write_new("liver_mr", template, tmp_path)
    assert read_recipe(package.folder)
    assert (package.manifest.name, package.manifest.title) == ("liver_mr", "Liver mr")
    assert "$" not in "".join(path.read_text(encoding="utf-8") for path in package.folder.iterdir())
    failed = failures(package)
    assert set(failed) == {"weights", "network", "licences", "evaluation"}
    assert "weights.safetensors is missing" in failed["weights"]


@pytest.mark.parametrize(
    ("name", "template", "complaint"),
    [("liver", "poetry", "no template 'poetry': choose one of"), ("Liver MR", "segmentation", "name: String should")],
)
def test_a_blank_package_that_cannot_be_leaves_nothing(
    tmp_path: Path, name: str, template: str, complaint: str
) -> None:
    with pytest.raises(PackageError, match=complaint):
        write_new(name, template, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    write_new("liver", "segmentation", tmp_path)
    with pytest.raises(PackageError, match="exists and is left as it is"):
        write_new("liver", "segmentation", tmp_path)
