"""How far a figure would move with other patients."""

import numpy as np
import pytest

from models.training.intervals import Interval, Rows, bootstrap

VALUES = np.random.default_rng(5).normal(10.0, 2.0, 60)


def mean(rows: Rows) -> float:
    return float(VALUES[rows].mean())


def alone(count: int) -> list[str]:
    return [f"patient {number}" for number in range(count)]


def test_the_interval_of_a_mean_is_about_two_standard_errors_to_each_side() -> None:
    found = bootstrap(mean, alone(60))
    error = VALUES.std(ddof=1) / np.sqrt(60)
    assert found.value == pytest.approx(VALUES.mean())
    assert found.low == pytest.approx(VALUES.mean() - 1.96 * error, abs=0.15 * error)
    assert found.high == pytest.approx(VALUES.mean() + 1.96 * error, abs=0.15 * error)


def test_the_same_seed_gives_the_same_interval_and_another_another() -> None:
    assert bootstrap(mean, alone(60)) == bootstrap(mean, alone(60))
    assert bootstrap(mean, alone(60)) != bootstrap(mean, alone(60), seed=2)


def test_copies_of_a_case_do_not_make_a_figure_surer() -> None:
    few = bootstrap(lambda rows: float(VALUES[rows % 10].mean()), alone(10))
    copied = bootstrap(lambda rows: float(VALUES[rows % 10].mean()), alone(10) * 20)
    taken_for_patients = bootstrap(lambda rows: float(VALUES[rows % 10].mean()), alone(200))
    assert copied.low == pytest.approx(few.low)
    assert copied.high == pytest.approx(few.high)
    assert few.low is not None
    assert taken_for_patients.low is not None
    assert taken_for_patients.low > few.low


def test_all_rows_of_a_patient_are_drawn_together() -> None:
    patients = ["a", "b", "a", "c", "b"]
    seen: list[tuple[int, ...]] = []

    def note(rows: Rows) -> float:
        seen.append(tuple(rows))
        return 0.0

    bootstrap(note, patients, draws=50)
    for rows in seen:
        assert rows.count(0) == rows.count(2)
        assert rows.count(1) == rows.count(4)
    assert {len(rows) for rows in seen} > {5}


def test_of_one_patient_alone_there_is_no_interval() -> None:
    assert bootstrap(mean, ["one"] * 60) == Interval(float(VALUES.mean()))


def test_a_figure_that_is_not_defined_has_no_interval() -> None:
    assert bootstrap(lambda _: None, alone(5)) == Interval(None, None, None)


def test_draws_in_which_it_is_not_defined_are_left_out_unless_they_are_most() -> None:
    def needs_the_first(rows: Rows) -> float | None:
        return 1.0 if 0 in rows else None

    def needs_the_first_thrice(rows: Rows) -> float | None:
        return 1.0 if np.count_nonzero(rows == 0) > 2 or len(set(rows)) == 5 else None

    assert bootstrap(needs_the_first, alone(5)) == Interval(1.0, 1.0, 1.0)  # in 2 of 3 draws
    assert bootstrap(needs_the_first_thrice, alone(5)) == Interval(1.0)
