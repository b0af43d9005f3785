"""What is known of a patient, as a network sees it and as people read it."""

import numpy as np
import pytest

from models.inputs import Values, encode, in_words, objections, places, width
from models.registry import find, regression

INPUTS = regression(find()["fvc_decline"]).inputs
KNOWN: Values = {"fvc": 3500.0, "age": 77.0, "sex": "female", "smoking": "ex-smoker"}


def without(name: str) -> Values:
    return {each: value for each, value in KNOWN.items() if each != name}


def test_numbers_are_scaled_and_words_have_a_place_each() -> None:
    assert width(INPUTS) == 9
    assert encode(INPUTS, KNOWN) == pytest.approx([1.0, 1.0, 0, 1, 0, 1, 0, 0, 0])


def test_a_word_that_is_not_known_is_nothing_and_a_required_value_that_is_not_known_is_refused() -> None:
    assert not encode(INPUTS, without("smoking"))[places(INPUTS)["smoking"]].any()
    with pytest.raises(ValueError, match="age"):
        encode(INPUTS, without("age"))


def test_what_the_network_has_not_learned_is_withheld_from_it() -> None:
    measured = {**KNOWN, "lung_volume": 5000.0}
    np.testing.assert_array_equal(encode(INPUTS, measured), encode(INPUTS, KNOWN))


def test_a_number_that_may_be_missing_says_whether_it_is_there() -> None:
    learned = tuple(each.model_copy(update={"learned": True}) for each in INPUTS)
    place = places(learned)["lung_volume"]
    assert encode(learned, {**KNOWN, "lung_volume": 5500.0})[place].tolist() == [1.0, 1.0]
    assert encode(learned, KNOWN)[place].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        pytest.param(without("fvc"), "no FVC is known for this patient", id="no baseline"),
        pytest.param({**KNOWN, "fvc": 7.0}, "the FVC is 7 ml; the model was validated on 1000 to 6500 ml", id="low"),
        pytest.param({**KNOWN, "age": 12.0}, "the age is 12 a; the model was validated on 49 to 88 a", id="a child"),
        pytest.param(
            {**KNOWN, "sex": "other"}, "the sex is other; the model was validated on male or female", id="sex"
        ),
    ],
)
def test_every_objection_names_the_value_and_what_was_expected(values: Values, sentence: str) -> None:
    assert list(objections(INPUTS, values)) == [sentence]


def test_nothing_is_objected_to_where_smoking_and_lung_volume_are_unknown() -> None:
    assert list(objections(INPUTS, without("smoking"))) == []


def test_what_the_network_was_told_is_said_in_words() -> None:
    assert in_words(INPUTS, without("smoking")) == "FVC 3500 ml, age 77 a, sex female, smoking status unknown"
