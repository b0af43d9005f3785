"""A destination that is a folder: <study>/<series>/<object>.dcm, and <job>/ with NIfTI and JSON where wanted."""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from service.core.errors import NO_ROOM, Broken, NoRoom, TryAgain, Unreached, Unsuitable
from service.core.outbox import UNREADABLE, CommitmentReport, Reference, Trouble
from service.edge.flushing import flush_folder
from service.edge.half_written import HalfWritten
from service.edge.part10 import read_reference
from service.edge.side_files import side_files

_SUCCESS = 0x0000
_OUT_OF_RESOURCES = 0xA700
_PIECE = 1024 * 1024
_NO_FLUSH = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}  # of a folder: some shares know no such thing
_NOT_OURS = {  # what a person has to change
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
}


@dataclass(frozen=True, slots=True)
class Folder:
    """A destination below `path`, which has to be there; what is sent lies in outbox/ of the spool, by job."""

    path: Path
    outbox: Path
    with_side_files: bool = False
    _writing: Lock = field(default_factory=Lock, compare=False, repr=False)

    def __str__(self) -> str:
        return f"folder {self.path}" + (" with NIfTI" if self.with_side_files else "")

    def store(self, paths: Sequence[Path]) -> Iterator[tuple[Path, int | None]]:
        """As `Carrier`; with the first object of a job go its label maps and findings."""
        for path in paths:
            yield path, self._store(path)

    def held(self, references: Sequence[Reference]) -> set[str]:
        """As `Carrier`: those of which every byte is there, and those of what goes with them too."""
        wanted = {reference.sop_instance_uid for reference in references}
        sent = [path for path in self.outbox.glob("*/*.dcm") if path.stem in wanted]
        return {path.stem for path in sent if self._is_held(path)}

    def ask_commitment(self, transaction_uid: str, references: Sequence[Reference]) -> CommitmentReport | None:
        """As `Carrier`: a folder says nothing by itself."""
        raise Unsuitable(f"{self} is looked into, not asked to commit {len(references)} objects")

    def probe(self) -> None:
        """Write a file and remove it. Raises Unreached or NoRoom when that cannot be done."""
        target = self.path / f".isocenter-probe-{os.getpid()}"
        with self._refusals():
            self._require_path()
            self._write(iter([b"probe"]), target)
            target.unlink()

    def _store(self, path: Path) -> int:
        try:
            copies = self._copies(path)
            with self._writing, self._refusals():
                self._require_path()
                for source, target in copies.items():
                    self._keep(source, target)
        except NoRoom:
            return _OUT_OF_RESOURCES
        except Broken:
            return UNREADABLE
        return _SUCCESS

    def _is_held(self, path: Path) -> bool:
        try:
            copies = self._copies(path)
            with self._refusals():
                self._require_path()
                return all(_is_same(source, target) for source, target in copies.items())
        except Broken:
            return False  # there is nothing left to compare it with

    def _copies(self, path: Path) -> dict[Path, Path]:
        """Where an object, and what goes with it, has to lie. Raises Broken when the object cannot be read."""
        try:
            reference = read_reference(path)  # whose names are UIDs, and lead nowhere else
        except TryAgain as error:
            raise Broken(str(error)) from error
        series = self.path / reference.study_instance_uid / reference.series_instance_uid
        beside = side_files(path.parent) if self.with_side_files else []
        job = self.path / path.parent.name
        return {each: job / each.name for each in beside} | {path: series / f"{reference.sop_instance_uid}.dcm"}

    def _keep(self, source: Path, target: Path) -> None:
        """Raises Broken when the source cannot be read."""
        self._make_folders(target.parent)
        _sweep(target.parent)
        if not _is_same(source, target):
            self._write(_pieces(source), target)
        for folder in target.parents:
            _flush(folder)
            if folder == self.path:
                return

    def _make_folders(self, folder: Path) -> None:
        """Every folder between the destination's own and this one; none of them is entered through a link."""
        if folder == self.path:
            return
        self._make_folders(folder.parent)
        with suppress(FileExistsError):
            folder.mkdir()
            self._as_open_as_the_destination(folder, 0o2777)
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))

    def _write(self, pieces: Iterator[bytes], target: Path) -> None:
        temporary = target.parent / f".{target.name}.part"
        with _told_by_the_disk():
            half = HalfWritten(str(temporary))
            try:
                for piece in pieces:
                    half.write((piece,))
                self._as_open_as_the_destination(temporary, 0o666)
                half.flush()
                half.replace(target)
            finally:
                half.discard()

    def _as_open_as_the_destination(self, path: Path, most: int) -> None:
        """Whoever may read the destination's folder may read what lies in it; some shares know no permissions."""
        with suppress(PermissionError):
            path.chmod(stat.S_IMODE(self.path.stat().st_mode) & most)

    def _require_path(self) -> None:
        if not self.path.is_dir():
            words = f"{self.path} is not there: make it, or mount what it is on; it is never made by this node"
            raise Unreached(Trouble.CONFIGURATION, words)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """The disk's refusals in our words: NoRoom, or Unreached."""
        try:
            yield
        except OSError as error:
            words = f"{self.path}: {error.strerror or type(error).__name__}"
            if error.errno in NO_ROOM:
                raise NoRoom(words) from error
            if error.errno in _NOT_OURS:
                raise Unreached(Trouble.CONFIGURATION, f"{words}: let this node write there") from error
            raise Unreached(Trouble.NETWORK, words) from error


@contextmanager
def _told_by_the_disk() -> Iterator[None]:
    """What the disk said itself: a half-written file tells it in the words of the spool."""
    try:
        yield
    except TryAgain as error:
        raise error.__cause__ or error from None


def _sweep(folder: Path) -> None:
    """Remove what a crash left half-written; nobody else writes here."""
    for leftover in folder.glob(".*.part"):
        leftover.unlink(missing_ok=True)


def _flush(folder: Path) -> None:
    try:
        flush_folder(folder)
    except OSError as error:
        if error.errno not in _NO_FLUSH:
            raise


def _pieces(source: Path) -> Iterator[bytes]:
    try:
        with source.open("rb") as stream:
            while piece := stream.read(_PIECE):
                yield piece
    except OSError as error:
        raise Broken(f"{source.name} cannot be read: {error.strerror}") from error


def _is_same(source: Path, target: Path) -> bool:
    """True when the target is a file with the same bytes; a link is none."""
    try:
        descriptor = os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ELOOP}:
            return False
        raise
    with os.fdopen(descriptor, "rb") as kept:
        return all(piece == kept.read(len(piece)) for piece in _pieces(source)) and not kept.read(1)
