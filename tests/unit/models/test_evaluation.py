"""From rows to figures, and how they are written: for structures, and for probabilities."""

import math
from pathlib import Path

import numpy as np
import pytest

from models.registry import PackageError, read
from models.training.classified import (
    ClassificationEvaluation,
    ClassifiedCase,
    ClassScore,
    classification_evaluation,
)
from models.training.evaluation import BEGIN, END, card_lines, read_evaluation, table, write_evaluation
from models.training.figures import Evaluation, Figure, Metric, identity
from models.training.marking_examiner import score_label
from models.training.segmented import (
    CaseScore,
    LabelScore,
    SegmentationEvaluation,
    segmentation_evaluation,
)
from tests import factories
from tests.unit.models.packages import manifest, put, written

PACKAGE = identity(manifest())


def label_score(found_ml: float = 9.0, truth_ml: float = 10.0, dice: float = 0.9) -> LabelScore:
    return LabelScore(
        dice=dice, jaccard=0.8, hausdorff_95_mm=2.0, surface_distance_mm=0.5, found_ml=found_ml, truth_ml=truth_ml
    )


def missed(truth_ml: float = 10.0) -> LabelScore:
    return LabelScore(
        dice=0.0, jaccard=0.0, hausdorff_95_mm=None, surface_distance_mm=None, found_ml=0.0, truth_ml=truth_ml
    )


def case(name: str, *labels: LabelScore, patient: str = "") -> CaseScore:
    return CaseScore(name=name, patient=patient or name, sha256="0" * 64, labels=labels)


def segmented(*scores: LabelScore) -> SegmentationEvaluation:
    return segmentation_evaluation(PACKAGE, ["Liver"], [case(f"case {n}", each) for n, each in enumerate(scores)])


def classified(seed: int = 0, cases: int = 60) -> ClassificationEvaluation:
    rng = np.random.default_rng(seed)
    rows = [
        ClassifiedCase(
            name=f"image {number}",
            patient=f"patient {number // 2}",
            sha256="0" * 64,
            classes=(ClassScore(truth=bool(number % 3 == 0), probability=float(rng.random())),),
        )
        for number in range(cases)
    ]
    return classification_evaluation(PACKAGE, ["Pneumonia"], [0.5], rows)


def figure_of(evaluation: Evaluation, metric: Metric) -> Figure:
    (found,) = (figure for figure in evaluation.figures if figure.metric is metric)
    return found


def test_a_structure_is_scored_on_its_own_grid() -> None:
    on = factories.grid("oblique", (4, 10, 10), (2.0, 1.0, 1.0))
    found, truth = np.zeros(on.shape, np.bool_), np.zeros(on.shape, np.bool_)
    found[1:3, 2:8, 2:8], truth[1:3, 2:8, 3:9] = True, True
    scored = score_label(found, truth, on)
    assert (scored.found_ml, scored.truth_ml) == (0.144, 0.144)
    assert scored.dice == pytest.approx(5 / 6, abs=1e-4)
    assert scored.hausdorff_95_mm == 1.0


def test_a_structure_that_was_missed_lowers_dice_and_is_counted_out_of_distances() -> None:
    evaluation = segmented(label_score(), label_score(), missed())
    assert figure_of(evaluation, Metric.DICE).value == pytest.approx(0.6)
    distance = figure_of(evaluation, Metric.HAUSDORFF_95)
    assert (distance.value, distance.cases) == (2.0, 2)
    assert distance.words(3) == "2.00 mm (2.00 to 2.00), 2 of 3 cases"


def test_errors_of_volume_that_cancel_out_stay_visible_in_the_absolute_error() -> None:
    evaluation = segmented(label_score(found_ml=8.0), label_score(found_ml=12.0))
    assert figure_of(evaluation, Metric.VOLUME_ERROR).value == 0.0
    assert figure_of(evaluation, Metric.ABSOLUTE_VOLUME_ERROR).value == 2.0


def test_the_lowest_dice_is_that_of_one_case_and_has_no_interval() -> None:
    evaluation = segmented(label_score(dice=0.9), label_score(dice=0.4))
    assert figure_of(evaluation, Metric.LOWEST_DICE).words(2) == "0.400"
    assert [each.name for each in evaluation.worst(1)] == ["case 1"]


