"""Bringing a folder's names to the disk: each for itself, or many at once."""

import os
import threading
from functools import cached_property
from pathlib import Path
from typing import Protocol


class FolderFlush(Protocol):
    """Returns when every name that was in the folder at the call is on the disk; raises OSError when it may not be."""

    def __call__(self) -> None: ...


def flush_folder(folder: Path) -> None:
    """Flush a folder by itself."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class EachForItself:
    """Every caller flushes; the file system merges flushes that overlap."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def _descriptor(self) -> int:
        """Opened once: a flush must not fail for want of descriptors."""
        return os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __call__(self) -> None:
        os.fsync(self._descriptor)


class Grouped:
    """One caller flushes for all who came before it began; for disks on which overlapping flushes queue up."""

    def __init__(self, folder: Path) -> None:
        self._flush_once = EachForItself(folder)
        self._changed = threading.Condition()
        self._begun = 0
        self._ended = 0
        self._failed: dict[int, OSError] = {}

    def __call__(self) -> None:
        with self._changed:
            mine = self._begun + 1  # the first flush that begins after this moment
            self._changed.wait_for(lambda: self._ended == self._begun or self._ended >= mine)
            if self._ended >= mine:
                self._raise_if_failed(mine)
                return
            self._begun = mine
        self._flush(mine)
        self._raise_if_failed(mine)

    def _flush(self, number: int) -> None:
        failure: OSError | None = None
        try:
            self._flush_once()
        except OSError as error:
            failure = error
        with self._changed:
            if failure:
                self._failed[number] = failure
            self._ended = number
            self._changed.notify_all()

    def _raise_if_failed(self, number: int) -> None:
        if number in self._failed:
            raise self._failed[number]
