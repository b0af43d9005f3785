"""With which earlier result a study is compared, and when with none: whose it is must not be in doubt."""

from dataclasses import replace
from datetime import date

import pytest

from service.core.priors import IDENTITY_DIFFERS, UNDATED, MeasuredVolume, Prior, Result, Subject, choose

NOW = Subject("patient", "identity", date(2026, 3, 1), "1.2.3", "1.2.3.4", "portal venous")


def result(
    study: str,
    day: date | None,
    patient: str = "patient",
    identity: str = "identity",
    description: str = "portal venous",
) -> Result:
    volumes = (MeasuredVolume("SCT:10200004", 0, 1500.0, "cm3"),)
    subject = Subject(patient, identity, day, study, f"{study}.1", description)
    return Result(f"job of {study}", "stack", subject, "liver", "1.0.0", volumes)


OLDER, OLD = result("1.1", date(2024, 3, 1)), result("1.2", date(2025, 3, 1))


def test_the_newest_earlier_study_is_the_prior_whatever_the_order_of_reporting() -> None:
    assert choose(NOW, [OLD, OLDER]) == choose(NOW, [OLDER, OLD]) == Prior(OLD)


NOBODY = {
    "no result at all": (NOW, []),
    "a result of the same study": (NOW, [result("1.2.3", date(2025, 3, 1))]),
    "a study of the same day": (NOW, [result("1.2", date(2026, 3, 1))]),
    "a study of a later day": (NOW, [result("1.2", date(2026, 3, 2))]),
    "an earlier study without a date": (NOW, [result("1.2", None)]),
    "another patient": (NOW, [result("1.2", date(2025, 3, 1), patient="another")]),
    "no Patient ID": (replace(NOW, patient=""), [result("1.2", date(2025, 3, 1), patient="")]),
}


@pytest.mark.parametrize(("subject", "results"), NOBODY.values(), ids=NOBODY.keys())
def test_there_is_no_prior(subject: Subject, results: list[Result]) -> None:
    assert choose(subject, results) is None


DOUBT = {
    "one of several has another identity": (
        NOW,
        [OLD, result("1.1", date(2024, 1, 1), identity="b")],
        IDENTITY_DIFFERS,
    ),
    "the identity differs on the same day": (NOW, [result("1.1", date(2026, 3, 1), identity="b")], IDENTITY_DIFFERS),
    "this study has no date": (replace(NOW, study_date=None), [OLD], UNDATED),
    "two series are called alike": (NOW, [OLD, replace(OLD, job_id="b")], "2025-03-01: which of its series"),
    "two series, none called as this one": (
        NOW,
        [result("1.2", date(2025, 3, 1), description=name) for name in ("arterial", "native")],
        "2025-03-01: which of its series",
    ),
}


@pytest.mark.parametrize(("subject", "results", "words"), DOUBT.values(), ids=DOUBT.keys())
def test_where_it_is_in_doubt_there_is_a_reason_in_place_of_a_prior(
    subject: Subject, results: list[Result], words: str
) -> None:
    prior = choose(subject, results)

    assert prior is not None
    assert prior.result is None
    assert words in prior.why_not


def test_of_two_series_of_one_day_it_is_the_one_called_as_this_one() -> None:
    arterial = result("1.2", date(2025, 3, 1), description="arterial")

    assert choose(NOW, [arterial, OLD]) == Prior(OLD)
