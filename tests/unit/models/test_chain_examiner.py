"""A chain is evaluated as a whole, on cases that none of its steps has seen."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from models.chains import bound_beside
from models.nifti import DATASET, write_labels, write_volume
from models.registry import BUILT_IN, Package, PackageError, read
from models.training.evaluate import evaluate
from models.training.evaluation import BEGIN, END, read_evaluation
from models.training.exam import Exam
from models.training.figures import identity
from models.training.segmented import SegmentationEvaluation
from models.training.train import train, train_folds
from models.verification import checks
from models.volume import LabelMap
from tests import factories
from tests.unit.models.packages import chain_written, pinned, put, with_weights

WITHIN: dict[str, Any] = {"step": 1, "what": "Liver", "margin_mm": 10}
RECIPE = {
    "cases": {"kind": "folder", "held_out": 2, "validation": 1, "seed": 1},
    "seed": 1,
    "iterations": 1,
    "batch": 1,
    "learning_rate": 0.1,
    "validate_every": 1,
}


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """Four small cases with a liver; the last two are one patient's."""
    on = factories.grid("oblique", (12, 20, 18), (3.0, 2.0, 2.0))
    for kind in ("images", "labels"):
        (tmp_path / "cases" / kind).mkdir(parents=True)
    for number in range(4):
        volume = factories.volume(on, seed=number)
        write_volume(tmp_path / "cases" / "images" / f"case_{number}.nii.gz", volume)
        liver = LabelMap(on, (factories.labels(on) == 1).astype(np.uint8))
        write_labels(tmp_path / "cases" / "labels" / f"case_{number}.nii.gz", liver)
    said = {"patients": {"case_2": "Mary", "case_3": "Mary"}}
    (tmp_path / "cases" / DATASET).write_text(json.dumps(said), encoding="utf-8")
    return tmp_path / "cases"


def made_of(step: Package, *, held_out: list[str], validation: list[str], training: list[str]) -> None:
    """Leaves beside a step which cases its weights were made of."""
    split = {"held_out": held_out, "validation": validation, "training": training}
    (step.folder / "split.json").write_text(json.dumps(split), encoding="utf-8")
    (step.folder / "training.yaml").write_text(yaml.safe_dump(RECIPE), encoding="utf-8")


@pytest.fixture
def steps(tmp_path: Path) -> tuple[Package, Package]:
    coarse, fine = (with_weights(tmp_path / "packages" / name, name=name) for name in ("coarse", "fine"))
    return coarse, fine


@pytest.fixture
def chain(tmp_path: Path, steps: tuple[Package, Package]) -> Package:
    return put_chain(tmp_path, pinned(steps[0]), pinned(steps[1], within=WITHIN))


def put_chain(tmp_path: Path, *said: dict[str, Any]) -> Package:
    folder = put(tmp_path / "packages" / "chain", chain_written(*said))
    (folder / "CARD.md").write_text(f"# Chain\n{BEGIN}\n{END}\n", encoding="utf-8")
    return read(folder)


def test_a_chain_is_asked_about_the_cases_that_no_step_has_seen(
    chain: Package, steps: tuple[Package, Package], cases: Path
) -> None:
    made_of(steps[0], held_out=["case_1", "case_2"], validation=[], training=["case_0"])
    made_of(steps[1], held_out=["case_0", "case_1"], validation=["case_3"], training=["other"])
    evaluate(Exam(bound_beside(chain, [BUILT_IN]), cases, "cpu"))
    written = read_evaluation(chain.folder)
    assert isinstance(written, SegmentationEvaluation)
    assert [case.name for case in written.cases] == [
        "case_1"
    ]  # case 2 is of the patient who chose the second's weights
    assert written.package == identity(chain.manifest)
    failed = [line.words for line in checks(chain) if not line.holds]
    assert failed == []


def test_cases_that_all_had_a_part_in_a_step_are_refused(
    chain: Package, steps: tuple[Package, Package], cases: Path
) -> None:
    made_of(steps[0], held_out=[], validation=["case_3"], training=["case_0", "case_1"])
    with pytest.raises(ValueError, match="every case had a part in making coarse: name others by --data"):
        evaluate(Exam(bound_beside(chain, [BUILT_IN]), cases, "cpu"))


def test_a_case_that_is_declined_counts_as_one_in_which_nothing_was_found(
    tmp_path: Path, cases: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    narrow = with_weights(
        tmp_path / "packages" / "fine", name="fine", intake={"modalities": ["CT"], "slices": {"minimum": 99}}
    )
    coarse = with_weights(tmp_path / "packages" / "coarse", name="coarse")
    chain = put_chain(tmp_path, pinned(coarse), pinned(narrow, within=WITHIN))
    _, evaluation = evaluate(Exam(bound_beside(chain, [BUILT_IN]), cases, "cpu"))
    assert isinstance(evaluation, SegmentationEvaluation)
    assert {case.labels[0].dice for case in evaluation.cases} == {0.0}
    assert "case_0 is declined, which counts as nothing found: step 2 (fine): there are " in capsys.readouterr().out


def test_labels_that_files_cannot_tell_apart_are_not_evaluated(
    tmp_path: Path, steps: tuple[Package, Package], cases: Path
) -> None:
    label = chain_label("Other")
    other = with_weights(tmp_path / "packages" / "other", name="other", labels=[label])
    chain = put_chain(tmp_path, pinned(steps[0], tell=True), pinned(other, within=WITHIN))
    with pytest.raises(PackageError, match=r"tells labels of the values \[1, 1\]"):
        evaluate(Exam(bound_beside(chain, [BUILT_IN]), cases, "cpu"))


def chain_label(name: str) -> dict[str, Any]:
    code = {"value": "78961009", "scheme": "SCT", "meaning": name}
    return {"value": 1, "name": name, "category": code, "type": code, "color_rgb": [1, 2, 3]}


def test_a_chain_is_not_trained(chain: Package, cases: Path, tmp_path: Path) -> None:
    for taught in (train, train_folds):
        with pytest.raises(PackageError, match="has no weights of its own: train its steps, coarse, fine"):
            taught(chain.folder, cases, tmp_path / "run", "cpu")


def test_a_chain_whose_steps_are_not_here_does_not_verify(tmp_path: Path, steps: tuple[Package, Package]) -> None:
    chain = put_chain(tmp_path, pinned(steps[0]), pinned(steps[1], within=WITHIN, version="2.0.0"))
    (line,) = checks(chain)
    assert (line.check, line.holds) == ("steps", False)
    assert "step 2 is fine 2.0.0, and here is version 1.0.0" in line.words
