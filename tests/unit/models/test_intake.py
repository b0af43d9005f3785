"""Why a model must not run, in words."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.intake import RadiographFacts, age_objections, objections, radiograph_objections, value_objections
from models.registry import find, segmentation
from models.sections import Intake, RadiographIntake
from models.terms import Span
from models.volume import Grid, Volume
from tests import factories

CROP = Intake(
    modalities=("MR", "PT"),
    spacing_mm=Span(minimum=0.7, maximum=1.5),
    slices=Span(minimum=20),
    extent_mm=Span(minimum=20, maximum=80),
    values=Span(minimum=-1024, maximum=4096),
)


def crop(shape: tuple[int, int, int] = (36, 50, 36), spacing_mm: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Grid:
    return factories.grid("oblique", shape=shape, spacing_mm=spacing_mm)


def test_what_the_model_was_validated_on_meets_no_objection() -> None:
    assert objections(CROP, "MR", crop()) == ()


def test_uneven_spacing_is_declined_unless_the_manifest_allows_it_and_then_the_largest_gap_counts() -> None:
    places = (0.0, 1.0, *np.linspace(2.36, 35.0, 25))
    (objection,) = objections(CROP, "MR", crop(), places=places)
    assert objection.startswith("the distance between slices varies from 1 to 1.36 mm")
    tolerant = CROP.model_copy(update={"irregular_spacing": True})
    assert objections(tolerant, "MR", crop(), places=places) == ()
    (objection,) = objections(tolerant, "MR", crop(), places=(*np.arange(0.0, 34.0), 35.0))
    assert objection == "the distance between slices is 2 mm; the model was validated on 0.7 to 1.5 mm"


@pytest.mark.parametrize(
    ("modality", "grid", "sentence"),
    [
        pytest.param("CT", crop(), "the modality is CT; the model was validated on MR or PT", id="modality"),
        pytest.param("", crop(), "the modality is not stated; the model was validated on MR or PT", id="no modality"),
        pytest.param(
            "MR",
            crop(shape=(19, 50, 36), spacing_mm=(1.5, 1, 1)),
            "there are 19 slices; the model was validated on at least 20",
            id="too few slices",
        ),
        pytest.param(
            "MR",
            crop(shape=(20, 50, 36), spacing_mm=(3, 1, 1)),
            "the distance between slices is 3 mm; the model was validated on 0.7 to 1.5 mm",
            id="thick slices",
        ),
        pytest.param(
            "MR",
            crop(shape=(36, 256, 36)),
            "the image measures 256 mm across the rows; the model was validated on 20 to 80 mm",
            id="a whole head",
        ),
    ],
)
def test_an_objection_names_what_was_found_and_what_was_expected(modality: str, grid: Grid, sentence: str) -> None:
    assert objections(CROP, modality, grid) == (sentence,)


@pytest.mark.parametrize(
    ("stated", "objecting"),
    [((), []), (("HEART",), []), (("heart", "Chest"), []), (("KNEE",), ["KNEE"]), (("CHEST", "KNEE"), ["KNEE"])],
    ids=["none", "one of them", "all of them", "another", "one and another"],
)
def test_a_body_part_that_is_stated_is_one_that_the_model_was_validated_on(
    stated: tuple[str, ...], objecting: list[str]
) -> None:
    hearts = CROP.model_copy(update={"body_parts": ("HEART", "CHEST")})
    expected = tuple(f"the body part is {each}; the model was validated on HEART or CHEST" for each in objecting)
    assert objections(hearts, "MR", crop(), body_parts=stated) == expected
    assert objections(CROP, "MR", crop(), body_parts=stated) == ()


def test_lossy_images_are_declined_by_a_model_that_was_not_validated_on_them() -> None:
    strict = CROP.model_copy(update={"lossy": False})
    assert objections(CROP, "MR", crop(), lossy=True) == ()
    assert objections(strict, "MR", crop()) == ()
    assert "lossy compression" in objections(strict, "MR", crop(), lossy=True)[0]


def test_every_reason_is_given_at_once() -> None:
    assert len(objections(CROP, "CT", crop(shape=(10, 300, 300)))) == 5


def test_a_limit_is_not_missed_by_the_rounding_of_a_header() -> None:
    assert objections(CROP, "MR", crop(spacing_mm=(1.5000001, 0.6999999, 1.0))) == ()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param(lambda v: v * 0 + 7, "the image is empty: every value is 7", id="empty"),
        pytest.param(
            lambda v: v * 1e6 + 20000, "the model was validated on -1024 to 4096", id="values outside of the range"
        ),
        pytest.param(lambda v: v * np.nan, "the image holds values that are not numbers", id="not a number"),
        pytest.param(lambda v: np.where(v > v.mean(), np.inf, v), "that are not numbers", id="infinite"),
    ],
)
def test_values_the_model_was_not_made_for_are_objected_to(
    change: Callable[[np.ndarray], np.ndarray], sentence: str
) -> None:
    image = factories.volume(crop())
    changed = Volume(image.grid, change(image.values).astype(np.float32))
    assert sentence in value_objections(CROP, changed)[0]


def test_ordinary_values_meet_no_objection() -> None:
    assert value_objections(CROP, factories.volume(crop())) == ()


def test_the_hippocampus_model_declines_a_whole_head() -> None:
    head = crop(shape=(176, 256, 256))
    assert any("across" in sentence for sentence in objections(segmentation(find()["hippocampus"]).intake, "MR", head))


CHEST = RadiographIntake(
    modalities=("DX", "CR"),
    views=("AP", "PA"),
    body_parts=("CHEST",),
    age_years=Span(minimum=1, maximum=5),
    pixels=Span(minimum=200, maximum=4000),
    lossy=False,
)
CHILD = RadiographFacts(view="AP", body_part="CHEST", age_years=4.0, rows=1000, columns=800)


def test_a_radiograph_that_the_model_was_validated_on_meets_no_objection() -> None:
    assert radiograph_objections(CHEST, "DX", CHILD) == ()
    assert radiograph_objections(CHEST, "CR", replace(CHILD, view="pa", body_part="Chest")) == ()
    assert age_objections(CHEST, CHILD) == ()


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"view": "LL"}, "the view is LL; the model was validated on AP or PA"),
        ({"view": ""}, "the view is not stated; the model was validated on AP or PA"),
        ({"body_part": "KNEE"}, "the body part is KNEE; the model was validated on CHEST"),
        ({"columns": 199}, "the image has 1000 x 199 pixels; the model was validated on 200 to 4000 along both"),
    ],
    ids=["view", "no view", "body part", "pixels"],
)
def test_a_fact_of_a_radiograph_outside_of_the_intake_is_named(facts: dict[str, Any], sentence: str) -> None:
    assert radiograph_objections(CHEST, "DX", replace(CHILD, **facts)) == (sentence,)


def test_the_modality_and_compression_of_a_radiograph_are_judged_as_those_of_a_volume() -> None:
    objections = radiograph_objections(CHEST, "MG", CHILD, lossy=True)
    assert [sentence.partition(";")[0] for sentence in objections] == [
        "the modality is MG",
        "the image went through lossy compression",
    ]


@pytest.mark.parametrize(
    ("age_years", "sentence"),
    [
        (58.0, "the patient's age is 58 years; the model was validated on 1 to 5 years"),
        (0.25, "the patient's age is 0.25 years; the model was validated on 1 to 5 years"),
        (None, "the patient's age is not known; the model was validated on 1 to 5 years"),
    ],
    ids=["adult", "infant", "not known"],
)
def test_an_age_outside_of_the_intake_is_named(age_years: float | None, sentence: str) -> None:
    assert age_objections(CHEST, replace(CHILD, age_years=age_years)) == (sentence,)


def test_an_unknown_age_is_inside_of_an_intake_that_is_open() -> None:
    assert age_objections(CHEST.model_copy(update={"age_years": Span()}), replace(CHILD, age_years=None)) == ()
