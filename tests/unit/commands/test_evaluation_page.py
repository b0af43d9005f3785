"""The page of an evaluation: what it shows, and that it needs nothing but itself."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from models.findings import Box
from models.training.calibration import reliability
from models.training.evaluation import AnyEvaluation
from models.training.figures import identity
from models.training.located import LocatedCase, LocationEvaluation, box_score, location_evaluation
from models.training.marking_examiner import Compared
from models.training.ranking import roc
from service.commands.charts import agreement_plot, reliability_plot, roc_plot, strip_plot
from service.commands.comparison import TRUTH, box_comparison, comparison, where_they_differ
from service.commands.evaluation_page import Picture, page
from service.derived.windows import Window
from tests import factories
from tests.unit.models.packages import manifest
from tests.unit.models.test_evaluation import classified, label_score, missed, segmented


def made(evaluation: AnyEvaluation, pictures: Sequence[Picture] = ()) -> str:
    return page(manifest(), evaluation, "a folder, last changed 2024-05-06", pictures)


def boxed() -> LocationEvaluation:
    truth = np.array([[0.0, 0.0, 0.0], [10.0, 20.0, 30.0]])
    cases = [
        LocatedCase(name=name, patient=name, sha256="0", structures=(box_score(found, truth),))
        for name, found in {"case 1": truth + 1.0, "case 2": None}.items()
    ]
    return location_evaluation(identity(manifest()), ["Liver"], cases)


EVALUATIONS: dict[str, AnyEvaluation] = {
    "masks": segmented(label_score(), missed()),
    "classes": classified(),
    "boxes": boxed(),
}


@pytest.mark.parametrize("evaluation", EVALUATIONS.values(), ids=EVALUATIONS)
def test_the_page_needs_nothing_but_itself(evaluation: AnyEvaluation) -> None:
    text = made(evaluation, [Picture("case 1", "Dice 0.000", b"PNG")])
    assert not re.findall(r'(?:src|href)=(?!"data:)', text)
    assert "http" not in text
    assert re.findall(r"<script[^>]*>", text) == ['<script type="application/json" id="evaluation">']


@pytest.mark.parametrize("evaluation", EVALUATIONS.values(), ids=EVALUATIONS)
def test_the_numbers_on_the_page_are_those_of_the_evaluation(evaluation: AnyEvaluation) -> None:
    text = made(evaluation)
    held = re.search(r'<script type="application/json" id="evaluation">(.*?)</script>', text, re.DOTALL)
    assert held is not None
    assert json.loads(held[1]) == json.loads(evaluation.model_dump_json())
    for figure in evaluation.figures:
        assert figure.words(len(evaluation.cases)) in text
    for case in evaluation.cases:
        assert f"<td>{case.name}</td>" in text


def test_the_page_says_what_was_evaluated_and_is_the_same_twice() -> None:
    evaluation = EVALUATIONS["masks"]
    text = made(evaluation)
    assert evaluation.package.weights_sha256 in text
    assert "synthetic anatomy: never for a patient" in text
    assert "last changed 2024-05-06" in text
    assert made(evaluation) == text


def test_a_name_that_is_markup_is_shown_and_not_obeyed() -> None:
    text = made(EVALUATIONS["masks"], [Picture("<script>alert(1)</script>", '"quoted"', b"")])
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_a_distance_that_is_not_defined_is_called_so() -> None:
    assert "<td>not defined</td>" in made(EVALUATIONS["masks"])


def dots(chart: str) -> int:
    """How many dots a chart has; a chart that is no XML fails."""
    return sum(element.tag == "circle" for element in ET.fromstring(chart).iter())


def test_a_strip_has_a_dot_for_each_value() -> None:
    assert dots(strip_plot({"Liver": [0.8, 0.9, 0.95], "Spleen & more": [0.7]}, "Dice")) == 4
    assert dots(strip_plot({"Liver": []}, "Dice")) == 0


def test_pairs_and_bins_have_a_dot_each_beside_those_of_the_legend() -> None:
    assert dots(agreement_plot({"Liver": [(1.0, 1.1), (2.0, 1.9)]}, "true", "found")) == 2 + 1
    truth, said = np.array([True, False, True]), np.array([0.91, 0.12, 0.93])
    assert dots(reliability_plot({"Pneumonia": reliability(truth, said)})) == 2 + 1


def test_a_perfect_roc_curve_goes_through_the_upper_left_corner() -> None:
    chart = roc_plot({"Pneumonia": roc(np.array([True, True, False]), np.array([0.9, 0.8, 0.1]))})
    corners = re.findall(r'points="([^"]+)"', chart)[-1].split()
    assert corners[0].split(",")[0] == corners[2].split(",")[0]  # straight up at the left
    assert float(corners[2].split(",")[1]) == min(float(corner.split(",")[1]) for corner in corners)


@pytest.mark.parametrize("chart", [strip_plot, lambda groups, name: agreement_plot({}, name, name)])
def test_a_chart_of_nothing_is_still_a_chart(chart: Callable[[Mapping[str, Sequence[float]], str], str]) -> None:
    assert dots(chart({}, "nothing")) == 0


def test_the_picture_shows_the_truth_in_white_and_the_found_in_its_colour_where_they_differ() -> None:
    on = factories.grid("oblique", (12, 40, 30))
    found, truth = np.zeros(on.shape, np.bool_), np.zeros(on.shape, np.bool_)
    truth[3:9, 10:25, 8:20] = True
    found[3:9, 10:25, 8:20] = True
    found[5, 10:30, 8:26] = True
    volume = factories.volume(on)
    structures = [Compared(factories.LABELS[0], found, truth)]
    index = on.to_index(where_they_differ(volume, structures)[None])[0]
    assert index[0] == pytest.approx(5)
    picture = np.asarray(comparison(volume, structures, Window(-200, 200)))
    for colour in (TRUTH, factories.LABELS[0].color_rgb):
        assert (picture == np.array(colour)).all(axis=2).sum() > 50


def test_where_nothing_differs_the_picture_goes_through_the_truth() -> None:
    on = factories.grid(shape=(12, 40, 30))
    truth = np.zeros(on.shape, np.bool_)
    truth[8, 30, 5] = True
    at_mm = where_they_differ(factories.volume(on), [Compared(factories.LABELS[0], truth, truth)])
    assert on.to_index(at_mm[None])[0] == pytest.approx([8, 30, 5])
    nothing = np.zeros(on.shape, np.bool_)
    middle = where_they_differ(factories.volume(on), [Compared(factories.LABELS[0], nothing, nothing)])
    assert on.to_index(middle[None])[0] == pytest.approx([5.5, 19.5, 14.5])


def test_a_small_structure_that_was_missed_is_looked_at_before_the_rim_of_a_large_one() -> None:
    on = factories.grid(shape=(12, 40, 30))
    organ, tumour = np.zeros(on.shape, np.bool_), np.zeros(on.shape, np.bool_)
    organ[1:5, 5:35, 5:25] = True
    tumour[9, 20, 10] = True
    liver = Compared(factories.LABELS[0], np.roll(organ, 1, axis=1), organ)
    missed_tumour = Compared(factories.LABELS[1], np.zeros_like(tumour), tumour)
    at_mm = where_they_differ(factories.volume(on), [liver, missed_tumour])
    assert on.to_index(at_mm[None])[0] == pytest.approx([9, 20, 10])


def test_the_picture_shows_the_true_box_in_white_and_the_found_one_in_its_colour() -> None:
    on = factories.grid("axial", (12, 40, 30))
    middle = on.to_world((np.array([on.shape]) - 1) / 2)[0]
    truth = Box(factories.LABELS[0], tuple(middle - 6.0), tuple(middle + 6.0))
    found = Box(factories.LABELS[0], tuple(middle - 4.0), tuple(middle + 8.0))
    picture = np.asarray(box_comparison(factories.volume(on), [found], [truth], Window(-200, 200)))
    for colour in (TRUTH, factories.LABELS[0].color_rgb):
        assert (picture == np.array(colour)).all(axis=2).sum() > 50
