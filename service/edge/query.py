"""A Query/Retrieve SCU (PS3.4 annex C, Study Root) at SERIES level: how many instances an archive has, and send them.

Every function raises TryAgain when the archive is not there or does not answer in time, Broken when it answers no.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from pydicom.dataset import Dataset
from pynetdicom import build_context, build_role, evt
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
)

from service.core.errors import Broken, TryAgain
from service.edge.file_meta import Offer, Provenance
from service.edge.intake import SUCCESS, AssociationRecord, OnEnd, OnStore
from service.edge.storage_scu import Remote, associated, cut_after

FIND_SECONDS = 5.0  # for one answer, and for all of them
RETRIEVE_SECONDS = 120.0  # between two answers: some archives give none before the last image has left
RETRIEVE_SECONDS_IN_ALL = 1800.0

_PENDING = {0xFF00, 0xFF01}
_WARNING = 0xB000  # some sub-operations failed
_NO_REASON = "no reason given: see its log, and whether it knows us"
_MEANINGS = {0xA701: "out of resources", 0xA702: "out of resources", 0xA801: "it does not know that destination"}


@dataclass(frozen=True, slots=True)
class SeriesName:
    """A Series as an archive is asked for it, and which SOP Classes came of it so far."""

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Storing:
    """Where the data sets of a C-GET go, as if they had come by C-STORE from a peer."""

    peer: str  # its calling AE title
    transfer_syntaxes: Sequence[str]
    on_store: OnStore
    on_end: OnEnd


def count_instances(remote: Remote, series: SeriesName) -> int:
    """Number of Series Related Instances (PS3.4 C.3.4) of a Series; 0 when the archive does not know it."""
    model = StudyRootQueryRetrieveInformationModelFind
    query = _identifier(series)
    query.NumberOfSeriesRelatedInstances = None
    with _asked(remote, [build_context(model)], FIND_SECONDS, in_all=FIND_SECONDS) as association:
        answers = list(_answers(remote, "C-FIND", association.send_c_find(query, model)))
    mine = [answer for answer in answers if answer.get("SeriesInstanceUID") == series.series_instance_uid]
    return max((_count(remote, answer) for answer in mine), default=0)


def _count(remote: Remote, answer: Dataset) -> int:
    try:
        return int(answer.NumberOfSeriesRelatedInstances)
    except (AttributeError, TypeError, ValueError) as error:
        raise Broken(f"{remote} answered C-FIND without Number of Series Related Instances") from error


def move(remote: Remote, series: SeriesName, destination: str) -> None:
    """C-MOVE (PS3.4 C.4.2): have the archive send a Series to an AE title that it knows."""
    model = StudyRootQueryRetrieveInformationModelMove
    with _asked(remote, [build_context(model)], RETRIEVE_SECONDS, in_all=RETRIEVE_SECONDS_IN_ALL) as association:
        responses = association.send_c_move(_identifier(series), destination, model)
        list(_answers(remote, f"C-MOVE to {destination}", responses))


def get(remote: Remote, series: SeriesName, storing: Storing) -> None:
    """C-GET (PS3.4 C.4.3): have the archive send a Series in the association that asks for it."""
    model = StudyRootQueryRetrieveInformationModelGet
    syntaxes = list(storing.transfer_syntaxes)
    contexts = [build_context(model), *(build_context(uid, syntaxes) for uid in series.sop_class_uids)]
    roles = [build_role(uid, scp_role=True) for uid in series.sop_class_uids]
    record = AssociationRecord(f"2.25.{uuid4().int}", storing.peer, remote.calling_ae_title, remote.host)
    handlers = [(evt.EVT_C_STORE, _keep, [storing, record])]
    options: dict[str, Any] = {"in_all": RETRIEVE_SECONDS_IN_ALL, "roles": roles, "handlers": handlers}
    record.ended = "failed"
    try:
        with _asked(remote, contexts, RETRIEVE_SECONDS, **options) as association:
            list(_answers(remote, "C-GET", association.send_c_get(_identifier(series), model)))
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


def _identifier(series: SeriesName) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = "SERIES"
    query.StudyInstanceUID = series.study_instance_uid
    query.SeriesInstanceUID = series.series_instance_uid
    return query


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
            raise Broken(f"{remote} answered {asked} with status 0x{status:04X} ({meaning})")
