"""A Query/Retrieve SCU (PS3.4 annex C, Study Root): what an archive has, and have it sent.

Every function raises TryAgain when the archive is not there or does not answer in time, Broken when it answers no.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import uuid4

from pydicom.dataset import Dataset
from pynetdicom import build_context, build_role, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from service.core.errors import Broken, TryAgain, Unreached, Unsuitable
from service.core.outbox import Reference, Trouble
from service.edge.archive_index import (
    QUESTIONS_SECONDS,
    PriorSeries,
    PriorsWanted,
    SeriesName,
    StudyAnswer,
    by_series,
    earlier,
    refusals_as_unsuitable,
)
from service.edge.file_meta import Offer, Provenance
from service.edge.intake import SUCCESS, AssociationRecord, OnEnd, OnStore
from service.edge.storage_scu import Remote, associated, cut_after

FIND_SECONDS = 5.0  # for one answer, and for all of them
RETRIEVE_SECONDS = 120.0  # between two answers: some archives give none before the last image has left
RETRIEVE_SECONDS_IN_ALL = 1800.0

Find = Callable[[str, Mapping[str, str]], Iterator[Dataset]]  # level and keys -> what matches

_PENDING = {0xFF00, 0xFF01}
_BUSY = 0xA700  # out of resources, to a C-FIND (PS3.4 C.4.1.1.4)
_WARNING = 0xB000  # some sub-operations failed
_NO_REASON = "no reason given: see its log, and whether it knows us"
_MEANINGS = {
    _BUSY: "out of resources",
    0xA701: "out of resources",
    0xA702: "out of resources",
    0xA801: "it does not know that destination",
}


@dataclass(frozen=True, slots=True)
class Storing:
    """Where the data sets of a C-GET go, as if they had come by C-STORE from a peer."""

    peer: str  # its calling AE title
    transfer_syntaxes: Sequence[str]
    on_store: OnStore
    on_end: OnEnd


@dataclass(frozen=True, slots=True)
class FindIndex:
    """An archive that is asked by C-FIND; it is an `ArchiveIndex`."""

    remote: Remote

    def __str__(self) -> str:
        return str(self.remote)

    def count_instances(self, series: SeriesName) -> int:
        """As `ArchiveIndex`."""
        return count_instances(self.remote, series)

    def held(self, references: Sequence[Reference]) -> set[str]:
        """As `ArchiveIndex`: one query for each Series, all in one association."""
        return held(self.remote, references)

    def priors(self, wanted: PriorsWanted) -> list[PriorSeries]:
        """As `ArchiveIndex`: a query for the studies, and one for each of them."""
        with _finding(self.remote, FIND_SECONDS, QUESTIONS_SECONDS) as find:
            studies = [_study(answer) for answer in find("STUDY", _priors_query(wanted))]
            found = [
                _prior(answer, uid, day)
                for uid, day in earlier(studies, wanted).items()
                for answer in find("SERIES", _series_query(uid, wanted.modality))
            ]
        return [series for series in found if series.is_one_of(wanted)]


def count_instances(remote: Remote, series: SeriesName) -> int:
    """As `ArchiveIndex`."""
    query = _names(series) | {"NumberOfSeriesRelatedInstances": ""}
    with _finding(remote, FIND_SECONDS, FIND_SECONDS) as find:
        answers = list(find("SERIES", query))
    mine = [answer for answer in answers if answer.get("SeriesInstanceUID") == series.series_instance_uid]
    return max((_count(remote, answer) for answer in mine), default=0)


def _count(remote: Remote, answer: Dataset) -> int:
    try:
        return int(answer.NumberOfSeriesRelatedInstances)
    except (AttributeError, TypeError, ValueError) as error:
        raise Broken(f"{remote} answered C-FIND without Number of Series Related Instances") from error


def held(remote: Remote, references: Sequence[Reference]) -> set[str]:
    """As `ArchiveIndex`, by C-FIND at IMAGE level."""
    if not references:
        return set()
    found: set[str] = set()
    try:
        with refusals_as_unsuitable(), _finding(remote, remote.answer_seconds, QUESTIONS_SECONDS) as find:
            for name, wanted in by_series(references).items():
                answers = find("IMAGE", _names(name) | {"SOPInstanceUID": ""})
                found |= wanted & {str(answer.get("SOPInstanceUID", "")) for answer in answers}
    except Unreached as error:
        if error.trouble == Trouble.CONFIGURATION:  # it stores what we send, and does not let us ask
            raise Unsuitable(str(error)) from error
        raise
    return found


def _priors_query(wanted: PriorsWanted) -> dict[str, str]:
    return {
        "PatientID": wanted.patient_id,
        "IssuerOfPatientID": wanted.issuer,
        "StudyDate": wanted.study_dates,
        "ModalitiesInStudy": wanted.modality,
        "StudyInstanceUID": "",
    }


def _series_query(study_instance_uid: str, modality: str) -> dict[str, str]:
    wanted = {"StudyInstanceUID": study_instance_uid, "SeriesInstanceUID": "", "Modality": modality}
    return wanted | {"SeriesDescription": "", "NumberOfSeriesRelatedInstances": ""}


def _study(answer: Dataset) -> StudyAnswer:
    keywords = ("StudyInstanceUID", "StudyDate", "PatientID", "IssuerOfPatientID")
    return StudyAnswer(*(str(answer.get(keyword) or "") for keyword in keywords))


def _prior(answer: Dataset, study_instance_uid: str, day: date) -> PriorSeries:
    words = {key: str(answer.get(key) or "") for key in ("SeriesInstanceUID", "Modality", "SeriesDescription")}
    count = str(answer.get("NumberOfSeriesRelatedInstances") or "")
    return PriorSeries(
        study_instance_uid,
        words["SeriesInstanceUID"],
        words["Modality"],
        day,
        words["SeriesDescription"],
        int(count) if count.isdecimal() else 0,
    )


def move(remote: Remote, series: SeriesName, destination: str, *, in_all: float = RETRIEVE_SECONDS_IN_ALL) -> None:
    """C-MOVE (PS3.4 C.4.2): have the archive send a Series to an AE title that it knows."""
    model = StudyRootQueryRetrieveInformationModelMove
    with _asked(remote, [build_context(model)], RETRIEVE_SECONDS, in_all=in_all) as association:
        responses = association.send_c_move(_identifier("SERIES", _names(series)), destination, model)
        list(_answers(remote, f"C-MOVE to {destination}", responses))


def get(remote: Remote, series: SeriesName, storing: Storing, *, in_all: float = RETRIEVE_SECONDS_IN_ALL) -> None:
    """C-GET (PS3.4 C.4.3): have the archive send a Series in the association that asks for it."""
    model = StudyRootQueryRetrieveInformationModelGet
    syntaxes = list(storing.transfer_syntaxes)
    contexts = [build_context(model), *(build_context(uid, syntaxes) for uid in series.sop_class_uids)]
    roles = [build_role(uid, scp_role=True) for uid in series.sop_class_uids]
    record = AssociationRecord(f"2.25.{uuid4().int}", storing.peer, remote.calling_ae_title, remote.host)
    handlers = [(evt.EVT_C_STORE, _keep, [storing, record])]
    options: dict[str, Any] = {"in_all": in_all, "roles": roles, "handlers": handlers}
    record.ended = "failed"
    try:
        with _asked(remote, contexts, RETRIEVE_SECONDS, **options) as association:
            list(_answers(remote, "C-GET", association.send_c_get(_identifier("SERIES", _names(series)), model)))
        record.ended = "released"
    finally:
        storing.on_end(record)


def _keep(event: Any, storing: Storing, record: AssociationRecord) -> int:
    """One data set of a C-GET, admitted as one that came by C-STORE; its status."""
    request, content = event.request, event.request.DataSet.getvalue()
    provenance = Provenance(record.calling_ae_title, record.called_ae_title, record.association)
    names = str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID)
    intake = storing.on_store(Offer(*names, str(event.context.transfer_syntax), provenance))
    intake.write([content])
    answer = intake.finish()
    record.count(answer, len(content))
    return answer.status


def _names(series: SeriesName) -> dict[str, str]:
    return {"StudyInstanceUID": series.study_instance_uid, "SeriesInstanceUID": series.series_instance_uid}


def _identifier(level: str, query: Mapping[str, str]) -> Dataset:
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    if not all(value.isascii() for value in query.values()):
        identifier.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in query.items():
        setattr(identifier, keyword, value)
    return identifier


@contextmanager
def _finding(remote: Remote, answer_seconds: float, in_all: float) -> Iterator[Find]:
    """Queries in one association."""
    model = StudyRootQueryRetrieveInformationModelFind
    with _asked(remote, [build_context(model)], answer_seconds, in_all=in_all) as association:

        def find(level: str, query: Mapping[str, str]) -> Iterator[Dataset]:
            if not association.is_established:
                raise TryAgain(f"{remote} closed the connection, or took longer than {in_all:g} s")
            return _answers(remote, "C-FIND", association.send_c_find(_identifier(level, query), model))

        yield find


@contextmanager
def _asked(
    remote: Remote, contexts: list[Any], answer_seconds: float, *, in_all: float, **options: Any
) -> Iterator[Any]:
    """An association whose connection is cut when it lasts too long, whatever a peer sends how slowly."""
    with (
        associated(remote, contexts, answer_seconds=answer_seconds, **options) as association,
        cut_after(association, in_all),
    ):
        try:
            yield association
        except ValueError as error:  # pynetdicom has no accepted presentation context for what is asked
            raise Broken(f"{remote} does not offer {contexts[0].abstract_syntax.name}") from error


def _answers(remote: Remote, asked: str, responses: Iterator[tuple[Dataset, Dataset | None]]) -> Iterator[Dataset]:
    """What pending responses hold."""
    for response, identifier in responses:
        if "Status" not in response:
            raise TryAgain(f"{remote} did not answer {asked}")
        status = int(response.Status)
        if status in _PENDING and identifier is not None:
            yield identifier
        if status not in {*_PENDING, SUCCESS, _WARNING}:
            meaning = _MEANINGS.get(status) or str(response.get("ErrorComment", "")) or _NO_REASON
            kind = TryAgain if status == _BUSY else Broken
            raise kind(f"{remote} answered {asked} with status 0x{status:04X} ({meaning})")
