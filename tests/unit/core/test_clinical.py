"""What a model that predicts is told, and why it must not answer."""

from dataclasses import replace
from datetime import date

import pytest

from models.inputs import Known, Values
from models.registry import find, regression
from service.core.clinical import CURE, PatientFacts, known_of, objections, told
from service.core.observations import Observation, Quantity, Smoking

MANIFEST = regression(find()["fvc_decline"])
DAY = date(2026, 3, 1)
FACTS = PatientFacts(DAY, 68.0, "male")
FVC = Observation("ab", "", Quantity.FVC, 2500.0, date(2026, 2, 1), "lab")
SMOKING = Observation("ab", "", Quantity.SMOKING, Smoking.FORMER, date(2020, 1, 1), "lab")


def test_the_model_is_told_the_values_nearest_to_the_study_and_what_the_header_says() -> None:
    older = replace(FVC, measured_on=date(2025, 1, 1), value=3000.0)
    observed = told(MANIFEST, [older, FVC, SMOKING], FACTS)
    assert observed == (FVC, SMOKING)
    assert list(objections(MANIFEST, observed, FACTS)) == []
    values: Values = {"fvc": 2500.0, "smoking": "ex-smoker", "age": 68.0, "sex": "male"}
    assert known_of(MANIFEST, observed, FACTS) == Known(values, date(2026, 2, 1))


@pytest.mark.parametrize(
    ("observed", "facts", "sentence"),
    [
        pytest.param((SMOKING,), FACTS, f"no FVC is known for this patient: {CURE}", id="no baseline"),
        pytest.param((FVC,), replace(FACTS, age_years=None), "no age is known for this patient", id="no age"),
        pytest.param((FVC,), replace(FACTS, sex=""), "no sex is known for this patient", id="no sex"),
        pytest.param(
            (FVC,),
            replace(FACTS, age_years=30.0),
            "the age is 30 a; the model was validated on 49 to 88 a",
            id="an age it has not seen",
        ),
        pytest.param(
            (replace(FVC, measured_on=date(2025, 3, 1)),),
            FACTS,
            "the FVC nearest to the image is 365 days from it; the model answers within 180",
            id="an old baseline",
        ),
        pytest.param(
            (),
            replace(FACTS, day=None),
            "the study has no date, and no value can be said to be of its time",
            id="no date",
        ),
    ],
)
def test_the_reason_is_named(observed: tuple[Observation, ...], facts: PatientFacts, sentence: str) -> None:
    assert list(objections(MANIFEST, observed, facts)) == [sentence]


def test_without_a_baseline_there_is_nothing_to_tell() -> None:
    with pytest.raises(ValueError, match="no FVC"):
        known_of(MANIFEST, (SMOKING,), FACTS)
