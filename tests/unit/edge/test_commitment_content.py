"""Data sets of storage commitment, as peers may write them."""

from collections.abc import Callable

import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from service.core.commitment import Account, Referenced
from service.core.errors import Broken
from service.core.outbox import CommitmentReport
from service.edge.commitment_content import (
    encoded,
    event_type,
    read_report,
    read_request,
    report_content,
    request_content,
)
from tests.commitment_peer import content_bytes

CT = "1.2.840.10008.5.1.4.1.1.2"
HERE, GONE = Referenced(CT, "1.2.3.1"), Referenced(CT, "1.2.3.2")


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian], ids=["implicit", "explicit"])
def test_a_request_is_read_as_it_was_written(syntax: ImplicitVRLittleEndian) -> None:
    content = encoded(request_content("1.2", [HERE, GONE]), syntax)
    assert read_request(content.getvalue(), syntax) == ("1.2", (HERE, GONE))


def test_a_report_is_read_as_it_was_written() -> None:
    account = Account((HERE,), {GONE: 0x0112})
    content = content_bytes(report_content("1.2", account))
    said = read_report(content, ImplicitVRLittleEndian)
    assert said == CommitmentReport("1.2", frozenset({"1.2.3.1"}), {"1.2.3.2": 0x0112})


def test_a_report_without_failures_is_of_event_type_1() -> None:
    assert (event_type(Account((HERE,))), event_type(Account((HERE,), {GONE: 0x0112}))) == (1, 2)


def test_what_a_report_calls_both_held_and_failed_has_failed() -> None:
    content = content_bytes(report_content("1.2", Account((HERE,), {HERE: 0x0110})))
    assert read_report(content, ImplicitVRLittleEndian) == CommitmentReport("1.2", frozenset(), {"1.2.3.1": 0x0110})


def test_a_failure_without_a_reason_is_a_failure() -> None:
    content = report_content("1.2", Account(failed={GONE: 0x0112}))
    del content.FailedSOPSequence[0].FailureReason
    assert read_report(content_bytes(content), ImplicitVRLittleEndian).failed == {"1.2.3.2": 0x0110}


def without(keyword: str) -> bytes:
    content = request_content("1.2", [HERE])
    del content[keyword]
    return content_bytes(content)


def with_other_bytes(value: bytes, instead: bytes) -> bytes:
    content = content_bytes(request_content("1.2.777.8", [HERE]))
    assert (content.count(value), len(value)) == (1, len(instead))
    return content.replace(value, instead)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\xff" * 100, id="no data set"),
        pytest.param(content_bytes(request_content("1.2", [HERE]))[:-3], id="cut short"),
        pytest.param(content_bytes(Dataset()), id="empty"),
        pytest.param(without("TransactionUID"), id="no transaction"),
        pytest.param(without("ReferencedSOPSequence"), id="no references"),
        pytest.param(content_bytes(request_content("1.2", [])), id="an empty sequence"),
        pytest.param(with_other_bytes(b"1.2.777.8", b"../../../"), id="a transaction that is a path"),
        pytest.param(with_other_bytes(b"1.2.3.1", b"1.2.3/x"), id="an instance that is no UID"),
        pytest.param(with_other_bytes(CT.encode(), b"\0" * len(CT)), id="no class"),
    ],
)
@pytest.mark.parametrize("read", [read_request, read_report], ids=["request", "report"])
def test_a_wrong_data_set_is_refused_whole(
    content: bytes, read: Callable[[bytes, ImplicitVRLittleEndian], object]
) -> None:
    with pytest.raises(Broken):
        read(content, ImplicitVRLittleEndian)
