"""The models that come with the node: do they find what they say they find."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.inference import load
from models.intake import objections, value_objections
from models.phantom import abdomen
from models.registry import Package, find, segmentation
from models.training.cases import Case, read_case
from models.training.evaluate import score
from models.training.evaluation import BEGIN, CARD, card_lines, read_evaluation
from models.training.figures import identity
from models.training.recipe import read_recipe
from models.training.segmented import SegmentationEvaluation
from models.training.split import split_for

LIVER, SPLEEN = 0, 2


@pytest.fixture(scope="module", params=["hippocampus", "phantom_abdomen"])
def package(request: pytest.FixtureRequest) -> Package:
    return find()[str(request.param)]


def evaluation(package: Package) -> SegmentationEvaluation:
    written = read_evaluation(package.folder)
    assert isinstance(written, SegmentationEvaluation)
    return written


def test_the_evaluation_is_of_these_weights_and_of_all_held_out_cases(package: Package) -> None:
    written = evaluation(package)
    assert written.package == identity(package.manifest)
    held_out = split_for(package.folder, read_recipe(package.folder), None).held_out
    assert tuple(case.name for case in written.cases) == held_out


def test_the_cards_numbers_are_those_of_the_evaluation(package: Package) -> None:
    card = (package.folder / CARD).read_text(encoding="utf-8").partition(BEGIN)[2]
    assert "\n".join(card_lines(evaluation(package))) in card


def test_no_held_out_case_trains_or_chooses(package: Package) -> None:
    split = split_for(package.folder, read_recipe(package.folder), None)
    assert not set(split.held_out) & set(split.training + split.validation)


def test_hippocampi_of_patients_it_has_never_seen_are_found(real_images: Callable[[str], Path]) -> None:
    package = find()["hippocampus"]
    source = real_images("hippocampus_msd")
    predictor = load(package, "cpu")
    for name in split_for(package.folder, read_recipe(package.folder), None).held_out[:4]:
        case = read_case(source, name)
        assert objections(segmentation(package).intake, "MR", case.volume.grid) == ()
        found = score(lambda case: predictor(case.volume), case, segmentation(package).labels)
        for label, result in zip(segmentation(package).labels, found.labels, strict=True):
            assert result.dice > 0.75, (name, label.name)
            assert label.plausible_ml.holds(result.found_ml)
        assert np.mean([result.dice for result in found.labels]) > 0.8


@pytest.mark.parametrize(
    ("shape", "spacing_mm"),
    [
        pytest.param((72, 128, 128), (3.0, 3.0, 3.0), id="3 mm, as it was trained"),
        pytest.param((54, 128, 128), (4.0, 2.9, 2.9), id="thicker slices, smaller pixels"),
    ],
)
def test_liver_and_spleen_of_an_unseen_phantom_are_found(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]
) -> None:
    package = find()["phantom_abdomen"]
    phantom = abdomen(31_000, shape, spacing_mm)
    assert objections(segmentation(package).intake, "CT", phantom.volume.grid) == ()
    assert value_objections(segmentation(package).intake, phantom.volume) == ()
    case = Case("unseen", phantom.volume, phantom.label_map)
    predictor = load(package, "cpu")
    found = score(lambda case: predictor(case.volume), case, segmentation(package).labels)
    assert found.labels[LIVER].dice > 0.9
    assert found.labels[SPLEEN].dice > 0.9
