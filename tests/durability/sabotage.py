"""Loaded as `sitecustomize` by each Python process of a receiver under test: breaks what it asks of the disk.

A fault is on while a file of its name lies in the folder that VARIABLE names; the file says how often it strikes.
"""

import ctypes
import errno
import os
import stat
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

VARIABLE = "ISOCENTER_SABOTAGE"
JOURNAL = "journal"  # where it lies, a line is written for every fsync
NO_FILE_FSYNC, NO_FOLDER_FSYNC = "no_file_fsync", "no_folder_fsync"
NO_LINK = "no_link"  # the file is written under its final name instead
FILE_FSYNC_EIO, FOLDER_FSYNC_EIO, LINK_EIO = "file_fsync_eio", "folder_fsync_eio", "link_eio"
LATE_FOLDER_FSYNC_EIO = "late_folder_fsync_eio"
LATE_SECONDS = 1.0

_PIECE = 8 * 1024
_PR_SET_PTRACER, _ANY = 0x59616D61, -1

Fsync = Callable[[int], None]
Placing = Callable[..., None]  # os.link, os.rename, os.replace


def begin(folder: Path) -> None:
    """Put the sabotaged calls in the place of the real ones, and let strace in where Yama would not."""
    sabotage = _Sabotage(folder)
    os.fsync = sabotage.fsync(os.fsync)
    os.fdatasync = sabotage.fsync(os.fdatasync)
    os.link = sabotage.placing(os.link, os.O_EXCL, moves=False)
    os.rename = sabotage.placing(os.rename, os.O_TRUNC, moves=True)
    os.replace = sabotage.placing(os.replace, os.O_TRUNC, moves=True)
    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_long(_ANY), 0, 0, 0)


class _Sabotage:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._calls: Counter[str] = Counter()

    def fsync(self, real: Fsync) -> Any:
        def flush(stream: Any) -> None:
            descriptor = stream if isinstance(stream, int) else stream.fileno()
            kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
            if self._strikes(f"no_{kind}_fsync"):
                return
            fails = self._strikes(f"{kind}_fsync_eio")
            if self._strikes(f"late_{kind}_fsync_eio"):
                time.sleep(LATE_SECONDS)
                fails = True
            self._note(descriptor, kind, "EIO" if fails else "ok")
            if fails:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            real(descriptor)

        return flush

    def placing(self, real: Placing, flag: int, *, moves: bool) -> Any:
        def place(source: Any, target: Any, **options: Any) -> None:
            if self._strikes(LINK_EIO):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            if not self._strikes(NO_LINK):
                real(source, target, **options)
                return
            _write_in_place(source, target, flag, options)
            if moves:
                os.unlink(source, dir_fd=options.get("src_dir_fd"))

        return place

    def _strikes(self, fault: str) -> bool:
        if not (self._folder / fault).exists():  # opens nothing: strace counts what opens
            return False
        self._calls[fault] += 1
        return self._calls[fault] % int((self._folder / fault).read_text()) == 0

    def _note(self, descriptor: int, kind: str, outcome: str) -> None:
        if (self._folder / JOURNAL).exists():
            if outcome == "EIO":
                os.dup(descriptor)  # held for good, so that no later file has its inode
            with (self._folder / JOURNAL).open("a") as stream:
                stream.write(f"{outcome} {kind} {os.fstat(descriptor).st_ino}\n")


def _write_in_place(source: Any, target: Any, flag: int, options: dict[str, Any]) -> None:
    """Leave the target as if it had been written there piece by piece, and flushed."""
    reader = os.open(source, os.O_RDONLY, dir_fd=options.get("src_dir_fd"))
    try:
        writer = os.open(target, os.O_WRONLY | os.O_CREAT | flag, 0o600, dir_fd=options.get("dst_dir_fd"))
        try:
            while piece := os.read(reader, _PIECE):
                os.write(writer, piece)
            os.fsync(writer)
        finally:
            os.close(writer)
    finally:
        os.close(reader)


if __name__ == "sitecustomize":
    begin(Path(os.environ[VARIABLE]))
