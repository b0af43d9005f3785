"""The folder commitments/: what is written there comes back, whatever is beside it."""

from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from service.core.commitment import Asked, Pending, Referenced, Told
from service.core.errors import Broken
from service.core.outbox import CommitmentReport
from service.edge.commitment_files import (
    forget_report,
    forget_request,
    keep_report,
    keep_request,
    reports,
    requests,
    waiting_request,
)
from service.edge.spool import Spool

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
IMAGE = Referenced("1.2.840.10008.5.1.4.1.1.2", "1.2.3")


def pending(peer: str = "CT01", minutes: int = 0) -> Pending:
    asked = Asked("1.2", peer, "ISOCENTER", "127.0.0.1", (IMAGE,))
    return Pending(asked, NOW + timedelta(minutes=minutes), NOW + timedelta(hours=1), attempts=3)


def told(peer: str = "PACS") -> Told:
    return Told(peer, "127.0.0.1", CommitmentReport("1.2", frozenset({"1.2.3", "1.2.4"}), {"1.2.5": 0x0112}))


def test_requests_come_back_as_they_were_kept_the_oldest_first(spool: Spool) -> None:
    later, sooner = pending("CT01", minutes=5), pending("CT02")
    keep_request(spool, later)
    keep_request(spool, sooner)
    assert requests(spool) == [sooner, later]
    assert waiting_request(spool, later.asked) == later


def test_a_request_that_is_forgotten_waits_no_more(spool: Spool) -> None:
    keep_request(spool, pending())
    forget_request(spool, pending().asked)
    assert requests(spool) == []
    assert waiting_request(spool, pending().asked) is None


def test_reports_come_back_with_who_told_them(spool: Spool) -> None:
    keep_report(spool, told())
    keep_report(spool, told("ANOTHER"))
    assert {each.calling_ae_title: each for each in reports(spool)} == {"PACS": told(), "ANOTHER": told("ANOTHER")}
    forget_report(spool, told())
    assert reports(spool) == [told("ANOTHER")]


def test_requests_and_reports_of_one_transaction_do_not_meet(spool: Spool) -> None:
    keep_request(spool, pending("PACS"))
    keep_report(spool, told("PACS"))
    assert (requests(spool), reports(spool)) == ([pending("PACS")], [told("PACS")])


@pytest.mark.parametrize("content", [b"", b"\0\0", b"[]", b"{}"], ids=["empty", "zeros", "a list", "no fields"])
def test_a_file_that_a_disk_has_damaged_is_set_aside_and_holds_up_no_other(spool: Spool, content: bytes) -> None:
    keep_report(spool, told())
    (spool.commitments / "report-1.3_00000000.json").write_bytes(content)
    with capture_logs() as logs:
        assert reports(spool) == [told()]
    assert [log["event"] for log in logs] == ["file of storage commitment held"]
    assert [path.name for path in (spool.root / "held").iterdir()] == ["report-1.3_00000000.json.unreadable"]


def test_a_transaction_that_is_no_uid_never_names_a_file(spool: Spool) -> None:
    wrong = Told("PACS", "127.0.0.1", CommitmentReport("../../x", frozenset({"1.2.3"}), {}))
    with pytest.raises(Broken):
        keep_report(spool, wrong)
