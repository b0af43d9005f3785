"""Predictions: learned from a table, stated with a sigma, evaluated on patients who were never seen."""

import csv
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from pydantic import ValidationError

from models.inference import load, load_for_values
from models.inputs import Known
from models.manifest import Manifest, parse
from models.perceptron import perceptron_of
from models.registry import BUILT_IN, Package, PackageError, find, read, regression
from models.tasks.regress import Regressor
from models.training.evaluate import evaluate, examiner_for
from models.training.evaluation import BEGIN, CARD, card_lines, read_evaluation
from models.training.exam import Exam
from models.training.figures import Metric, identity
from models.training.laplace import laplace_log_likelihood
from models.training.losses import modified_laplace
from models.training.recipe import Visits, read_recipe
from models.training.regress_course import pairs
from models.training.regressed import ALL_VISITS, LAST_VISITS, RegressionEvaluation
from models.training.split import split_for
from models.training.train import train
from models.training.visits import patients_of
from models.verification import checks

KNOWN = Known({"fvc": 2800.0, "age": 68.0, "sex": "male", "smoking": "ex-smoker"}, date(2026, 3, 1))
LOSS_ML_PER_WEEK, NOISE_ML = 6.0, 40.0


def package() -> Package:
    return find()["fvc_decline"]


def written() -> dict[str, Any]:
    said: dict[str, Any] = yaml.safe_load((package().folder / "manifest.yaml").read_text(encoding="utf-8"))
    return said


