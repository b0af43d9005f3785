"""`isocenter models` and `isocenter evaluate`, as a site calls them."""

import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from models.nifti import write_labels, write_volume
from models.registry import BUILT_IN, find, read
from models.training.evaluation import BEGIN, END, read_evaluation
from models.training.segmented import SegmentationEvaluation
from models.volume import LabelMap
from service.core.errors import ConfigurationError
from service.roles.ruling import router_for
from tests import factories
from tests.node import configure, rule, run_command
from tests.unit.models.packages import chain_written, pinned, put, with_weights

DOCUMENT = BUILT_IN.parents[1] / "docs" / "models.md"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A configuration whose node.yaml names a folder of packages, in which there is one."""
    package = with_weights(tmp_path / "packages" / "tiny")
    (package.folder / "CARD.md").write_text(f"# Tiny\n\n{BEGIN}\n{END}\n", encoding="utf-8")
    configure(tmp_path / "config", 11112, [], inferring={"packages": [str(tmp_path / "packages")]})
    return tmp_path / "config"


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """Two small cases with a liver, in the Decathlon's layout."""
    on = factories.grid("oblique", (12, 20, 18), (3.0, 2.0, 2.0))
    for kind in ("images", "labels"):
        (tmp_path / "cases" / kind).mkdir(parents=True)
    for number in range(2):
        volume = factories.volume(on, seed=number)
        liver = (factories.labels(on) == 1).astype(np.uint8)
        write_volume(tmp_path / "cases" / "images" / f"case_{number}.nii.gz", volume)
        write_labels(tmp_path / "cases" / "labels" / f"case_{number}.nii.gz", LabelMap(on, liver))
    return tmp_path / "cases"


def test_packages_of_the_site_are_listed_beside_those_that_are_built_in(site: Path) -> None:
    listed = json.loads(run_command("models", "list", "--json", "--config", str(site)).stdout)
    assert {row["name"] for row in listed} == {"tiny", *find()}
    (tiny,) = (row for row in listed if row["name"] == "tiny")
    assert tiny == {
        "name": "tiny",
        "version": "1.0.0",
        "title": "Tiny",
        "task": "patches",
        "modality": "CT",
        "evidence": "phantom",
        "licence": "Apache-2.0",
        "folder": str(site.parent / "packages" / "tiny"),
    }
    assert "Apache-2.0" in run_command("models", "list", "--config", str(site)).stdout


def test_a_configuration_that_is_not_there_is_named(tmp_path: Path) -> None:
    run = run_command("models", "list", "--config", str(tmp_path / "nowhere"))
    assert run.returncode == 1
    assert "has no node.yaml" in run.stderr


def test_everything_a_manifest_says_is_shown() -> None:
    shown = run_command("models", "show", "hippocampus").stdout
    for line in (
        "version: 1.1.0",
        "evidence: real",
        "spacing mm: 0.7 to 1.5",
        "type: Hippocampus (5366008, SCT)",
        "plausible ml: 0.5 to 4",
        "training data: CC-BY-SA-4.0",
        f"card: {BUILT_IN / 'hippocampus' / 'CARD.md'}",
        "evaluation: 30 cases",
    ):
        assert line in shown
    assert re.search(r"Dice +│ 0\.8\d\d \(0\.\d+ to 0\.\d+\)", shown)


def test_a_package_that_is_not_known_is_named_with_those_that_are() -> None:
    run = run_command("models", "show", "kidney")
    assert run.returncode == 1
    assert "there is no package kidney: name one of fvc_decline, hippocampus, " in run.stderr


def test_a_new_package_lacks_its_weights_and_verify_says_so(tmp_path: Path) -> None:
    made = run_command("models", "new", "liver_mr", "--template", "segmentation", "--into", str(tmp_path))
    assert made.returncode == 0
    assert sorted(path.name for path in (tmp_path / "liver_mr").iterdir()) == [
        "CARD.md",
        "manifest.yaml",
        "training.yaml",
    ]
    run = run_command("models", "verify", str(tmp_path / "liver_mr"))
    assert run.returncode == 1
    assert f"FAIL  weights: {tmp_path / 'liver_mr' / 'weights.safetensors'} is missing" in run.stdout
    assert "FAIL  licences: the licence of the training data is 'NOASSERTION'" in run.stdout


def test_a_sound_package_is_verified() -> None:
    run = run_command("models", "verify", "hippocampus")
    assert (run.returncode, run.stdout.count("ok  ")) == (0, 6), run.stdout


def test_a_package_travels_as_one_file(site: Path, tmp_path: Path) -> None:
    packed = run_command("models", "pack", "tiny", "--into", str(tmp_path), "--config", str(site))
    file = tmp_path / "tiny-1.0.0.zip"
    assert packed.stdout.strip() == str(file)
    installed = run_command("models", "install", str(file), "--into", str(tmp_path / "other"))
    assert f"tiny 1.0.0 is in {tmp_path / 'other' / 'tiny'}" in installed.stdout
    assert read(tmp_path / "other" / "tiny").manifest == find([tmp_path / "packages"])["tiny"].manifest
    again = run_command("models", "install", str(file), "--into", str(tmp_path / "other"))
    assert again.returncode == 1
    assert "say --replace to put 1.0.0 in its place" in again.stderr
    assert run_command("models", "install", str(file), "--into", str(tmp_path / "other"), "--replace").returncode == 0


