"""What the spool keeps, what it refuses, and what a crash may leave."""

import errno
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.core.errors import Broken, TryAgain
from service.edge.file_meta import DataSetDigest, Offer, Provenance, digest_offset, encode_meta
from service.edge.spool import Admission, InstanceName, Spool

NAME = InstanceName("1.2.3.1", "1.2.3.4")
META = encode_meta(
    Offer("1.2.840.10008.5.1.4.1.1.2", "1.2.3.4", "1.2.840.10008.1.2.1", Provenance("CT01", "ISOCENTER", "2.25.1"))
)


def admit(spool: Spool, data_set: bytes) -> Admission:
    digest = DataSetDigest(data_set).hexdigest()
    half = spool.begin()
    half.write((META, data_set))
    half.overwrite(digest_offset(META), digest.encode())
    return spool.admit(half, NAME, digest)


def kept(data_set: bytes) -> bytes:
    return META[: digest_offset(META)] + DataSetDigest(data_set).hexdigest().encode() + data_set


def files(spool: Spool, folder: str) -> list[str]:
    return sorted(path.name for path in (spool.root / folder).iterdir())


def test_an_admitted_instance_is_there_byte_for_byte_and_nothing_is_left_half_written(spool: Spool) -> None:
    assert admit(spool, b"data set") is Admission.STORED
    assert spool.incoming(NAME).read_bytes() == kept(b"data set")
    assert files(spool, "tmp") == []
    assert list(spool.arrivals()) == [NAME]


def test_the_same_data_set_again_changes_nothing(spool: Spool) -> None:
    admit(spool, b"data set")
    assert admit(spool, b"data set") is Admission.KNOWN
    assert spool.incoming(NAME).read_bytes() == kept(b"data set")
    assert files(spool, "held") == []


def test_other_bytes_under_the_same_uid_are_held_and_the_first_are_kept(spool: Spool) -> None:
    admit(spool, b"data set")
    assert admit(spool, b"another") is Admission.HELD
    assert spool.incoming(NAME).read_bytes() == kept(b"data set")
    assert len(files(spool, "held")) == 1


@pytest.mark.parametrize("call", ["fsync", "link"])
def test_a_disk_that_refuses_leaves_nothing_and_says_try_again(
    spool: Spool, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(TryAgain, match="No space left on device"):
        admit(spool, b"data set")
    assert files(spool, "tmp") == []
    assert files(spool, "incoming") == []


@pytest.mark.parametrize("uid", ["../../x", "1.2/3", "", "1.2.3\n"], ids=repr)
def test_a_name_that_is_no_uid_never_meets_a_path(uid: str) -> None:
    with pytest.raises(Broken, match="is not a UID"):
        InstanceName("1.2.3", uid)


def test_the_file_and_then_its_folder_are_flushed_before_admit_returns(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    really = os.fsync

    def note(descriptor: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        really(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    admit(spool, b"data set")
    assert len(flushed) == 2
    assert "instance" in flushed[0]
    assert flushed[1] == "incoming"


def test_an_association_counts_as_released_only_when_it_was(spool: Spool) -> None:
    spool.note_association("2.25.1", {"released": True})
    spool.note_association("2.25.2", {"released": False})
    assert [spool.was_released(name) for name in ("2.25.1", "2.25.2", "2.25.3")] == [True, False, False]


def test_word_of_old_associations_is_forgotten(spool: Spool) -> None:
    spool.note_association("2.25.1", {"released": True})
    spool.forget_associations(before=datetime.now(UTC) - timedelta(hours=1))
    assert spool.was_released("2.25.1")
    spool.forget_associations(before=datetime.now(UTC) + timedelta(hours=1))
    assert not spool.was_released("2.25.1")


def test_what_a_crash_left_half_written_is_swept(spool: Spool) -> None:
    (spool.root / "tmp" / "half").write_bytes(b"x")
    assert spool.sweep() == 1
    assert files(spool, "tmp") == []


def test_what_dead_processes_left_half_written_is_swept_while_the_living_write(spool: Spool) -> None:
    half = spool.begin()
    (spool.root / "tmp" / "4194305_ab_instance_0").write_bytes(b"x")  # beyond the largest process number
    assert spool.sweep_after_the_dead() == 1
    assert len(files(spool, "tmp")) == 1
    half.discard()


def test_foreign_files_in_incoming_are_not_instances(spool: Spool) -> None:
    for name in ("notes.txt", "1.2.3.dcm", "x_y.dcm"):
        (spool.root / "incoming" / name).write_bytes(b"x")
    assert list(spool.arrivals()) == []
