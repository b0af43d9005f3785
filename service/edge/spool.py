"""The spool: every byte this node was given or made, in folders an administrator can read.

tmp/           half-written; may be emptied while the node is stopped
incoming/      received instances, <series>_<sop>.dcm; the truth: never delete what is not yet analysed
held/          set aside for a person: same UID with other bytes, unreadable files
associations/  how each association that brought instances ended
commitments/   storage commitment: requests that wait for our answer, and what peers told of ours
stacks/        which instances form a stack, and where it lies, or why they form none; remade from incoming/
work/          findings by job; remade from incoming/
outbox/        verified objects by job, until every destination has them
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import count
from pathlib import Path
from typing import BinaryIO

from service.core.errors import Broken
from service.core.identity import is_uid
from service.edge.file_meta import kept_digest
from service.edge.flushing import EachForItself, FolderFlush, Grouped, flush_folder
from service.edge.half_written import HalfWritten, refused

FOLDERS = ("tmp", "incoming", "held", "associations", "commitments", "stacks", "work", "outbox")
_UNREADABLE = ".unreadable"


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

    def __init__(self, root: Path, *, flushing: str = "each") -> None:
        self.root = root
        for folder in FOLDERS:
            (root / folder).mkdir(parents=True, exist_ok=True)
        self._incoming = f"{root}/incoming/"
        self._temporary_prefix = f"{root}/tmp/{os.getpid()}_{os.urandom(6).hex()}_"
        self._numbers = count()
        kind = Grouped if flushing == "grouped" else EachForItself
        self._flush_incoming: FolderFlush = kind(root / "incoming")

    def prepare_to_receive(self) -> None:
        """Open what every instance needs, so that none is refused for want of descriptors. Raises TryAgain."""
        self.flush_names()

    def begin(self) -> HalfWritten:
        """A file for an instance that is about to come. Raises TryAgain when the disk refuses."""
        return HalfWritten(self._temporary("instance"))

    def admit(self, half: HalfWritten, name: InstanceName, digest: str) -> Admission:
        """Keep a received instance so that it survives a power cut. Raises TryAgain when the disk refuses.

        `digest` is that of its data set.
        """
        half.flush()
        if half.keep(f"{self._incoming}{name.file_name}"):
            self.flush_names()
            return Admission.STORED
        try:
            return self._admit_again(half, self.incoming(name), digest)
        except OSError as error:
            half.discard()
            raise refused(name.file_name, error) from error

    def flush_names(self) -> None:
        """Bring the names in incoming/ to the disk. Raises TryAgain when the disk refuses.

        A file whose name may not be on the disk stays: another sender may have been told that we have it.
        """
        try:
            self._flush_incoming()
        except OSError as error:
            raise refused("a name in incoming/", error) from error

    def _admit_again(self, half: HalfWritten, target: Path, digest: str) -> Admission:
        if kept_digest(target) == digest:
            half.discard()
            self.flush_names()  # whoever was first may not have come to it yet
            return Admission.KNOWN
        half.keep(self.root / "held" / f"{target.stem}_{digest[:12]}.dcm")
        half.discard()
        flush_folder(self.root / "held")
        return Admission.HELD

    def place(self, path: Path, content: bytes, *, durably: bool = True) -> None:
        """Write a file of ours, in place of an older one of the same name. Raises TryAgain as `admit`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        half = HalfWritten(self._temporary(path.name))
        half.write((content,))
        if not durably:
            half.replace(path)
            return
        half.flush()
        half.replace(path)
        try:
            flush_folder(path.parent)
        except OSError as error:
            raise refused(path.name, error) from error

    def _temporary(self, name: str) -> str:
        """A name in tmp/ that says whose it is, so that it can be removed once that process is gone."""
        return f"{self._temporary_prefix}{name}_{next(self._numbers)}"

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
        self.hold(self.incoming(name))

    def hold(self, path: Path) -> None:
        """Set a file that cannot be read aside for a person."""
        path.replace(self.root / "held" / f"{path.name}{_UNREADABLE}")
        flush_folder(self.root / "held")

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

    def note_association(self, association: str, record: dict[str, object]) -> None:
        """Leave word of how an association ended; it survives a crash, not a power cut, and raises as `admit`.

        What a power cut takes costs patience only: the Series is then closed by silence.
        """
        self.place(self.association(association), json.dumps(record).encode(), durably=False)

    @property
    def commitments(self) -> Path:
        """Where storage commitment is written down (see commitment_files)."""
        return self.root / "commitments"

    def was_released(self, association: str) -> bool:
        """True when the association is known to have ended by A-RELEASE."""
        try:
            return bool(json.loads(self.association(association).read_bytes())["released"])
        except (FileNotFoundError, ValueError):
            return False

    def forget_associations(self, before: datetime) -> None:
        """Remove the word of associations that ended before then."""
        for path in (self.root / "associations").iterdir():
            if path.stat().st_mtime < before.timestamp():
                path.unlink()

    def free_share(self) -> float:
        """The free part of the disk, 0 to 1; the scarcer of bytes and inodes. Raises TryAgain when it does not say."""
        try:
            usage = os.statvfs(self.root)
        except OSError as error:
            raise refused("anything", error) from error
        shares = ((usage.f_favail, usage.f_files), (usage.f_bavail, usage.f_blocks))
        return min(free / whole if whole else 1.0 for free, whole in shares)

    def sweep(self) -> int:
        """Remove what a crash left half-written; call before anything writes. Returns how many files."""
        leftovers = list((self.root / "tmp").iterdir())
        for path in leftovers:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        return len(leftovers)

    def sweep_after_the_dead(self) -> int:
        """Remove what processes that are gone left half-written, while others write. Returns how many files."""
        leftovers = [path for path in (self.root / "tmp").iterdir() if _is_of_the_dead(path)]
        for path in leftovers:
            path.unlink(missing_ok=True)
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


def _is_of_the_dead(path: Path) -> bool:
    process = path.name.partition("_")[0]
    return process.isdecimal() and not Path(f"/proc/{process}").exists()