def test_a_package_that_was_tampered_with_is_refused_in_one_sentence(site: Path, tmp_path: Path) -> None:
    run_command("models", "pack", "tiny", "--into", str(tmp_path), "--config", str(site))
    with zipfile.ZipFile(tmp_path / "tiny-1.0.0.zip") as packed, zipfile.ZipFile(tmp_path / "bad.zip", "w") as bad:
        for name in packed.namelist():
            held = packed.read(name)
            bad.writestr(name, held.replace(b"Liver", b"Lover") if name == "manifest.yaml" else held)
    run = run_command("models", "install", str(tmp_path / "bad.zip"), "--into", str(tmp_path / "other"))
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    assert "manifest.yaml is not what digests.json says" in run.stderr
    assert list((tmp_path / "other").iterdir()) == []


def test_a_package_is_evaluated_on_a_folder_of_cases(site: Path, cases: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    options = ("--data", str(cases), "--device", "cpu", "--config", str(site))
    run = run_command("evaluate", "tiny", *options, "--html", str(page))
    assert run.returncode == 0, run.stderr
    folder = tmp_path / "packages" / "tiny"
    evaluation = read_evaluation(folder)
    assert isinstance(evaluation, SegmentationEvaluation)
    assert [case.name for case in evaluation.cases] == ["case_0", "case_1"]
    assert evaluation.cases[0].sha256 != evaluation.cases[1].sha256
    written = (folder / "evaluation.json").read_bytes()
    table = [line for line in run.stdout.splitlines() if line.startswith("| ")]
    assert table[0] == "|  | Liver |"
    assert "\n".join(table[1:]) in (folder / "CARD.md").read_text(encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") == 2
    assert "cases, last changed 20" in text

    first = page.read_bytes()
    assert run_command("evaluate", str(folder), *options, "--html", str(page)).returncode == 0
    assert (folder / "evaluation.json").read_bytes() == written
    assert page.read_bytes() == first


def test_a_chain_says_of_what_it_is_made_and_what_is_missing(site: Path, tmp_path: Path) -> None:
    tiny = read(tmp_path / "packages" / "tiny")
    within = {"step": 1, "what": "Liver", "margin_mm": 5}
    put(tmp_path / "packages" / "chain", chain_written(pinned(tiny), pinned(tiny, within=within)))
    lost = chain_written(pinned(tiny), pinned(tiny, within=within, version="2.0.0"), name="lost_chain")
    put(tmp_path / "packages" / "lost", lost)
    listed = json.loads(run_command("models", "list", "--json", "--config", str(site)).stdout)
    tasks = {row["name"]: row["task"] for row in listed}
    assert tasks["tiny_chain"] == "chain: tiny 1.0.0, then tiny 1.0.0"
    assert tasks["lost_chain"].endswith("; step 2 is tiny 2.0.0, and here is version 1.0.0")
    shown = run_command("models", "show", "tiny_chain", "--config", str(site)).stdout
    assert f"step 2: tiny 1.0.0, {tiny.folder}" in shown
    verified = run_command("models", "verify", "lost_chain", "--config", str(site))
    assert (verified.returncode, verified.stdout.startswith("FAIL  steps: ")) == (1, True)
    trained = run_command("train", "tiny_chain", "--config", str(site))
    assert (trained.returncode, "train its steps, tiny" in trained.stderr) == (1, True)


def test_a_node_does_not_start_with_a_rule_for_a_chain_that_cannot_run(tmp_path: Path) -> None:
    tiny = with_weights(tmp_path / "packages" / "tiny")
    within = {"step": 1, "what": "Kidney", "margin_mm": 5}
    put(tmp_path / "packages" / "chain", chain_written(pinned(tiny), pinned(tiny, within=within)))
    packages = {"packages": [str(tmp_path / "packages")]}
    settings = configure(tmp_path / "config", 11112, [rule("tiny_chain")], inferring=packages)
    with pytest.raises(
        ConfigurationError, match=r"rules.yaml.*step 2 is within 'Kidney', and step 1 \(tiny\) marks Liver"
    ):
        router_for(settings)


def test_a_chain_travels_without_the_packages_of_its_steps(site: Path, tmp_path: Path) -> None:
    tiny = read(tmp_path / "packages" / "tiny")
    within = {"step": 1, "what": "Liver", "margin_mm": 5}
    put(tmp_path / "packages" / "chain", chain_written(pinned(tiny), pinned(tiny, within=within)))
    assert run_command("models", "pack", "tiny_chain", "--into", str(tmp_path), "--config", str(site)).returncode == 0
    file = tmp_path / "tiny_chain-1.0.0.zip"
    assert zipfile.ZipFile(file).namelist() == ["digests.json", "manifest.yaml"]
    installed = run_command("models", "install", str(file), "--into", str(tmp_path / "other"))
    assert "tiny 1.0.0, tiny 1.0.0 have to be there too" in installed.stdout


def test_cases_that_are_not_there_are_asked_for(site: Path) -> None:
    run = run_command("evaluate", "tiny", "--device", "cpu", "--config", str(site))
    assert run.returncode == 1
    assert "name a folder with images/ and labels/ by --data" in run.stderr


def test_the_documents_table_is_that_of_the_command() -> None:
    written = DOCUMENT.read_text(encoding="utf-8")
    assert run_command("models", "list", "--markdown").stdout.strip() in written


def test_a_site_may_not_name_a_folder_that_is_not_there(site: Path) -> None:
    path = site / "node.yaml"
    changed = yaml.safe_load(path.read_text(encoding="utf-8")) | {"inferring": {"packages": ["nowhere"]}}
    path.write_text(yaml.safe_dump(changed), encoding="utf-8")
    run = run_command("models", "list", "--config", str(site))
    assert run.returncode == 1
    assert "nowhere is not a folder" in run.stderr
