"""The door, when the power goes: what was acknowledged comes back with it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.durability.audit import together
from tests.durability.cuts import PowerCuts, cut_again_and_again
from tests.durability.disks import Ext4
from tests.durability.receiving import receiver_on

CUTS = int(os.environ.get("ISOCENTER_POWER_CUTS", "5"))
SENDERS = 2
SEED = 1


@pytest.mark.power_cut
@pytest.mark.timeout(60 + 30 * CUTS)
def test_what_was_acknowledged_survives_a_power_cut_whole(
    disk: Ext4, tmp_path: Path, engine: str, figures: Callable[..., None]
) -> None:
    with receiver_on(tmp_path / "config", disk.root / "spool", engine) as receiver:
        seen = list(cut_again_and_again(PowerCuts(receiver, disk, SENDERS, SEED), CUTS))
    broken = together([cut.findings for cut in seen])
    figures(engine=engine, seed=SEED, cuts=len(seen), acknowledged=seen[-1].acknowledged, **broken)
    assert not any(broken.values())
