"""Earlier results that lie in an archive alone: whose are looked for, and what became of the question."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from service.core.identity import digest
from service.core.priors import Subject


@dataclass(frozen=True, slots=True)
class Question:
    """Whose earlier results of a model an archive is asked for; it is put once for each study."""

    subject: Subject
    patient_id: str  # as the archive has to be asked for it: it is kept and logged nowhere
    issuer: str
    modality: str  # of the images
    model: str
    title: str  # of the model: its reports are named after it
    senders: frozenset[str]  # who brought the images, by calling AE title

    @property
    def recall_id(self) -> str:
        """Its name."""
        return digest(("recall", self.subject.patient, self.subject.study_instance_uid, self.model))


@dataclass(frozen=True, slots=True)
class Recall:
    """What became of a question: what it brought lies among the results; or why nothing is compared."""

    asked_at: datetime
    ended: bool = False
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether an archive is still being asked; else why nothing is to be compared, or nothing against it."""

    is_awaited: bool = False
    why_not: str = ""


class Recaller(Protocol):
    """Whoever asks archives for earlier results."""

    def waits(self, series_instance_uid: str, now: datetime) -> bool:
        """True while an archive is asked about the patient of a Series."""

    def ask(self, question: Question, now: datetime) -> Answer:
        """Ask, or take the answer; what was found is among the results of the ledger then."""


class Nobody:
    """There is no archive to ask."""

    def waits(self, series_instance_uid: str, now: datetime) -> bool:
        """As `Recaller`."""
        del series_instance_uid, now
        return False

    def ask(self, question: Question, now: datetime) -> Answer:
        """As `Recaller`."""
        del question, now
        return Answer()


NOBODY = Nobody()


def unanswered(archive: str) -> str:
    """Why nothing is compared: there was no answer in time."""
    return f"not compared with earlier studies: the archive {archive} did not answer"


def refused(archive: str) -> str:
    """Why nothing is compared: it answered that it does not answer this."""
    return f"not compared with earlier studies: the archive {archive} cannot be asked for them"


def unsent(archive: str, day: date) -> str:
    """Why nothing is compared: a report is known to be there, and did not come."""
    return f"not compared with the study of {day}: the archive {archive} did not send its report"


def unreadable(day: date) -> str:
    """Why nothing is compared: a report came that is damaged, or contradicts itself."""
    return f"not compared with the study of {day}: its report cannot be read"


def crowded(day: date) -> str:
    """Why nothing is compared: there are more reports than one job has sent."""
    return f"not compared with the study of {day}: the archive has too many reports of it"
