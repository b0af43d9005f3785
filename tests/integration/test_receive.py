"""The door: what a sender is answered, and what then lies in the spool."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.association import Association

from service.core.errors import ConfigurationError
from service.derived.encoding import encode
from service.edge.intake import Answer, Refused
from service.edge.listening import listening
from service.edge.spool import Spool
from service.edge.storage_scp import Door, StorageScp
from service.edge.storage_scu import Remote, echo, store
from service.receive import Receiver
from tests import factories, raw_sender
from tests.arriving import receive
from tests.hostile.client import association
from tests.node import until

GRID = factories.grid(shape=(5, 8, 8))


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture(params=["fast", "stock"])
def door(request: pytest.FixtureRequest) -> Door:
    return Door("ISOCENTER", engine=request.param)


@pytest.fixture
def port(door: Door, spool: Spool) -> Iterator[int]:
    receiver = Receiver(spool, refuse_below_free=0.0)
    with listening(StorageScp(door, receiver.begin, receiver.note_end)) as port:
        yield port


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number}.dcm" for number in range(5)]
    for path, image in zip(paths, factories.ct_series(GRID), strict=True):
        path.write_bytes(encode(image))
    return paths


def kept(spool: Spool) -> list[Path]:
    return sorted((spool.root / "incoming").iterdir())


def remote(port: int) -> Remote:
    return Remote("CT01", "ISOCENTER", "127.0.0.1", port)


def test_each_instance_is_kept_as_sent_before_it_is_acknowledged(port: int, spool: Spool, files: list[Path]) -> None:
    for path, status in store(remote(port), files):
        assert status == 0x0000
        sent = dcmread(path)
        (there,) = [file for file in kept(spool) if file.name.endswith(f"_{sent.SOPInstanceUID}.dcm")]
        assert there.read_bytes().endswith(raw_sender.data_set(sent))


def test_an_association_that_was_released_is_noted(port: int, spool: Spool, files: list[Path]) -> None:
    list(store(remote(port), files))
    until(lambda: list((spool.root / "associations").iterdir()), "the association is noted", seconds=5)
    (note,) = (spool.root / "associations").iterdir()
    assert spool.was_released(note.stem)


def test_an_association_that_brought_nothing_leaves_nothing(port: int, spool: Spool) -> None:
    echo(remote(port))
    assert list((spool.root / "associations").iterdir()) == []


def test_an_association_that_is_aborted_is_not_released(port: int, spool: Spool, files: list[Path]) -> None:

    entity = AE("CT01")
    entity.add_requested_context(raw_sender.CT)
    association = raw_sender.associate(entity, port)
    assert association.send_c_store(dcmread(files[0])).Status == 0x0000
    association.abort()
    until(lambda: list((spool.root / "associations").iterdir()), "the association is noted", seconds=5)
    (note,) = (spool.root / "associations").iterdir()
    assert not spool.was_released(note.stem)


def test_below_the_watermark_a_sender_is_told_to_try_again(door: Door, spool: Spool, files: list[Path]) -> None:
    receiver = Receiver(spool, refuse_below_free=0.9999)
    with listening(StorageScp(door, receiver.begin, receiver.note_end)) as port:
        assert [status for _, status in store(remote(port), files)] == [0xA700] * 5
    assert kept(spool) == []


def test_the_same_instances_again_are_acknowledged_and_not_kept_twice(
    port: int, spool: Spool, files: list[Path]
) -> None:
    for _ in range(2):
        assert {status for _, status in store(remote(port), files)} == {0x0000}
    assert len(kept(spool)) == 5


def test_other_pixels_under_the_same_uid_are_held_and_the_first_are_kept(
    port: int, spool: Spool, files: list[Path]
) -> None:
    list(store(remote(port), files[:1]))
    first = kept(spool)[0].read_bytes()
    changed = dcmread(files[0])
    changed.PixelData = np.zeros((8, 8), dtype="<u2").tobytes()
    files[0].write_bytes(encode(changed))
    assert [status for _, status in store(remote(port), files[:1])] == [0x0000]
    assert kept(spool)[0].read_bytes() == first
    assert len(list((spool.root / "held").iterdir())) == 1


@pytest.mark.parametrize(
    "option", ["-xe", "-xi", "-xv", "-xs"], ids=["explicit", "implicit", "JPEG 2000", "JPEG lossless"]
)
def test_storescu_is_understood_in_every_syntax_it_can_propose(
    port: int, spool: Spool, files: list[Path], outside_tool: Callable[[str], str], option: str
) -> None:
    line = [outside_tool("storescu"), option, "-aec", "ISOCENTER", "127.0.0.1", str(port), *map(str, files)]
    seen = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (seen.returncode, seen.stderr) == (0, "")
    assert len(kept(spool)) == 5
    for path in kept(spool):
        assert _same_pixels(path, files)


def _same_pixels(path: Path, files: list[Path]) -> bool:
    received = dcmread(path)
    (sent,) = [each for each in map(dcmread, files) if each.SOPInstanceUID == received.SOPInstanceUID]
    return bool(np.array_equal(received.pixel_array, sent.pixel_array))


def test_deflated_and_big_endian_are_never_accepted(port: int) -> None:

    entity = AE("CT01")
    entity.add_requested_context(raw_sender.CT, ["1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"])
    entity.add_requested_context("1.2.840.10008.1.1")
    association = raw_sender.associate(entity, port)
    accepted = {context.abstract_syntax for context in association.accepted_contexts}
    association.release()
    assert accepted == {"1.2.840.10008.1.1"}


def test_a_data_set_without_a_patient_is_kept_all_the_same(port: int, spool: Spool, tmp_path: Path) -> None:
    image: Dataset = factories.ct_series(GRID)[0]
    del image.PatientID
    del image.PatientName
    (tmp_path / "image.dcm").write_bytes(encode(image))
    assert [status for _, status in store(remote(port), [tmp_path / "image.dcm"])] == [0x0000]
    assert len(kept(spool)) == 1


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_change_of_the_wall_clock_ends_no_association(
    spool: Spool, files: list[Path], hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver = Receiver(spool, refuse_below_free=0.0)
    entity = AE("CT01")
    entity.network_timeout = entity.acse_timeout = entity.dimse_timeout = None
    entity.add_requested_context(raw_sender.CT, raw_sender.EXPLICIT_LITTLE_ENDIAN)
    with listening(StorageScp(Door("ISOCENTER"), receiver.begin, receiver.note_end)) as port:
        association = raw_sender.associate(entity, port)
        assert association.send_c_store(dcmread(files[0])).Status == 0x0000
        moment = time.time
        monkeypatch.setattr(time, "time", lambda: moment() + hours * 3600)
        assert association.send_c_store(dcmread(files[1])).Status == 0x0000
        association.release()
    assert len(kept(spool)) == 2


@pytest.mark.parametrize("uid", ["1.2.3/../../x", "1.2.3."])
def test_a_name_in_the_command_that_is_no_uid_is_answered_and_the_association_goes_on(spool: Spool, uid: str) -> None:
    receiver = Receiver(spool, refuse_below_free=0.0)
    image = raw_sender.data_set(factories.ct_series(GRID)[0])
    scp = StorageScp(Door("ISOCENTER"), receiver.begin, receiver.note_end)
    with listening(scp) as port, association(port, "CT01", "127.0.0.1") as client:
        assert [client.store(uid, image), client.echo()] == [0xC000, 0x0000]
    assert kept(spool) == []


def test_only_the_sop_classes_of_the_site_are_accepted(spool: Spool, files: list[Path]) -> None:
    receiver = Receiver(spool, refuse_below_free=0.0)
    mr_only = Door("ISOCENTER", sop_classes=["1.2.840.10008.5.1.4.1.1.4"])
    entity = AE("CT01")
    entity.add_requested_context(raw_sender.CT)
    entity.add_requested_context("1.2.840.10008.5.1.4.1.1.4")
    with listening(StorageScp(mr_only, receiver.begin, receiver.note_end)) as port:
        association = raw_sender.associate(entity, port)
        accepted = [str(context.abstract_syntax) for context in association.accepted_contexts]
        association.release()
    assert accepted == ["1.2.840.10008.5.1.4.1.1.4"]


def test_an_engine_that_no_longer_fits_pynetdicom_says_which_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Association, "_run_reactor")
    with pytest.raises(ConfigurationError, match=r"Association._run_reactor: set receiving.engine to stock"):
        StorageScp(Door("ISOCENTER"), lambda _: Refused(Answer(0)), lambda _: None)
    StorageScp(Door("ISOCENTER", engine="stock"), lambda _: Refused(Answer(0)), lambda _: None)


def test_the_word_of_an_association_says_what_it_brought(port: int, spool: Spool, files: list[Path]) -> None:
    list(store(remote(port), files))
    until(lambda: list((spool.root / "associations").iterdir()), "the association is noted", seconds=5)
    (note,) = (spool.root / "associations").iterdir()
    said = json.loads(note.read_text())
    assert (said["calling_ae_title"], said["address"], said["instances"]) == ("CT01", "127.0.0.1", 5)
    assert (said["statuses"], said["ended"]) == ({"0000": 5}, "released")
    assert said["bytes"] == sum(len(raw_sender.data_set(dcmread(path))) for path in files)


def test_one_flush_of_the_folder_serves_all_who_came_before_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", flushing="grouped")
    images = [image for _ in range(8) for image in factories.ct_series(GRID)]
    for image in images:
        image.SOPInstanceUID = generate_uid()
    with ThreadPoolExecutor(8) as senders:
        answers = list(senders.map(lambda image: receive(spool, image).status, images))
    assert answers == [0x0000] * len(images)
    assert len(kept(spool)) == len(images)
