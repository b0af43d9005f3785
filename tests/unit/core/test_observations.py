"""What is known of a patient, and what cannot be."""

from dataclasses import replace
from datetime import date

import pytest

from service.core.errors import Broken
from service.core.observations import (
    Observation,
    Quantity,
    Smoking,
    day_named,
    millilitres_named,
    nearest,
    smoking_named,
)

DAY = date(2026, 3, 1)


def fvc(day: date, ml: float = 2500.0, source: str = "lab") -> Observation:
    return Observation("ab", "", Quantity.FVC, ml, day, source)


def test_the_value_nearest_to_the_day_counts_and_of_equally_near_ones_the_earlier() -> None:
    known = [fvc(date(2026, 3, 11)), fvc(date(2026, 2, 19)), fvc(date(2025, 1, 1))]
    assert nearest(known, Quantity.FVC, DAY) == known[1]
    assert nearest(known[:1], Quantity.FVC, DAY) == known[0]


def test_of_two_values_of_one_day_the_last_counts() -> None:
    known = [fvc(DAY, 2500.0), fvc(DAY, 2400.0, "command")]
    assert nearest(known, Quantity.FVC, DAY) == known[1]


def test_nothing_is_known_of_what_was_not_observed() -> None:
    assert nearest([fvc(DAY)], Quantity.SMOKING, DAY) is None


def test_a_corrected_value_has_the_name_of_the_one_that_it_corrects() -> None:
    first = fvc(DAY)
    assert replace(first, value=2600.0).observation_id == first.observation_id
    assert fvc(date(2026, 3, 2)).observation_id != first.observation_id


@pytest.mark.parametrize("ml", [0.0, -1.0, 2_500_000.0, float("nan")])
def test_a_volume_that_no_lung_has_is_refused(ml: float) -> None:
    with pytest.raises(Broken, match="is it in ml"):
        fvc(DAY, ml)


def test_what_belongs_to_nobody_is_refused() -> None:
    with pytest.raises(Broken, match="neither"):
        Observation("", "", Quantity.FVC, 2500.0, DAY, "lab")


def test_a_value_is_one_of_its_quantity() -> None:
    with pytest.raises(Broken, match="no value of smoking"):
        Observation("ab", "", Quantity.SMOKING, 1.0, DAY, "lab")


def test_texts_are_read_or_refused_with_what_would_be_right() -> None:
    assert (smoking_named(" Ex-Smoker "), day_named("2026-03-01")) == (Smoking.FORMER, DAY)
    with pytest.raises(Broken, match="never smoked"):
        smoking_named("sometimes")
    with pytest.raises(Broken, match="2026-03-01"):
        day_named("01.03.2026")
    with pytest.raises(Broken, match="millilitres"):
        millilitres_named("2,5")
