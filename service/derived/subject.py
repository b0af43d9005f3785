"""Whom an image shows, as digests: enough to find a patient's earlier results, and to see when two differ."""

from datetime import date

from pydicom import Dataset

from service.core.identity import digest, patient_digest
from service.core.priors import Subject
from service.core.recalling import Question

_PATIENT = ("PatientID", "IssuerOfPatientID")
_PERSON = ("PatientBirthDate", "PatientSex")


def subject_of(image: Dataset) -> Subject:
    """The subject of an image by its header."""
    (patient_id, issuer), person = ([_text(image, keyword) for keyword in keywords] for keywords in (_PATIENT, _PERSON))
    return Subject(
        patient=patient_digest(patient_id, issuer),
        identity=digest(("person", patient_id, issuer, *person)),
        study_date=_day(_text(image, "StudyDate")),
        study_instance_uid=str(image.StudyInstanceUID),
        series_instance_uid=str(image.SeriesInstanceUID),
        description=_text(image, "SeriesDescription"),
    )


def question_of(image: Dataset, model: str, title: str, senders: frozenset[str]) -> Question:
    """What an archive is asked for: earlier results of a model, of whom an image shows."""
    (patient_id, issuer), modality = (_text(image, keyword) for keyword in _PATIENT), _text(image, "Modality")
    return Question(subject_of(image), patient_id, issuer, modality, model, title, senders)


def _text(image: Dataset, keyword: str) -> str:
    return str(image.get(keyword) or "").strip()


def _day(text: str) -> date | None:
    """A date of PS3.5 table 6.2-1; None for any other text."""
    if len(text) != 8 or not text.isdecimal():
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None
