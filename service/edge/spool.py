"""The spool: every byte this node was given or made, in folders an administrator can read.

tmp/           half-written; may be emptied while the node is stopped
incoming/      received instances, <series>_<sop>.dcm; the truth: never delete what is not yet analysed
held/          set aside for a person: same UID with other bytes, unreadable files
associations/  how each association that brought instances ended
stacks/        which instances form a stack, and where it lies; remade from incoming/
work/          findings by job; remade from incoming/
outbox/        verified objects by job, until every destination has them
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from service.core.errors import Broken, NoRoom, TryAgain
from service.core.identity import is_uid
from service.edge.part10 import data_set_offset

FOLDERS = ("tmp", "incoming", "held", "associations", "stacks", "work", "outbox")
_UNREADABLE = ".unreadable"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
_CHUNK = 128 * 1024  # larger single writes were measured slower


class Admission(StrEnum):
    """What became of a received instance."""

    STORED = "stored"
    KNOWN = "known"  # the same bytes were here already
    HELD = "held"  # other bytes were here under the same UID: the first is kept


@dataclass(frozen=True, slots=True, order=True)
class InstanceName:
    """The name of a received instance in incoming/."""

    series_instance_uid: str
    sop_instance_uid: str

    def __post_init__(self) -> None:
        if not (is_uid(self.series_instance_uid) and is_uid(self.sop_instance_uid)):
            raise Broken(f"{self.series_instance_uid[:70]!r} or {self.sop_instance_uid[:70]!r} is not a UID")

    @property
    def file_name(self) -> str:
        """`<series>_<sop>.dcm`."""
        return f"{self.series_instance_uid}_{self.sop_instance_uid}.dcm"


class Spool:
    """The folders under one root, all on one file system."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in FOLDERS:
            (root / folder).mkdir(parents=True, exist_ok=True)

    def admit(self, name: InstanceName, meta: bytes, data_set: bytes) -> Admission:
        """Keep a received instance so that it survives a power cut. Raises TryAgain when the disk refuses."""
        target = self.incoming(name)
        if self._place(target, (meta, data_set)):
            return Admission.STORED
        if _same_data_set(target, data_set):
            return Admission.KNOWN
        twin = f"{target.stem}_{hashlib.sha256(data_set).hexdigest()[:12]}.dcm"
        self._place(self.root / "held" / twin, (meta, data_set))
        return Admission.HELD

    def place(self, path: Path, content: bytes) -> None:
        """Write a file of ours durably, in place of an older one of the same name. Raises TryAgain as `admit`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._place(path, (content,), replace=True)

    def _place(self, target: Path, parts: Iterable[bytes], *, replace: bool = False) -> bool:
        """False, and nothing changed, when `target` exists and is not to be replaced."""
        half = self.root / "tmp" / f"{os.getpid()}_{target.name}_{os.urandom(4).hex()}"
        try:
            _write_flushed(half, parts)
            if replace:
                half.replace(target)
            else:
                os.link(half, target)  # unlike a rename, it fails where another association was first
                half.unlink()
            _flush_folder(target.parent)
        except FileExistsError:
            half.unlink(missing_ok=True)
            _flush_folder(target.parent)  # whoever was first may not have come to it yet
            return False
        except OSError as error:
            half.unlink(missing_ok=True)
            kind = NoRoom if error.errno in _NO_ROOM else TryAgain
            raise kind(f"the spool cannot keep {target.name}: {error.strerror}") from error
        return True

    def incoming(self, name: InstanceName) -> Path:
        """Where a received instance lies."""
        return self.root / "incoming" / name.file_name

    def arrivals(self) -> Iterator[InstanceName]:
        """The names of all received instances."""
        for entry in os.scandir(self.root / "incoming"):
            series, _, sop = entry.name.removesuffix(".dcm").partition("_")
            if entry.name.endswith(".dcm") and is_uid(series) and is_uid(sop):
                yield InstanceName(series, sop)

    def incoming_changed_at(self) -> int:
        """When a file last came to incoming/ or left it, by the disk's own coarse clock."""
        return (self.root / "incoming").stat().st_mtime_ns

    def hold_unreadable(self, name: InstanceName) -> None:
        """Set an instance aside for a person."""
        path = self.incoming(name)
        path.replace(self.root / "held" / f"{path.name}{_UNREADABLE}")
        _flush_folder(self.root / "held")

    def unreadable(self, series_instance_uid: str) -> set[str]:
        """SOP Instance UIDs of a Series that were set aside as unreadable."""
        held = (self.root / "held").glob(f"{series_instance_uid}_*{_UNREADABLE}")
        return {path.name.removesuffix(f".dcm{_UNREADABLE}").partition("_")[2] for path in held}

    def arrived_at(self, name: InstanceName) -> datetime:
        """When an instance was kept."""
        return datetime.fromtimestamp(self.incoming(name).stat().st_mtime, UTC)

    def remove(self, name: InstanceName) -> None:
        """Remove an instance whose work has ended."""
        self.incoming(name).unlink(missing_ok=True)

    def stack(self, stack_id: str) -> Path:
        """Where a stack's record lies."""
        return self.root / "stacks" / f"{stack_id}.json"

    def work(self, job_id: str) -> Path:
        """The folder of a job's findings."""
        return self.root / "work" / job_id

    def outbox(self, job_id: str) -> Path:
        """The folder of a job's verified objects."""
        return self.root / "outbox" / job_id

    def association(self, association: str) -> Path:
        """Where it is written how an association ended."""
        return self.root / "associations" / f"{association}.json"

    def note_association(self, association: str, *, released: bool) -> None:
        """Leave word of how an association ended. Raises TryAgain as `admit`."""
        self.place(self.association(association), json.dumps({"released": released}).encode())

    def was_released(self, association: str) -> bool:
        """True when the association is known to have ended by A-RELEASE."""
        try:
            return bool(json.loads(self.association(association).read_bytes())["released"])
        except FileNotFoundError:
            return False

    def forget_associations(self, before: datetime) -> None:
        """Remove the word of associations that ended before then."""
        for path in (self.root / "associations").iterdir():
            if path.stat().st_mtime < before.timestamp():
                path.unlink()

    def free_share(self) -> float:
        """The free part of the disk, 0 to 1; the scarcer of bytes and inodes."""
        usage = os.statvfs(self.root)
        inodes = usage.f_favail / usage.f_files if usage.f_files else 1.0
        return min(usage.f_bavail / usage.f_blocks, inodes)

    def sweep(self) -> int:
        """Remove what a crash left half-written; call before anything writes. Returns how many files."""
        leftovers = list((self.root / "tmp").iterdir())
        for path in leftovers:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return len(leftovers)

    def lock(self) -> BinaryIO:
        """Hold the spool for as long as the result is open. Raises Broken when another node holds it."""
        holder = (self.root / ".lock").open("ab")
        try:
            fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder.close()
            raise Broken(f"another node runs on the spool {self.root}") from error
        return holder

    def discard(self, folder: Path) -> None:
        """Remove a job's folder of work/ or outbox/."""
        shutil.rmtree(folder, ignore_errors=True)


def _write_flushed(path: Path, parts: Iterable[bytes]) -> None:
    with path.open("xb", buffering=0) as stream:
        for part in parts:
            view = memoryview(part)
            while view:
                view = view[stream.write(view[:_CHUNK]) :]
        os.fsync(stream.fileno())


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _same_data_set(path: Path, data_set: bytes) -> bool:
    with path.open("rb") as stream:
        offset = data_set_offset(stream.read(144))
        if path.stat().st_size - offset != len(data_set):
            return False
        stream.seek(offset)
        return stream.read() == data_set