def test_images_of_one_patient_widen_the_interval() -> None:
    scores = [label_score(dice=0.5 + 0.04 * (n // 3)) for n in range(12)]
    apart = [case(f"image {n}", each) for n, each in enumerate(scores)]
    together = [case(f"image {n}", each, patient=f"patient {n // 3}") for n, each in enumerate(scores)]
    wide, narrow = (
        figure_of(segmentation_evaluation(PACKAGE, ["Liver"], cases), Metric.DICE) for cases in (together, apart)
    )
    assert wide.value == narrow.value
    assert wide.low is not None
    assert narrow.low is not None
    assert wide.low < narrow.low


def test_decisions_are_those_at_the_operating_point() -> None:
    evaluation = classified()
    truth, probabilities = evaluation.answers(0)
    sensitivity = np.mean(probabilities[truth] >= 0.5)
    assert figure_of(evaluation, Metric.SENSITIVITY).value == pytest.approx(sensitivity, abs=1e-4)
    assert figure_of(evaluation, Metric.PREVALENCE).value == pytest.approx(1 / 3, abs=1e-4)


def test_every_figure_of_a_finding_lies_in_its_interval() -> None:
    for figure in classified().figures:
        if figure.metric is not Metric.CALIBRATION_ERROR:  # resampling makes calibration look worse than it is
            assert figure.low is not None, figure.metric
            assert figure.low <= figure.value <= figure.high, figure.metric  # type: ignore[operator]


def test_a_finding_that_no_case_has_leaves_undefined_what_needs_one() -> None:
    rows = [
        ClassifiedCase(name=name, patient=name, sha256="", classes=(ClassScore(truth=False, probability=0.1),))
        for name in "abc"
    ]
    evaluation = classification_evaluation(PACKAGE, ["Pneumonia"], [0.5], rows)
    assert figure_of(evaluation, Metric.AREA_UNDER_ROC).words(3) == "not defined"
    assert figure_of(evaluation, Metric.SENSITIVITY).value is None
    assert figure_of(evaluation, Metric.SPECIFICITY).value == 1.0


@pytest.mark.parametrize("evaluation", [segmented(label_score(), missed()), classified()], ids=["masks", "classes"])
def test_what_was_written_comes_back(evaluation: SegmentationEvaluation, tmp_path: Path) -> None:
    package = read(put(tmp_path / "tiny", written()))
    (package.folder / "CARD.md").write_text(f"# Tiny\n{BEGIN}\nold\n{END}\nLimits.\n", encoding="utf-8")
    write_evaluation(package, evaluation)
    assert read_evaluation(package.folder) == evaluation
    card = (package.folder / "CARD.md").read_text(encoding="utf-8")
    assert "\n".join(card_lines(evaluation)) in card
    assert "old" not in card


def test_an_infinite_likelihood_ratio_survives_being_written(tmp_path: Path) -> None:
    rows = [
        ClassifiedCase(
            name=str(number),
            patient=str(number),
            sha256="",
            classes=(ClassScore(truth=number < 5, probability=0.9 if number < 4 else 0.1),),
        )
        for number in range(10)
    ]
    evaluation = classification_evaluation(PACKAGE, ["Pneumonia"], [0.5], rows)
    assert figure_of(evaluation, Metric.POSITIVE_LIKELIHOOD_RATIO).value == math.inf
    (tmp_path / "evaluation.json").write_text(evaluation.model_dump_json(), encoding="utf-8")
    assert read_evaluation(tmp_path) == evaluation


def test_the_table_has_a_row_for_each_metric_and_a_column_for_each_structure() -> None:
    cases = [case("one", label_score(), label_score(dice=0.7)), case("two", label_score(), label_score(dice=0.5))]
    head, dice, *_ = table(segmentation_evaluation(PACKAGE, ["Liver", "Spleen"], cases))
    assert head == ["", "Liver", "Spleen"]
    assert dice == ["Dice", "0.900 (0.900 to 0.900)", "0.600 (0.500 to 0.700)"]


def test_an_evaluation_of_an_earlier_format_asks_for_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_text('{"package": "tiny", "cases": []}', encoding="utf-8")
    with pytest.raises(PackageError, match="run `isocenter evaluate` again"):
        read_evaluation(tmp_path)


def test_another_manifest_is_another_package_and_another_comment_is_not() -> None:
    assert identity(manifest()) == PACKAGE
    assert identity(manifest(inference={"patch": [16, 16, 32]})) != PACKAGE
