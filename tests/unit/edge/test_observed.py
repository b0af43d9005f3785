"""Observations in the ledger, and whose stacks they have routed again."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from service.core.jobs import Job, State
from service.core.observations import Observation, Quantity, Smoking
from service.edge.ledger import Ledger, SeriesRow, StackRow, opened
from service.edge.tables import jobs

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DAY = date(2026, 2, 1)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with opened(f"sqlite:///{tmp_path / 'ledger.sqlite3'}") as ledger:
        for number, patient in enumerate(("ab", "cd", "")):
            uid = f"1.2.3.{number}"
            row = SeriesRow(uid, f"1.2.{number}", "CT", "chest", 10, "set", NOW, "evidence", patient)
            ledger.close_series(row, [StackRow(uid, uid, 10, "", "axial", "")], NOW)
            ledger.decide(uid, "decided", [])
        yield ledger


FVC_OF = [(("ab", ""), "1.2.3.0"), (("", "1.2.2"), "1.2.3.2")]


def fvc(patient: str = "ab", study: str = "", ml: float = 2500.0) -> Observation:
    return Observation(patient, study, Quantity.FVC, ml, DAY, "lab")


def test_what_is_observed_is_known_of_its_patient_and_of_nobody_else(ledger: Ledger) -> None:
    smoking = Observation("ab", "", Quantity.SMOKING, Smoking.NEVER, DAY, "lab")
    assert ledger.observe([fvc(), smoking], NOW) == 2
    assert set(ledger.observations_for("ab", "1.9")) == {fvc(), smoking}
    assert ledger.observations_for("cd", "1.9") == ()


def test_a_study_without_a_patient_is_known_by_itself_alone(ledger: Ledger) -> None:
    ledger.observe([fvc("", "1.2.2")], NOW)
    assert ledger.observations_for("", "1.2.2") == (fvc("", "1.2.2"),)
    assert ledger.observations_for("", "1.2.9") == ()


@pytest.mark.parametrize(("whose", "again"), FVC_OF, ids=["patient", "study"])
def test_a_new_value_has_the_stacks_of_its_patient_routed_again(
    ledger: Ledger, whose: tuple[str, str], again: str
) -> None:
    ledger.observe([fvc(*whose)], NOW)
    assert set(ledger.undecided()) == {again}


def test_what_is_known_already_changes_nothing(ledger: Ledger) -> None:
    ledger.observe([fvc()], NOW)
    ledger.decide("1.2.3.0", "decided", [])
    assert ledger.observe([fvc()], NOW) == 0
    assert ledger.undecided() == {}


def test_a_corrected_value_takes_the_place_of_the_first(ledger: Ledger) -> None:
    ledger.observe([fvc()], NOW)
    assert ledger.observe([fvc(ml=2400.0)], NOW + timedelta(days=1)) == 1
    assert [each.value for each in ledger.observations_for("ab", "")] == [2400.0]


def told(*observed: Observation, job_id: str) -> Job:
    return Job(
        job_id, "1.2.3.0", "1.2.3.0", "1.2.0", "fvc", "1.0.0", "r", ("pacs",), State.QUEUED, 0, NOW, observed=observed
    )


def test_a_job_keeps_what_it_was_told(ledger: Ledger) -> None:
    smoking = Observation("ab", "", Quantity.SMOKING, Smoking.NEVER, DAY, "lab")
    ledger.decide("1.2.3.0", "runs", [told(fvc(), smoking, job_id="first")])
    assert ledger.job("first").observed == (fvc(), smoking)
    assert told(job_id="nothing").observed == ()


def test_a_job_that_was_told_something_else_and_was_not_begun_gives_way_to_the_new_one(ledger: Ledger) -> None:
    ledger.decide("1.2.3.0", "runs", [told(fvc(), job_id="first")])
    ledger.decide("1.2.3.0", "runs", [told(fvc(ml=2400.0), job_id="second")])
    assert {row["job_id"]: row["state"] for row in ledger.rows(jobs)} == {"first": "DECLINED", "second": "QUEUED"}
