"""The models that come with the node: do they find what they say they find."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.inference import load, load_for_radiographs
from models.intake import objections, value_objections
from models.phantom import abdomen
from models.preprocessing import Turn, turned_grid
from models.registry import Package, find, segmentation
from models.training.cases import Case, names_in, read_case
from models.training.classified import ClassificationEvaluation
from models.training.evaluation import BEGIN, CARD, card_lines, read_evaluation
from models.training.figures import Metric, identity
from models.training.image_cases import cases_in
from models.training.image_cases import split_for as split_of_images
from models.training.judging_examiner import judge
from models.training.marking_examiner import score
from models.training.recipe import Folder, read_classification_recipe, read_recipe
from models.training.segmented import SegmentationEvaluation
from models.training.split import split_for
from models.volume import Grid

LIVER, SPLEEN = 0, 2


@pytest.fixture(scope="module", params=["hippocampus", "left_atrium", "phantom_abdomen"])
def package(request: pytest.FixtureRequest) -> Package:
    return find()[str(request.param)]


def evaluation(package: Package) -> SegmentationEvaluation:
    written = read_evaluation(package.folder)
    assert isinstance(written, SegmentationEvaluation)
    return written


def test_the_evaluation_is_of_these_weights_and_of_all_held_out_cases(package: Package) -> None:
    written = evaluation(package)
    assert written.package == identity(package.manifest)
    split = split_for(package.folder, read_recipe(package.folder), None)
    assert tuple(case.name for case in written.cases) == split.evaluated
    assert (len(written.folds_sha256), bool(written.shipped)) == (len(split.folds), bool(split.folds))


def test_the_cards_numbers_are_those_of_the_evaluation(package: Package) -> None:
    card = (package.folder / CARD).read_text(encoding="utf-8").partition(BEGIN)[2]
    assert "\n".join(card_lines(evaluation(package))) in card


def test_no_held_out_case_trains_or_chooses(package: Package) -> None:
    split = split_for(package.folder, read_recipe(package.folder), None)
    for groups in (split, *split.folds):
        assert not set(groups.held_out) & set(groups.training + groups.validation)


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


def test_left_atria_are_found_as_the_card_says_of_the_weights_that_are_shipped(
    real_images: Callable[[str], Path],
) -> None:
    package = find()["left_atrium"]
    source, axes = real_images("left_atrium_msd_2.5mm"), read_recipe(package.folder).cases
    assert isinstance(axes, Folder)
    manifest, predictor = segmentation(package), load(package, "cpu")
    for written in evaluation(package).shipped:
        case = read_case(source, written.name, axes.axes)
        found = score(lambda case: predictor(case.volume), case, manifest.labels).labels[0]
        assert found.dice == pytest.approx(written.labels[0].dice, abs=0.005), written.name
        assert manifest.labels[0].plausible_ml.holds(found.found_ml)


def test_every_left_atrium_that_was_validated_on_passes_the_intake_and_what_is_not_one_of_them_does_not(
    real_images: Callable[[str], Path],
) -> None:
    intake = segmentation(find()["left_atrium"]).intake
    source = real_images("left_atrium_msd_2.5mm")
    grids = [read_case(source, name, "ASR").volume.grid for name in names_in(source)]
    sagittal = [turned_grid(grid, Turn((2, 1, 0), (1, 2))) for grid in grids]
    assert [objections(intake, "MR", grid) for grid in sagittal] == [()] * 14
    axial, crop = turned_grid(grids[0], Turn((1, 2, 0), (0, 1))), Grid((40, 40, 40), sagittal[0].affine)
    assert any("slices" in each for each in objections(intake, "MR", axial))
    assert any("measures" in each for each in objections(intake, "MR", crop))
    assert objections(intake, "CT", sagittal[0]) != ()


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


@pytest.fixture(scope="module")
def pneumonia() -> Package:
    return find()["pneumonia"]


def judgement(package: Package) -> ClassificationEvaluation:
    written = read_evaluation(package.folder)
    assert isinstance(written, ClassificationEvaluation)
    return written


def test_a_classifiers_card_says_what_was_evaluated_of_these_weights_on_all_held_out_images(pneumonia: Package) -> None:
    written = judgement(pneumonia)
    split = split_of_images(pneumonia.folder, read_classification_recipe(pneumonia.folder).cases, None)
    assert written.package == identity(pneumonia.manifest)
    assert tuple(case.name for case in written.cases) == split.held_out
    card = (pneumonia.folder / CARD).read_text(encoding="utf-8").partition(BEGIN)[2]
    assert "\n".join(card_lines(written)) in card


def test_no_child_is_in_two_groups_of_the_split(pneumonia: Package, real_images: Callable[[str], Path]) -> None:
    cases = read_classification_recipe(pneumonia.folder).cases
    patient_of = {name: case.patient for name, case in cases_in(real_images("cxr_kermany_train224"), cases).items()}
    split = split_of_images(pneumonia.folder, cases, None)
    groups = [{patient_of[name] for name in group} for group in (split.held_out, split.validation, split.training)]
    assert sum(map(len, groups)) == len(set().union(*groups))
    assert len(split.held_out + split.validation + split.training) == len(patient_of) == 2000


def test_chests_of_children_it_has_never_seen_are_judged_as_the_card_says(
    pneumonia: Package, real_images: Callable[[str], Path]
) -> None:
    source = real_images("cxr_kermany_train224")
    predictor = load_for_radiographs(pneumonia, "cpu")
    cases = cases_in(source, read_classification_recipe(pneumonia.folder).cases)
    for written in judgement(pneumonia).cases[::37]:
        said = judge(predictor, cases[written.name], source).classes[0].probability
        assert said == pytest.approx(written.classes[0].probability, abs=0.01)


def test_the_pneumonia_model_rests_on_the_middle_of_the_image_and_not_on_its_edges(pneumonia: Package) -> None:
    area = {figure.metric: figure.value for figure in judgement(pneumonia).figures}
    without_edges, without_middle = area[Metric.AREA_WITHOUT_EDGES], area[Metric.AREA_WITHOUT_MIDDLE]
    assert without_edges is not None
    assert without_edges > 0.95
    assert without_middle is not None
    assert without_middle < 0.75
