"""A file that has no name but a temporary one until its bytes are on the disk."""

import mmap
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from service.core.errors import NO_ROOM, NoRoom, TryAgain

_MOST_PIECES = 1000  # IOV_MAX is 1024
_CHUNK = 160 * 1024  # larger single writes were measured slower


class HalfWritten:
    """A file in tmp/: written piece by piece, then kept under its name or discarded; one of the two must be called.

    Every method raises TryAgain (NoRoom when the disk is full) when the disk refuses; the file is then gone.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = -1
        self._size = 0
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise refused(Path(path).name, error) from error

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Append."""
        size = sum(map(len, pieces))
        try:
            if size > _CHUNK or len(pieces) > _MOST_PIECES or os.writev(self._descriptor, pieces) != size:
                self._write_slowly(pieces)
        except OSError as error:
            raise self._failed(error) from error
        self._size += size

    def _write_slowly(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Write in chunks from where the file ended; a part of it may be there already."""
        offset = self._size
        for piece in pieces:
            view = memoryview(piece)
            while view:
                written = os.pwrite(self._descriptor, view[:_CHUNK], offset)
                view, offset = view[written:], offset + written
        os.lseek(self._descriptor, offset, os.SEEK_SET)

    def overwrite(self, offset: int, content: bytes) -> None:
        """Write over bytes that were written before."""
        try:
            os.pwrite(self._descriptor, content, offset)
        except OSError as error:
            raise self._failed(error) from error

    def content(self) -> mmap.mmap:
        """The bytes so far, to be closed by the caller."""
        try:
            return mmap.mmap(self._descriptor, self._size, prot=mmap.PROT_READ)
        except OSError as error:
            raise self._failed(error) from error

    def flush(self) -> None:
        """Bring the bytes to the disk. What failed once is never flushed again: the kernel may have dropped them."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise self._failed(error) from error

    def keep(self, target: str | Path) -> bool:
        """Give the file its name; False, and nothing done, where the name is taken."""
        try:
            os.link(self._path, target)  # unlike a rename, it fails where another was first
        except FileExistsError:
            return False
        except OSError as error:
            raise self._failed(error) from error
        self.discard()
        return True

    def replace(self, target: Path) -> None:
        """Give the file its name in place of an older one."""
        try:
            Path(self._path).replace(target)
        except OSError as error:
            raise self._failed(error) from error
        self.discard()

    def discard(self) -> None:
        """Remove the temporary name; the file is gone unless it was kept."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        with suppress(OSError):  # a disk that refuses this too: the next start sweeps tmp/
            os.unlink(self._path)  # noqa: PTH108 - names are text on the way of every instance

    def _failed(self, error: OSError) -> TryAgain:
        self.discard()
        return refused(Path(self._path).name, error)


def refused(name: str, error: OSError) -> TryAgain:
    """The disk's refusal in our words."""
    kind = NoRoom if error.errno in NO_ROOM else TryAgain
    return kind(f"the spool cannot keep {name}: {error.strerror}")
