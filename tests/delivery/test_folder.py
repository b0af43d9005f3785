"""What lies in a folder that is a destination, whatever happened to it before."""

import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray
from pydicom import dcmread

from models.findings import Findings
from models.volume import Grid, LabelMap
from service.assemble import record_of
from service.core.entities import Stack
from service.core.errors import TryAgain, Unreached, Unsuitable
from service.core.jobs import Job, State
from service.core.outbox import UNREADABLE, Trouble
from service.core.stacking import split
from service.edge.folder import Folder
from service.edge.part10 import read_instance, read_reference
from service.edge.records import keep_findings, keep_part, read_findings
from service.edge.spool import Spool
from service.edge.workplaces import Desk
from service.report import report
from tests import factories
from tests.arriving import receive
from tests.durability.disks import DiskRefusedError, Ext4, Tmpfs, tmpfs

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
PATIENT = "PHANTOM-ABDOMEN", "Phantom^Abdomen"


@pytest.fixture
def share(tmp_path: Path) -> Path:
    """A folder of a site."""
    (tmp_path / "share").mkdir()
    return tmp_path / "share"


@pytest.fixture
def carrier(share: Path, spool: Spool) -> Folder:
    return Folder(share, spool.root / "outbox")


def statuses(carrier: Folder, paths: list[Path]) -> list[int | None]:
    return [status for _, status in carrier.store(paths)]


def place_of(share: Path, path: Path) -> Path:
    image = dcmread(path)
    return share / str(image.StudyInstanceUID) / str(image.SeriesInstanceUID) / f"{image.SOPInstanceUID}.dcm"


def files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if not path.is_dir()}


def test_objects_lie_by_study_and_series_with_the_same_bytes(carrier: Folder, share: Path, objects: list[Path]) -> None:
    assert list(carrier.store(objects)) == [(path, 0x0000) for path in objects]
    assert files(share) == {place_of(share, path) for path in objects}
    assert [place_of(share, path).read_bytes() for path in objects] == [path.read_bytes() for path in objects]


def test_what_was_sent_is_held_until_a_byte_of_it_changes(carrier: Folder, share: Path, objects: list[Path]) -> None:
    references = [read_reference(path) for path in objects]
    assert carrier.held(references) == set()
    statuses(carrier, objects)
    assert carrier.held(references) == {path.stem for path in objects}
    first = place_of(share, objects[0])
    first.write_bytes(first.read_bytes()[:-1] + b"\xff")
    assert carrier.held(references) == {objects[1].stem}
    first.write_bytes(objects[0].read_bytes() + b"\0")
    assert carrier.held(references) == {objects[1].stem}


def test_the_same_again_is_success_and_touches_nothing(carrier: Folder, share: Path, objects: list[Path]) -> None:
    statuses(carrier, objects)
    before = [place_of(share, path).stat() for path in objects]
    assert statuses(carrier, objects) == [0, 0]
    assert [place_of(share, path).stat().st_ino for path in objects] == [each.st_ino for each in before]


def test_other_bytes_under_the_same_uid_are_replaced_by_ours(carrier: Folder, share: Path, objects: list[Path]) -> None:
    target = place_of(share, objects[0])
    target.parent.mkdir(parents=True)
    target.write_bytes(b"an older one")
    assert statuses(carrier, objects) == [0, 0]
    assert target.read_bytes() == objects[0].read_bytes()


def test_what_a_crash_left_half_written_is_removed(carrier: Folder, share: Path, objects: list[Path]) -> None:
    target = place_of(share, objects[0])
    target.parent.mkdir(parents=True)
    for name in (f".{target.name}.part", ".1.2.3.dcm.part"):
        (target.parent / name).write_bytes(b"half")
    assert statuses(carrier, objects) == [0, 0]
    assert files(share) == {place_of(share, path) for path in objects}


def test_an_object_whose_file_is_gone_or_damaged_holds_up_no_other(
    carrier: Folder, share: Path, objects: list[Path]
) -> None:
    objects[0].unlink()
    assert statuses(carrier, objects) == [UNREADABLE, 0]
    objects[0].write_bytes(b"no DICOM")
    assert statuses(carrier, objects) == [UNREADABLE, 0]
    assert files(share) == {place_of(share, objects[1])}


@pytest.mark.parametrize("uid", ["../../../escaped", "1.2/3", "1.2.3\n4", "..", ""], ids=repr)
@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_a_name_that_is_no_uid_leads_nowhere(
    carrier: Folder, spool: Spool, objects: list[Path], keyword: str, uid: str
) -> None:
    image = dcmread(objects[0])
    image[keyword].value = uid
    evil = spool.outbox("job") / "1.2.3.dcm"
    image.save_as(evil, enforce_file_format=False)
    before = files(spool.root.parent)
    assert statuses(carrier, [evil]) == [UNREADABLE]
    assert files(spool.root.parent) == before


