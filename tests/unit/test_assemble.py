"""When a Series is closed, what is left for the next stage, and what a late instance does."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.uid import DigitalXRayImageStorageForPresentation

from service import retain
from service.assemble import Assembler
from service.core.completeness import Patience
from service.core.errors import TryAgain
from service.edge.ledger import Ledger, SeriesRow, StackRow
from service.edge.records import read_stack
from service.edge.spool import InstanceName, Spool
from service.edge.tables import series, stacks
from tests import factories
from tests.arriving import receive

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PATIENCE = Patience(timedelta(seconds=2), timedelta(seconds=60))
GRID = factories.grid(shape=(8, 8, 8))


@pytest.fixture
def assembler(spool: Spool, ledger: Ledger) -> Assembler:
    return Assembler(spool, ledger, PATIENCE)


def arrive(spool: Spool, images: Sequence[Dataset], association: str, at: datetime = NOW) -> None:
    for image in images:
        name = InstanceName(str(image.SeriesInstanceUID), str(image.SOPInstanceUID))
        assert receive(spool, image, association).status == 0x0000
        os.utime(spool.incoming(name), (at.timestamp(), at.timestamp()))


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def geometries(ledger: Ledger) -> list[str]:
    return sorted(
        row["geometry"] or row["reason"].split(":")[0] for row in ledger.rows(stacks) if row["standing"] == "STANDS"
    )


def test_a_gapless_series_of_a_released_association_is_closed_soon(
    spool: Spool, ledger: Ledger, assembler: Assembler
) -> None:
    arrive(spool, factories.ct_series(GRID), "2.25.1")
    spool.note_association("2.25.1", {"released": True})
    assembler.tick(after(1))
    assert ledger.rows(series) == []
    assembler.tick(after(2))
    assert [row["evidence"] for row in ledger.rows(series)] == ["association released, no hole"]
    assert geometries(ledger) == ["axial, 8 x 8 x 8 voxels of 2.5 x 1 x 1 mm"]


@pytest.mark.parametrize(
    ("missing", "released"),
    [pytest.param([4], True, id="a hole"), pytest.param([], False, id="an association that is still open")],
)
def test_a_series_that_may_still_grow_waits_for_silence(
    spool: Spool, ledger: Ledger, assembler: Assembler, missing: list[int], released: bool
) -> None:
    arrive(spool, factories.ct_series(GRID, missing=missing), "2.25.1")
    if released:
        spool.note_association("2.25.1", {"released": True})
    assembler.tick(after(59))
    assert ledger.rows(series) == []
    assembler.tick(after(60))
    assert [row["evidence"] for row in ledger.rows(series)] == ["nothing more arrived"]


def test_the_next_stage_finds_the_instances_in_the_order_of_the_grid(
    spool: Spool, ledger: Ledger, assembler: Assembler
) -> None:
    images = factories.ct_series(GRID)
    arrive(spool, images[::-1], "2.25.1")
    assembler.tick(after(60))
    (stack_id,) = ledger.undecided()
    stack = read_stack(spool, stack_id)
    assert list(stack.sop_instance_uids) == [image.SOPInstanceUID for image in images]
    assert stack.grid is not None
    assert stack.grid.matches(GRID)
    assert stack.received_at == NOW


def test_a_stack_tells_the_units_of_its_values_and_that_compression_lost_some(
    spool: Spool, ledger: Ledger, assembler: Assembler
) -> None:
    images = factories.ct_series()
    for image in images:
        image.Modality, image.Units = "PT", "BQML"
    images[3].LossyImageCompression = "01"
    arrive(spool, images, "2.25.1")
    assembler.tick(after(60))
    (row,) = ledger.rows(stacks)
    assert "values in BQML; lossy compressed" in row["geometry"]
    assert read_stack(spool, row["stack_id"]).lossy


def test_a_late_instance_reopens_the_series_and_joins_it_on_the_next_close(
    spool: Spool, ledger: Ledger, assembler: Assembler
) -> None:
    images = factories.ct_series(GRID)
    arrive(spool, images[:4] + images[5:], "2.25.1")
    assembler.tick(after(60))
    assert geometries(ledger) == ["hole"]
    arrive(spool, [images[4]], "2.25.2", at=after(100))
    assembler.tick(after(160))
    assert geometries(ledger) == ["axial, 8 x 8 x 8 voxels of 2.5 x 1 x 1 mm"]


def test_two_series_that_arrive_in_turns_do_not_mix(spool: Spool, ledger: Ledger, assembler: Assembler) -> None:
    first, second = factories.ct_series(GRID, seed="one"), factories.ct_series(GRID, seed="two")
    for pair in zip(first, second, strict=True):
        arrive(spool, pair, "2.25.1")
    assembler.tick(after(60))
    assert geometries(ledger) == ["axial, 8 x 8 x 8 voxels of 2.5 x 1 x 1 mm"] * 2


def test_a_series_over_two_associations_waits_for_the_release_of_both(
    spool: Spool, ledger: Ledger, assembler: Assembler
) -> None:
    images = factories.ct_series(GRID)
    arrive(spool, images[:4], "2.25.1")
    arrive(spool, images[4:], "2.25.2")
    spool.note_association("2.25.1", {"released": True})
    assembler.tick(after(10))
    assert ledger.rows(series) == []
    spool.note_association("2.25.2", {"released": True})
    assembler.tick(after(11))
    assert len(ledger.rows(series)) == 1


def test_a_restart_forgets_nothing_and_closes_nothing_twice(spool: Spool, ledger: Ledger, assembler: Assembler) -> None:
    arrive(spool, factories.ct_series(GRID), "2.25.1")
    assembler.tick(after(30))
    Assembler(spool, ledger, PATIENCE).tick(after(60))
    (closed,) = ledger.rows(series)
    Assembler(spool, ledger, PATIENCE).tick(after(120))
    assert ledger.rows(series) == [closed]


def test_a_stack_whose_record_was_deleted_is_made_again(spool: Spool, ledger: Ledger, assembler: Assembler) -> None:
    arrive(spool, factories.ct_series(GRID), "2.25.1")
    assembler.tick(after(60))
    (stack_id,) = ledger.undecided()
    spool.stack(stack_id).unlink()
    again = Assembler(spool, ledger, PATIENCE)
    again.recover()
    again.tick(after(120))
    assert read_stack(spool, stack_id).stack_id == stack_id


def test_a_series_with_a_file_that_cannot_be_read_is_refused_until_it_comes_again(
    spool: Spool, ledger: Ledger, assembler: Assembler
) -> None:
    images = factories.ct_series(GRID)
    arrive(spool, images, "2.25.1")
    spool.incoming(InstanceName(str(images[0].SeriesInstanceUID), str(images[0].SOPInstanceUID))).write_bytes(b"noise")
    assembler.tick(after(0))
    assembler.tick(datetime.now(UTC) + timedelta(seconds=60))
    assert geometries(ledger) == ["unreadable instances"]
    assert len(list((spool.root / "held").iterdir())) == 1
    arrive(spool, images[:1], "2.25.2")
    assembler.tick(datetime.now(UTC) + timedelta(seconds=120))
    assert geometries(ledger) == ["axial, 8 x 8 x 8 voxels of 2.5 x 1 x 1 mm"]


def test_a_file_that_cannot_be_read_just_now_is_read_by_the_next_tick(
    spool: Spool, ledger: Ledger, assembler: Assembler, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> None:
        raise TryAgain(f"{path.name} cannot be read now (OSError)")

    arrive(spool, factories.ct_series(GRID), "2.25.1")
    with monkeypatch.context() as broken:
        broken.setattr("service.assemble.read_instance", fail)
        assembler.tick(after(60))
    assert list((spool.root / "held").iterdir()) == []
    for _ in range(2):
        assembler.tick(after(61))
    assert geometries(ledger) == ["axial, 8 x 8 x 8 voxels of 2.5 x 1 x 1 mm"]


def test_a_series_that_cannot_be_closed_holds_up_no_other(
    spool: Spool, ledger: Ledger, assembler: Assembler, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = factories.ct_series(GRID, seed="one"), factories.ct_series(GRID, seed="two")
    arrive(spool, [*first, *second], "2.25.1")
    really = ledger.close_series

    def fail_for_the_first(closed: SeriesRow, parts: Sequence[StackRow], now: datetime) -> None:
        if closed.series_instance_uid == first[0].SeriesInstanceUID:
            raise OverflowError
        really(closed, parts, now)

    monkeypatch.setattr(ledger, "close_series", fail_for_the_first)
    assembler.tick(after(60))
    assert [row["series_instance_uid"] for row in ledger.rows(series)] == [second[0].SeriesInstanceUID]


def test_retention_removes_what_has_ended_and_nothing_that_came_since(
    spool: Spool, ledger: Ledger, assembler: Assembler
) -> None:
    images = factories.ct_series(GRID, missing=[4])
    arrive(spool, images, "2.25.1")
    assembler.tick(after(60))
    (refusal,) = ledger.undecided_refusals()
    ledger.decide(refusal, "not analysed", [])
    arrive(spool, factories.ct_series(GRID)[4:5], "2.25.2")
    retain.tick(spool, ledger, after(864000), timedelta(days=7))
    assert len(list(spool.arrivals())) == 8
    spool.remove(InstanceName(str(images[0].SeriesInstanceUID), str(factories.ct_series(GRID)[4].SOPInstanceUID)))
    retain.tick(spool, ledger, after(864000), timedelta(days=7))
    assert list(spool.arrivals()) == []


def test_each_radiograph_becomes_an_input_of_its_own_without_a_grid(
    spool: Spool, ledger: Ledger, assembler: Assembler
) -> None:
    images = factories.ct_series(GRID)[:2]
    for image in images:
        image.SOPClassUID, image.Modality, image.ViewPosition = DigitalXRayImageStorageForPresentation, "DX", "PA"
        image.PixelSpacing = [0.2, 0.3]
        del image.ImagePositionPatient
    arrive(spool, images, "2.25.1")
    assembler.tick(after(60))
    records = [read_stack(spool, stack_id) for stack_id in ledger.undecided()]
    assert [record.grid for record in records] == [None, None]
    assert {record.frames[0].sop_instance_uid for record in records} == {image.SOPInstanceUID for image in images}
    words = {row["geometry"] for row in ledger.stacks_of([images[0].SeriesInstanceUID])}
    assert words == {"radiograph, 8 x 8 pixels of 0.2 x 0.3 mm (of unknown origin); view PA"}