def table(folder: Path, patients: int = 40, faster: float = 1.0) -> Path:
    """Patients who lose something each week, measured with some noise; those with large lungs on CT `faster`."""
    rng, folder = np.random.default_rng(5), folder / "data"
    folder.mkdir()
    with (folder / "train.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["Patient", "Weeks", "FVC", "Percent", "Age", "Sex", "SmokingStatus", "LungVolume"])
        for number in range(patients):
            large = number % 2
            first = rng.uniform(2000, 4000)
            for weeks in (0, 8, 16, 24, 40, 52):
                value = first - (faster if large else 1.0) * LOSS_ML_PER_WEEK * weeks + rng.normal(0, NOISE_ML)
                rest = (70, "Male", "Ex-smoker", 6000 if large else 3000)
                rows.writerow([f"P{number:02d}", weeks, value, 80, *rest])
    return folder


def adapted(folder: Path, **changes: Any) -> Path:
    """The package without weights, to be taught by a table of ours."""
    folder.mkdir()
    (folder / "manifest.yaml").write_text(yaml.safe_dump(written() | changes), encoding="utf-8")
    recipe = yaml.safe_load((BUILT_IN / "fvc_decline" / "training.yaml").read_text(encoding="utf-8"))
    recipe["cases"] |= {"held_out": 10, "validation": 6}
    if changes:
        recipe["cases"]["columns"] |= {"lung_volume": "LungVolume"}
    recipe |= {"iterations": 600, "validate_every": 200, "batch": 64}
    (folder / "training.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    (folder / CARD).write_text("<!-- evaluation -->\n<!-- /evaluation -->\n", encoding="utf-8")
    return folder


def with_lung_volume_learned() -> dict[str, Any]:
    *others, lung_volume = written()["inputs"]
    return {"inputs": [*others, lung_volume | {"learned": True}]}


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RegressionEvaluation]:
    """A package that was taught by a table without any CT, and what it is worth."""
    folder = tmp_path_factory.mktemp("taught")
    data, there = table(folder), adapted(folder / "package")
    train(there, data, folder / "run", "cpu")
    _, evaluation = evaluate(Exam(read(there), data, "cpu"))
    assert isinstance(evaluation, RegressionEvaluation)
    return there, evaluation


def value(evaluation: RegressionEvaluation, metric: Metric, subject: str = ALL_VISITS) -> float:
    (found,) = [each.value for each in evaluation.figures if (each.metric, each.subject) == (metric, subject)]
    assert found is not None
    return found


def test_a_decline_that_is_there_is_learned_and_predicted_better_than_no_change(
    taught: tuple[Path, RegressionEvaluation],
) -> None:
    _, evaluation = taught
    assert len(evaluation.cases) == 10
    assert value(evaluation, Metric.ABSOLUTE_ERROR) < 0.6 * value(evaluation, Metric.UNCHANGED)
    assert abs(value(evaluation, Metric.ERROR, LAST_VISITS)) < 80


def test_no_held_out_patient_trains_or_chooses(taught: tuple[Path, RegressionEvaluation]) -> None:
    folder, evaluation = taught
    split = split_for(folder, read_recipe(folder), None)
    assert not set(split.held_out) & set(split.training + split.validation)
    assert {case.patient for case in evaluation.cases} == set(split.held_out)


def test_the_same_seed_gives_the_same_weights(taught: tuple[Path, RegressionEvaluation], tmp_path: Path) -> None:
    folder, _ = taught
    again = adapted(tmp_path / "again")
    train(again, table(tmp_path), tmp_path / "run", "cpu")
    assert (again / "weights.safetensors").read_bytes() == (folder / "weights.safetensors").read_bytes()


def test_lung_volume_helps_where_the_table_has_it_and_the_model_does_without_it(tmp_path: Path) -> None:
    data, folder = table(tmp_path, faster=2.0), adapted(tmp_path / "package", **with_lung_volume_learned())
    train(folder, data, tmp_path / "run", "cpu")
    _, evaluation = evaluate(Exam(read(folder), data, "cpu"))
    assert isinstance(evaluation, RegressionEvaluation)
    assert value(evaluation, Metric.ABSOLUTE_ERROR) < 60
    predictor = load_for_values(Package(folder, parse(yaml.safe_load((folder / "manifest.yaml").read_text()))), "cpu")
    small, large, unknown = (
        predictor.answers({**KNOWN.values, **volume}, [52])[0, 0]
        for volume in ({"lung_volume": 3000.0}, {"lung_volume": 6000.0}, {})
    )
    assert small - large > 100
    assert large - 50 < unknown < small + 50


def test_a_column_for_what_is_not_learned_is_refused(tmp_path: Path) -> None:
    folder, manifest = adapted(tmp_path / "package", weeks=[12]), regression(package())
    cases = read_recipe(folder).cases
    assert isinstance(cases, Visits)
    with pytest.raises(ValueError, match="lung_volume has a column"):
        patients_of(table(tmp_path), cases, manifest)


def test_every_visit_is_a_pair_with_each_later_one(tmp_path: Path) -> None:
    cases = read_recipe(package().folder).cases
    assert isinstance(cases, Visits)
    manifest = regression(package())
    patients = patients_of(table(tmp_path, 2), cases, manifest)
    made = pairs(manifest, list(patients.values()))
    assert len(made.weeks) == 2 * (6 * 5) // 2
    assert made.weeks.min() == 8
    assert made.weeks.max() == 52


def test_the_loss_is_the_metric_with_the_sign_turned() -> None:
    truth, found = np.array([2000.0, 2500.0, 4000.0]), np.array([2100.0, 2490.0, 1500.0])
    sigma = np.array([30.0, 120.0, 300.0])
    answers = torch.from_numpy(np.stack([found, sigma], 1))
    wanted = -laplace_log_likelihood(truth, found, sigma).mean()
    assert float(modified_laplace(answers, torch.from_numpy(truth))) == pytest.approx(wanted)


def test_each_week_has_a_prediction_that_starts_from_the_measured_value_and_grows_less_sure() -> None:
    findings = load_for_values(package(), "cpu")(KNOWN)
    assert [each.weeks for each in findings.predictions] == [12, 24, 36, 52]
    found = [each.measurement.value for each in findings.predictions]
    sigma = [each.measurement.uncertainty or 0.0 for each in findings.predictions]
    assert found == sorted(found, reverse=True)
    assert 2500 < found[-1] < found[0] < 2850
    assert sigma == sorted(sigma)
    assert sigma[0] > 70
    assert {(each.after, each.measurement.unit.value) for each in findings.predictions} == {(date(2026, 3, 1), "ml")}
    assert "FVC 2800 ml" in findings.predictions[0].basis


def test_lung_volume_moves_nothing_that_was_not_learned_from_it() -> None:
    predictor = load_for_values(package(), "cpu")
    measured = Known({**KNOWN.values, "lung_volume": 2500.0}, KNOWN.measured_on)
    assert predictor(measured).predictions == predictor(KNOWN).predictions


def test_a_network_that_answers_nonsense_is_stopped() -> None:
    manifest = regression(package())
    network = perceptron_of(manifest)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(float("nan"))
    with pytest.raises(ValueError, match="finite"):
        Regressor(manifest, network)(KNOWN)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(-20.0)
    with pytest.raises(ValueError, match="not plausible"):
        Regressor(manifest, network)(KNOWN)


def rejected(**changes: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        parse(written() | changes)
    return str(caught.value)


def test_a_manifest_that_contradicts_itself_is_refused() -> None:
    inputs = written()["inputs"]
    assert "none of the required numbers" in rejected(baseline={"input": "smoking", "within_days": 1})
    assert "weeks are positive" in rejected(weeks=[24, 12])
    assert "cannot be required" in rejected(inputs=[*inputs[:4], inputs[4] | {"required": True}])


def test_a_package_is_asked_by_its_own_kind_of_loader_alone() -> None:
    with pytest.raises(PackageError, match="no segmentation"):
        load(package(), "cpu")
    with pytest.raises(PackageError, match="no regression"):
        load_for_values(find()["phantom_abdomen"], "cpu")


def test_the_package_is_what_it_says() -> None:
    assert [(line.check, line.words) for line in checks(package()) if not line.holds] == []
    written_down = read_evaluation(package().folder)
    assert isinstance(written_down, RegressionEvaluation)
    assert written_down.package == identity(package().manifest)
    assert value(written_down, Metric.LAPLACE) > -6.9
    card = (package().folder / CARD).read_text(encoding="utf-8").partition(BEGIN)[2]
    assert "\n".join(card_lines(written_down)) in card


def test_the_held_out_patients_are_predicted_as_the_card_says(real_images: Callable[[str], Path]) -> None:
    examiner = examiner_for(Exam(package(), real_images("osic_fvc"), "cpu"))
    assert examiner(examiner.names) == read_evaluation(package().folder)


def test_the_kind_is_told_by_its_task() -> None:
    manifest: Manifest = parse(written())
    assert manifest.task == "regress"
