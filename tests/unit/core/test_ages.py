"""How old a patient was."""

import pytest

from service.core.ages import age_on, age_years


@pytest.mark.parametrize(
    ("age", "years"),
    [("004Y", 4.0), ("058Y", 58.0), ("018M", 1.0), ("071M", 5.0), ("006M", 0.5), ("026W", 182 / 365.25), ("4y", 4.0)],
)
def test_an_age_string_is_completed_years_and_a_part_of_a_year_before_the_first_birthday(
    age: str, years: float
) -> None:
    assert age_years(age) == pytest.approx(years)


@pytest.mark.parametrize("age", ["", "81", "Y", "-4Y", "old", "4.5Y"])
def test_a_text_without_number_and_unit_is_no_age(age: str) -> None:
    assert age_years(age) is None


@pytest.mark.parametrize(
    ("birth", "day", "age"),
    [
        pytest.param("20200301", "20260228", "005Y", id="the day before a birthday"),
        pytest.param("20200301", "20260301", "006Y", id="a birthday"),
        pytest.param("20250215", "20260301", "012M", id="months of a small child"),
        pytest.param("20260315", "20260301", "", id="not yet born"),
        pytest.param("2020", "20260301", "", id="a year alone"),
        pytest.param("20201340", "20260301", "", id="no date"),
        pytest.param("20200301", "", "", id="no day of the study"),
    ],
)
def test_an_age_is_counted_between_two_days(birth: str, day: str, age: str) -> None:
    assert age_on(birth, day) == age
