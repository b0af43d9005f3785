"""The harness itself: with any one step of durable writing taken out, it sees the promise broken."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.durability import sabotage, tracing
from tests.durability.audit import together
from tests.durability.cuts import PowerCuts, cut_again_and_again
from tests.durability.disks import Ext4
from tests.durability.kill_points import Executioner
from tests.durability.receiving import receiver_on

Figures = Callable[..., None]


@pytest.mark.power_cut
@pytest.mark.parametrize("step", [sabotage.NO_FILE_FSYNC, sabotage.NO_FOLDER_FSYNC])
def test_without_flushing_a_power_cut_loses_what_was_acknowledged(
    disk: Ext4, tmp_path: Path, engine: str, step: str, figures: Figures
) -> None:
    with receiver_on(tmp_path / "config", disk.root / "spool", engine, faults=[step]) as receiver:
        seen = list(cut_again_and_again(PowerCuts(receiver, disk, senders=1, seed=2), rounds=3))
    broken = together([cut.findings for cut in seen])
    figures(engine=engine, cuts=len(seen), acknowledged=seen[-1].acknowledged, **broken)
    assert broken["missing"] + broken["corrupt"] > 0


def test_written_under_its_final_name_a_killed_instance_is_seen_partial(
    strace: str, tmp_path: Path, engine: str, figures: Figures
) -> None:
    with receiver_on(tmp_path / "config", tmp_path / "spool", engine, faults=[sabotage.NO_LINK]) as receiver:
        executioner = Executioner(receiver, strace)
        writes = [point for point in executioner.kill_points() if point.call in tracing.WRITING]
        strikes = list(executioner.strike_each(writes[len(writes) // 2 :: len(writes) // 4]))
    broken = together([strike.after_kill for strike in strikes])
    figures(engine=engine, struck=len(strikes), **broken)
    assert broken["partial"] > 0
