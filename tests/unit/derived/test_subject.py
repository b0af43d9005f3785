"""Whom an image shows: the same digests for the same patient, others for another, and no name in any of them."""

from datetime import date

import pytest
from pydicom import Dataset

from service.derived.subject import subject_of
from tests import factories


def image(**values: str) -> Dataset:
    (first, *_) = factories.headers(factories.ct_series())
    first.PatientID, first.PatientBirthDate, first.PatientSex, first.StudyDate = (
        "PHANTOM-7",
        "19500101",
        "F",
        "20260301",
    )
    for keyword, value in values.items():
        setattr(first, keyword, value)
    return first


def test_a_name_that_is_written_otherwise_does_not_make_another_subject() -> None:
    assert subject_of(image(PatientName="Doe^Jane")) == subject_of(
        image(PatientName="DOE^JANE", PatientID="PHANTOM-7 ")
    )


ANOTHER_PERSON = {"birth date": {"PatientBirthDate": "19500102"}, "sex": {"PatientSex": "M"}}
ANOTHER_PERSON["birth date that is not stated"] = {"PatientBirthDate": ""}


@pytest.mark.parametrize("values", ANOTHER_PERSON.values(), ids=ANOTHER_PERSON.keys())
def test_another_person_at_the_same_patient_id_has_another_identity(values: dict[str, str]) -> None:
    one, other = subject_of(image()), subject_of(image(**values))

    assert one.patient == other.patient
    assert one.identity != other.identity


@pytest.mark.parametrize("values", [{"PatientID": "PHANTOM-8"}, {"IssuerOfPatientID": "CLINIC"}], ids=["ID", "issuer"])
def test_another_patient_id_or_issuer_is_another_patient(values: dict[str, str]) -> None:
    assert subject_of(image()).patient != subject_of(image(**values)).patient


def test_without_a_patient_id_there_is_no_patient() -> None:
    assert subject_of(image(PatientID=" ")).patient == ""


DAYS = {"20260301": date(2026, 3, 1), "": None, "20260231": None, "20260301-20260302": None}


@pytest.mark.parametrize(("text", "day"), DAYS.items())
def test_a_study_date_is_a_day_or_not_known(text: str, day: date | None) -> None:
    assert subject_of(image(StudyDate=text)).study_date == day
