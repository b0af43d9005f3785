"""The door, when the disk refuses: the sender is told to try again, nothing is lost, and it resumes by itself."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.durability import sabotage
from tests.durability.audit import Findings, audit, half_written
from tests.durability.disks import Tmpfs
from tests.durability.faults import Fault, failing, full, out_of_descriptors, out_of_inodes, read_only
from tests.durability.receiving import RunningReceiver, receiver_on
from tests.durability.sending import OUT_OF_RESOURCES, SUCCESS, History, image, sender_to
from tests.node import until

SmallDisk = Callable[[str], Tmpfs]
Figures = Callable[..., None]
TRIES = 6
KIBIBYTE = 1024
CALLS = [sabotage.FILE_FSYNC_EIO, sabotage.FOLDER_FSYNC_EIO, sabotage.LINK_EIO]


@dataclass(frozen=True, slots=True)
class Passage:
    """What a sender met before, during and after a fault."""

    before: int
    during: list[int]
    found_during: Findings
    after: list[int]  # the same instances again, and in the same association
    anew: int  # in an association of its own
    found_after: Findings

    def require_refusal_and_recovery(self) -> None:
        """Refused with 0xA700 while it lasted, nothing lost, all well afterwards."""
        assert self.before == SUCCESS
        assert OUT_OF_RESOURCES in self.during
        assert set(self.during) <= {SUCCESS, OUT_OF_RESOURCES}
        assert not self.found_during
        assert set(self.after) == {SUCCESS}
        assert self.anew == SUCCESS
        assert not self.found_after


def send_through(receiver: RunningReceiver, fault: Fault, figures: Figures) -> Passage:
    """Send before, during and after a fault; nothing half-written may be left."""
    history, tries = History(), [image(number) for number in range(TRIES)]
    with sender_to(receiver.port, history) as sender:
        before = sender.store(image(TRIES))
        with fault():
            during = [sender.store(each) for each in tries]
            found_during = audit(receiver.spool, history)
            with sender_to(receiver.port, history, timeout=1):
                pass  # may be turned away, and must not end the receiver
        after = [sender.store(each) for each in tries]
    with sender_to(receiver.port, history) as sender:
        anew = sender.store(image(TRIES + 1))
    until(lambda: not half_written(receiver.spool), "nothing half-written is left", seconds=5)
    figures(acknowledged=during.count(SUCCESS), refused=during.count(OUT_OF_RESOURCES), sent=len(during))
    return Passage(before, during, found_during, after, anew, audit(receiver.spool, history))


@pytest.mark.parametrize("left", [0, 100 * KIBIBYTE], ids=["to the last byte", "in the middle of an instance"])
def test_a_full_disk_is_answered_by_try_again_until_there_is_room(
    small_disk: SmallDisk, tmp_path: Path, engine: str, figures: Figures, left: int
) -> None:
    disk = small_disk("size=4M")
    with receiver_on(tmp_path / "config", disk.root / "spool", engine) as receiver:
        send_through(receiver, full(disk, left), figures).require_refusal_and_recovery()


@pytest.mark.parametrize("left", [0, 1], ids=["none", "one, and no second for its name"])
def test_a_disk_without_inodes_is_answered_by_try_again_until_there_are_some(
    small_disk: SmallDisk, tmp_path: Path, engine: str, figures: Figures, left: int
) -> None:
    disk = small_disk("size=4M,nr_inodes=100")
    with receiver_on(tmp_path / "config", disk.root / "spool", engine) as receiver:
        send_through(receiver, out_of_inodes(disk, left), figures).require_refusal_and_recovery()


def test_a_read_only_disk_is_answered_by_try_again_until_it_can_be_written(
    small_disk: SmallDisk, tmp_path: Path, engine: str, figures: Figures
) -> None:
    disk = small_disk("size=4M")
    with receiver_on(tmp_path / "config", disk.root / "spool", engine) as receiver:
        send_through(receiver, read_only(disk), figures).require_refusal_and_recovery()


def test_a_receiver_out_of_descriptors_answers_try_again_until_it_has_some(
    tmp_path: Path, engine: str, figures: Figures
) -> None:
    with receiver_on(tmp_path / "config", tmp_path / "spool", engine) as receiver:
        send_through(receiver, out_of_descriptors(receiver), figures).require_refusal_and_recovery()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("every", [1, 3], ids=["each time", "every third time"])
def test_a_disk_that_fails_is_answered_by_try_again_until_it_does_no_more(
    tmp_path: Path, engine: str, figures: Figures, call: str, every: int
) -> None:
    with receiver_on(tmp_path / "config", tmp_path / "spool", engine) as receiver:
        send_through(receiver, failing(receiver, call, every), figures).require_refusal_and_recovery()


def test_a_file_whose_flush_failed_is_never_flushed_again(tmp_path: Path, engine: str, figures: Figures) -> None:
    with receiver_on(tmp_path / "config", tmp_path / "spool", engine) as receiver:
        receiver.faults.watch_flushes()
        send_through(receiver, failing(receiver, sabotage.FILE_FSYNC_EIO, every=2), figures)
        flushes = receiver.faults.flushes("file")
    failed = [inode for inode, outcome in flushes if outcome == "EIO"]
    assert failed
    assert [inode for inode, _ in flushes if inode in failed] == failed


def test_what_a_second_sender_was_acknowledged_outlives_the_failure_of_the_first_to_bring_it(
    tmp_path: Path, engine: str, figures: Figures
) -> None:
    history, twice = History(), image(0)
    with (
        receiver_on(tmp_path / "config", tmp_path / "spool", engine) as receiver,
        sender_to(receiver.port, history) as first,
        sender_to(receiver.port, history) as second,
        ThreadPoolExecutor(1) as pool,
    ):
        with failing(receiver, sabotage.LATE_FOLDER_FSYNC_EIO)():
            failed = pool.submit(first.store, twice)
            until(lambda: list((receiver.spool / "incoming").iterdir()), "the first is placed", seconds=10, pause=0.01)
            time.sleep(sabotage.LATE_SECONDS / 4)
        statuses = [second.store(deepcopy(twice)), failed.result()]
        figures(second=statuses[0], first=statuses[1])
        assert not audit(receiver.spool, history)
    assert statuses == [SUCCESS, OUT_OF_RESOURCES]
