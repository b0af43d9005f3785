"""What a model that judges radiographs may answer for."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from models.intake import RadiographFacts
from models.manifest import Classification
from models.registry import find
from service.core.entities import FrameReference, StackRecord
from service.core.suitability import Allowance, remarks, why_not
from tests import factories
from tests.unit.models.packages import classifier, manifest

CHILD = StackRecord(
    stack_id="s",
    series_instance_uid="1.2",
    study_instance_uid="1.3",
    frames=(FrameReference("1.4"),),
    grid=None,
    radiograph=RadiographFacts(view="AP", body_part="CHEST", age_years=4.0, rows=224, columns=224),
    places=(),
    split_by="",
    modality="DX",
    phantom=False,
    lossy=False,
    received_at=datetime(2026, 1, 1, tzinfo=UTC),
)
AGES = {"modalities": ["DX"], "age_years": {"maximum": 5}}


def aged(age_years: float | None) -> StackRecord:
    assert CHILD.radiograph is not None
    return replace(CHILD, radiograph=replace(CHILD.radiograph, age_years=age_years))


def test_the_pneumonia_model_answers_for_a_child_and_for_no_adult() -> None:
    pneumonia = find()["pneumonia"].manifest
    assert isinstance(pneumonia, Classification)
    assert why_not(pneumonia, CHILD) == ()
    assert why_not(pneumonia, aged(58)) == ("the patient's age is 58 years; the model was validated on 1 to 5 years",)


def test_a_volume_is_not_for_a_model_of_radiographs_nor_the_other_way_round() -> None:
    volume = replace(CHILD, grid=factories.grid(), radiograph=None, modality="CT")
    assert why_not(classifier(), volume) == ("tiny_square is for radiographs, and this is a volume",)
    real = manifest(evidence="real")
    assert why_not(real, CHILD) == ("tiny is for volumes, and this is a radiograph",)


@pytest.mark.parametrize("age_years", [58.0, None], ids=["adult", "not known"])
def test_a_site_may_set_the_age_aside_and_is_reminded_of_it(age_years: float | None) -> None:
    said = classifier(intake=AGES)
    (objection,) = why_not(said, aged(age_years))
    assert why_not(said, aged(age_years), Allowance(any_age=True)) == ()
    assert remarks(said, aged(age_years)) == (f"Set aside by this site: {objection}.",)


def test_a_site_that_sets_the_age_aside_sets_nothing_else_aside() -> None:
    said = classifier(intake=AGES | {"views": ["PA"]})
    assert len(why_not(said, aged(58), Allowance(any_age=True))) == 1


def test_an_image_inside_of_the_intake_needs_no_remark() -> None:
    assert remarks(classifier(intake=AGES), CHILD) == ()
