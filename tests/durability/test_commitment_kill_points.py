"""The door, killed while it takes a report of storage commitment: what was acknowledged is there, whole."""

from collections.abc import Sequence
from pathlib import Path

from service.core.commitment import Account, Referenced, Told
from service.core.outbox import CommitmentReport
from service.edge.commitment_content import report_content
from service.edge.commitment_files import reports
from service.edge.spool import Spool
from tests.commitment_peer import content_bytes, modality
from tests.durability import tracing
from tests.durability.receiving import RunningReceiver, receiver_on
from tests.durability.sending import LOST, SUCCESS
from tests.durability.tracing import KillPoint
from tests.hostile.client import NotServedError
from tests.node import SENDER

HELD = Referenced("1.2.840.10008.5.1.4.1.1.2", "1.2.3")
STEPS = (tracing.OPENING, tracing.WRITING, tracing.FLUSHING, tracing.PLACING, tracing.ANSWERING)


def told(receiver: RunningReceiver, transaction_uid: str, trace: Path, strace: str, at: KillPoint | None = None) -> int:
    """The status of a report that a receiver takes while it is traced, or LOST."""
    content = content_bytes(report_content(transaction_uid, Account((HELD,))))
    try:
        with modality(receiver.port, SENDER) as peer, tracing.tracing(strace, receiver.pids(), trace, at):
            return peer.tells(content)
    except NotServedError:
        return LOST


def first_of_each(points: Sequence[KillPoint]) -> list[KillPoint]:
    """The first call of each step, and the second flush: that of the folder."""
    flush = next(point for point in points if point.call in tracing.FLUSHING and point.nth == 2)
    return [next(point for point in points if point.call in step) for step in STEPS] + [flush]


def test_killed_at_each_step_of_a_report_it_has_what_it_acknowledged_and_takes_the_rest_again(
    strace: str, tmp_path: Path, engine: str
) -> None:
    statuses = []
    with receiver_on(tmp_path / "config", tmp_path / "spool", engine) as receiver:
        assert told(receiver, "1.2.1", tmp_path / "dry.log", strace) == SUCCESS
        for number, point in enumerate(first_of_each(tracing.Trace(tmp_path / "dry.log").kill_points()), 2):
            status = told(receiver, f"1.2.{number}", tmp_path / f"{number}.log", strace, point)
            receiver.kill()
            kept = {each.report.transaction_uid for each in reports(Spool(receiver.spool))}
            assert status == LOST or f"1.2.{number}" in kept
            statuses.append(status)
            receiver.start()
            with modality(receiver.port, SENDER) as peer:
                assert peer.tells(content_bytes(report_content(f"1.2.{number}", Account((HELD,))))) == SUCCESS
        found = reports(Spool(receiver.spool))
    assert LOST in statuses
    expected = [CommitmentReport(f"1.2.{number}", frozenset({"1.2.3"}), {}) for number in range(1, 8)]
    assert found == [Told(SENDER, "127.0.0.1", report) for report in expected]
    assert list((receiver.spool / "held").iterdir()) == []
