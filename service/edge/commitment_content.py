"""Action and Event Information of storage commitment (PS3.4 tables J.3-1 and J.3-2), read and written.

What is read comes from the network: every UID passes `is_uid`, and whatever is wrong raises Broken.
"""

from collections.abc import Iterable, Iterator
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import build_context
from pynetdicom.dsutils import decode, encode
from pynetdicom.presentation import PresentationContext
from pynetdicom.sop_class import StorageCommitmentPushModel

from service.core.commitment import PROCESSING_FAILURE, Account, Referenced
from service.core.errors import Broken
from service.core.identity import is_uid
from service.core.outbox import CommitmentReport
from service.edge.data_set_scan import require_whole

SOP_CLASS = str(StorageCommitmentPushModel)
SOP_INSTANCE = "1.2.840.10008.1.20.1.1"  # the well-known one (PS3.4 J.3.5)
REQUEST = 1  # Action Type ID
ALL_HELD, SOME_FAILED = 1, 2  # Event Type ID


def context() -> PresentationContext:
    """The presentation context of Storage Commitment Push Model."""
    return build_context(SOP_CLASS, [ImplicitVRLittleEndian, ExplicitVRLittleEndian])


def encoded(content: Dataset, syntax: UID) -> BytesIO:
    """A data set as it goes over the network. Raises Broken when it cannot be encoded."""
    found = encode(content, syntax.is_implicit_VR, syntax.is_little_endian)
    if found is None:
        raise Broken("the content of a storage commitment message cannot be encoded")
    return BytesIO(found)


def request_content(transaction_uid: str, references: Iterable[Referenced]) -> Dataset:
    """Action Information of a request."""
    content = Dataset()
    content.TransactionUID = transaction_uid
    content.ReferencedSOPSequence = [_item(reference) for reference in references]
    return content


def report_content(transaction_uid: str, account: Account) -> Dataset:
    """Event Information of a report."""
    content = Dataset()
    content.TransactionUID = transaction_uid
    if account.held:
        content.ReferencedSOPSequence = [_item(reference) for reference in account.held]
    if account.failed:
        content.FailedSOPSequence = [_item(reference, reason) for reference, reason in account.failed.items()]
    return content


def event_type(account: Account) -> int:
    """Event Type ID of a report (PS3.4 J.3.3.1)."""
    return SOME_FAILED if account.failed else ALL_HELD


def _item(reference: Referenced, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    if reason is not None:
        item.FailureReason = reason
    return item


def read_request(content: bytes, syntax: UID) -> tuple[str, tuple[Referenced, ...]]:
    """Transaction UID and references of a request, of which there is at least one."""
    found = _decoded(content, syntax)
    references = tuple(reference for reference, _ in _references(found, "ReferencedSOPSequence"))
    if not references:
        raise Broken("Referenced SOP Sequence is absent or empty")
    return _uid(found, "TransactionUID"), references


def read_report(content: bytes, syntax: UID) -> CommitmentReport:
    """What a report says; what it calls both held and failed has failed."""
    found = _decoded(content, syntax)
    held = {reference.sop_instance_uid for reference, _ in _references(found, "ReferencedSOPSequence")}
    failed = {reference.sop_instance_uid: reason for reference, reason in _references(found, "FailedSOPSequence")}
    if not held and not failed:
        raise Broken("a report speaks of no instance")
    return CommitmentReport(_uid(found, "TransactionUID"), frozenset(held - failed.keys()), failed)


def _decoded(content: bytes, syntax: UID) -> Dataset:
    require_whole(content, implicit=syntax.is_implicit_VR)  # pydicom takes a UID that was cut short for a shorter one
    try:
        found: Dataset = decode(BytesIO(content), syntax.is_implicit_VR, syntax.is_little_endian)
        list(found.iterall())  # what cannot be converted raises here, and nowhere later
    except Exception as error:  # pydicom raises anything on malformed bytes, and quotes values
        raise Broken(f"a data set cannot be understood ({type(error).__name__})") from error
    return found


def _references(content: Dataset, keyword: str) -> Iterator[tuple[Referenced, int]]:
    items = content.get(keyword) or []
    if not all(isinstance(item, Dataset) for item in items):
        raise Broken(f"{keyword} is no sequence")
    for item in items:
        reason = item.get("FailureReason")
        yield (
            Referenced(_uid(item, "ReferencedSOPClassUID"), _uid(item, "ReferencedSOPInstanceUID")),
            reason if isinstance(reason, int) else PROCESSING_FAILURE,
        )


def _uid(content: Dataset, keyword: str) -> str:
    text = str(content.get(keyword, ""))
    if not is_uid(text):
        raise Broken(f"{keyword} is absent or no UID")
    return text