def test_a_link_in_the_share_is_not_followed(carrier: Folder, share: Path, objects: list[Path], tmp_path: Path) -> None:
    study = place_of(share, objects[0]).parent.parent
    (tmp_path / "elsewhere").mkdir()
    study.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unreached) as raised:
        statuses(carrier, objects)
    assert raised.value.trouble == Trouble.CONFIGURATION
    assert files(tmp_path / "elsewhere") == set()


def test_a_link_in_place_of_an_object_is_replaced_and_what_it_names_stays(
    carrier: Folder, share: Path, objects: list[Path], tmp_path: Path
) -> None:
    target = place_of(share, objects[0])
    target.parent.mkdir(parents=True)
    (tmp_path / "secret").write_bytes(objects[0].read_bytes())
    target.symlink_to(tmp_path / "secret")
    assert carrier.held([read_reference(objects[0])]) == set()
    assert statuses(carrier, objects) == [0, 0]
    assert not target.is_symlink()
    assert (tmp_path / "secret").read_bytes() == objects[0].read_bytes()


def test_a_pipe_in_place_of_an_object_holds_up_nobody(carrier: Folder, share: Path, objects: list[Path]) -> None:
    target = place_of(share, objects[0])
    target.parent.mkdir(parents=True)
    os.mkfifo(target)
    assert statuses(carrier, objects) == [0, 0]
    assert target.read_bytes() == objects[0].read_bytes()


def test_a_folder_that_is_not_there_is_not_made(spool: Spool, objects: list[Path], tmp_path: Path) -> None:
    absent = Folder(tmp_path / "not mounted", spool.root / "outbox")
    with pytest.raises(Unreached, match="not mounted is not there: make it, or mount") as raised:
        statuses(absent, objects)
    assert raised.value.trouble == Trouble.CONFIGURATION
    with pytest.raises(TryAgain):
        absent.held([read_reference(objects[0])])
    with pytest.raises(Unreached):
        absent.probe()
    assert not absent.path.exists()


@pytest.mark.parametrize("mode", [0o700, 0o2750, 0o777], ids=oct)
def test_who_may_read_the_folder_may_read_what_is_written_there(
    carrier: Folder, share: Path, objects: list[Path], mode: int
) -> None:
    share.chmod(mode)
    statuses(carrier, objects)
    target = place_of(share, objects[0])
    modes = [stat.S_IMODE(each.stat().st_mode) for each in (target, target.parent, target.parent.parent)]
    assert modes == [mode & 0o666, mode & 0o2777, mode & 0o2777]


def test_a_probe_leaves_nothing(carrier: Folder, share: Path) -> None:
    carrier.probe()
    assert files(share) == set()


def test_a_folder_is_not_asked_to_commit(carrier: Folder, objects: list[Path]) -> None:
    with pytest.raises(Unsuitable):
        carrier.ask_commitment("1.2.3", [read_reference(objects[0])])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Tmpfs]:
    """A disk that can be filled; skips with a reason where none can be mounted."""
    with ExitStack() as stack:
        try:
            lent = stack.enter_context(tmpfs(tmp_path / "small", "size=1m"))
        except DiskRefusedError as reason:
            pytest.skip(str(reason))
        yield lent


def test_a_full_disk_is_busy_leaves_nothing_and_takes_it_later(
    small_disk: Tmpfs, spool: Spool, objects: list[Path]
) -> None:
    carrier = Folder(small_disk.root, spool.root / "outbox")
    ballast = small_disk.root / "ballast"
    ballast.write_bytes(bytes(small_disk.free_bytes()))
    assert statuses(carrier, objects) == [0xA700, 0xA700]
    assert files(small_disk.root) == {ballast}
    ballast.unlink()
    assert statuses(carrier, objects) == [0, 0]


def test_a_share_that_may_not_be_written_is_a_matter_of_configuration(
    small_disk: Tmpfs, spool: Spool, objects: list[Path]
) -> None:
    carrier = Folder(small_disk.root, spool.root / "outbox")
    small_disk.remount("ro")
    for attempt in (lambda: statuses(carrier, objects), carrier.probe):
        with pytest.raises(Unreached, match="Read-only file system: let this node write there") as raised:
            attempt()
        assert raised.value.trouble == Trouble.CONFIGURATION


def _do_not(_descriptor: int) -> None:
    """Nothing reaches the disk."""


@pytest.mark.power_cut
@pytest.mark.parametrize("flushes", [True, False], ids=["as it is", "without any flush"])
def test_what_was_answered_success_outlives_a_power_cut(
    disk: Ext4, spool: Spool, objects: list[Path], monkeypatch: pytest.MonkeyPatch, flushes: bool
) -> None:
    carrier = Folder(disk.root, spool.root / "outbox")
    if not flushes:
        monkeypatch.setattr(os, "fsync", _do_not)
    assert statuses(carrier, objects) == [0, 0]
    disk.cut_power()
    disk.unmount()
    disk.mount()
    held = carrier.held([read_reference(path) for path in objects])
    assert held == ({path.stem for path in objects} if flushes else set())


@pytest.fixture
def reported(spool: Spool) -> "Reported":
    """A way to have findings on a series reported for a folder that takes NIfTI; the objects in outbox/."""

    def make(grid: Grid, find: Callable[[Grid], Findings]) -> list[Path]:
        for image in factories.ct_series(grid):
            assert receive(spool, image).status == 0x0000
        (stack,) = split(read_instance(path) for path in (spool.root / "incoming").iterdir())
        keep_part(spool, replace(record_of(stack, NOW), stack_id="stack"))
        assert isinstance(stack, Stack)
        keep_findings(spool, "job", find(stack.grid))
        job = Job("job", "stack", "1.2.3", "1.2", "m", "1.0.0", "rule", ("share",), State.REPORTING, 0, NOW)
        report(Desk(spool.root, {}, "0.1.0", frozenset({"share"})), job)
        return sorted(spool.outbox("job").glob("*.dcm"))

    return make


Reported = Callable[[Grid, Callable[[Grid], Findings]], list[Path]]


@pytest.mark.parametrize("orientation", sorted(factories.ORIENTATIONS))
def test_label_maps_and_findings_come_with_the_first_object_of_a_job(
    share: Path, spool: Spool, reported: Reported, orientation: str
) -> None:
    grid = factories.grid(orientation, shape=(9, 41, 37), spacing_mm=(2.5, 0.8, 1.1))
    objects = reported(grid, factories.layered)
    findings = read_findings(spool, "job")
    carrier = Folder(share, spool.root / "outbox", with_side_files=True)

    assert statuses(carrier, objects[:1]) == [0]

    assert {path.name for path in (share / "job").iterdir()} == {"labels.nii.gz", "labels-2.nii.gz", "findings.json"}
    for name, layer in zip(("labels.nii.gz", "labels-2.nii.gz"), findings.layers, strict=True):
        image = nibabel.load(share / "job" / name)
        _assert_same(np.asarray(image.dataobj), RAS_TO_LPS @ image.affine, layer)
        by_itk = SimpleITK.ReadImage(str(share / "job" / name))
        _assert_same(SimpleITK.GetArrayFromImage(by_itk).transpose(), _affine(by_itk), layer)
    assert statuses(carrier, objects) == [0] * len(objects)
    references = [read_reference(path) for path in objects]
    assert carrier.held(references) == {path.stem for path in objects}
    (share / "job" / "findings.json").unlink()
    assert carrier.held(references) == set()


def _affine(image: SimpleITK.Image) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return affine


def _assert_same(array: NDArray[np.generic], to_lps: NDArray[np.float64], layer: LabelMap) -> None:
    """Each voxel has the label of the same place."""
    indices = np.argwhere(array)
    assert len(indices) == np.count_nonzero(layer.labels)
    found = np.rint(layer.grid.to_index(indices @ to_lps[:3, :3].T + to_lps[:3, 3])).astype(int)
    assert np.array_equal(layer.labels[tuple(found.T)], array[tuple(indices.T)])


def test_findings_json_says_what_was_found_and_names_nobody(share: Path, spool: Spool, reported: Reported) -> None:
    grid = factories.grid(spacing_mm=(2.5, 0.8, 1.1), shape=(12, 40, 32))
    objects = reported(grid, factories.rich_findings)
    statuses(Folder(share, spool.root / "outbox", with_side_files=True), objects)

    written = (share / "job" / "findings.json").read_text()
    said = json.loads(written)

    image = factories.ct_series(grid)[0]
    assert not any(word in written for word in PATIENT)
    assert said["model"]["manifest_sha256"] == factories.ALGORITHM.manifest_sha256
    assert said["source"]["series_instance_uid"] == image.SeriesInstanceUID
    assert len(said["evidence"]) == 12
    liver, spleen, kidney = said["regions"]
    assert (liver["name"], liver["type"]["value"], liver["file"]) == ("Liver", "10200004", "labels.nii.gz")
    labels = np.asarray(nibabel.load(share / "job" / spleen["file"]).dataobj)
    voxel_ml = float(np.abs(np.linalg.det(grid.affine[:3, :3]))) / 1000
    for region in (liver, spleen, kidney):
        assert region["volume_ml"] == pytest.approx(np.count_nonzero(labels == region["value"]) * voxel_ml)
    assert kidney["voxels"] == 0
    units = {each["unit"]["value"] for each in liver["measurements"]}
    assert units == {"mm", "[hnsf'U]"}
    assert [each["is_positive"] for each in said["scores"]] == [False, True]
    assert said["changes"][0]["measured_before_on"] == "2025-03-04"


def test_the_same_findings_are_the_same_bytes(spool: Spool, reported: Reported) -> None:
    grid = factories.grid()
    reported(grid, factories.layered)
    before = {path.name: path.read_bytes() for path in spool.outbox("job").iterdir()}
    reported(grid, factories.layered)
    assert {path.name: path.read_bytes() for path in spool.outbox("job").iterdir()} == before


def test_a_folder_that_wants_dicom_alone_gets_no_more(carrier: Folder, share: Path, reported: Reported) -> None:
    grid = factories.grid()
    statuses(carrier, reported(grid, factories.findings))
    assert {path.suffix for path in files(share)} == {".dcm"}
