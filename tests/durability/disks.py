"""Disks that can be filled, made read-only, or cut off as by a loss of power. All need root."""

import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.node import until

_FS_IOC_SHUTDOWN = 0x8004587D
_NOLOGFLUSH = 2  # neither the page cache nor the open transaction of the journal reaches the disk
_MEBIBYTES = 96


class DiskRefusedError(Exception):
    """This machine lends no such disk; says why."""


@dataclass(frozen=True, slots=True)
class Tmpfs:
    """A mounted tmpfs."""

    root: Path

    def free_bytes(self) -> int:
        """How much can still be written."""
        usage = os.statvfs(self.root)
        return usage.f_bavail * usage.f_frsize

    def free_inodes(self) -> int:
        """How many files can still be made."""
        return os.statvfs(self.root).f_favail

    def remount(self, options: str) -> None:
        """Change its options while it is in use."""
        _run("mount", "-o", f"remount,{options}", str(self.root))


@dataclass(frozen=True, slots=True)
class Ext4:
    """A file system in an image of its own, which keeps to itself whatever was not flushed."""

    root: Path
    image: Path

    def cut_power(self) -> None:
        """From here on nothing reaches the image: what was written and not flushed is gone."""
        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _FS_IOC_SHUTDOWN, struct.pack("I", _NOLOGFLUSH))
        finally:
            os.close(descriptor)

    def mount(self) -> None:
        """Mount, replaying the journal. No commit but those asked for: chance saves nobody."""
        _run("mount", "-o", "loop,commit=300", str(self.image), str(self.root))

    def unmount(self) -> None:
        """Unmount once whoever used it is gone."""
        until(lambda: not self.root.is_mount() or _unmounted(self.root), "the disk is unmounted", seconds=10, pause=0.1)


@contextmanager
def tmpfs(root: Path, options: str) -> Iterator[Tmpfs]:
    """A tmpfs; nothing of it is left at the end. Raises DiskRefusedError."""
    _require_root()
    root.mkdir()
    _run("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(root))
    try:
        yield Tmpfs(root)
    finally:
        _run("umount", "--lazy", str(root))


@contextmanager
def ext4(folder: Path) -> Iterator[Ext4]:
    """A mounted ext4 in an image below `folder`; no mount is left at the end. Raises DiskRefusedError."""
    _require_root()
    disk = Ext4(folder / "disk", folder / "disk.img")
    disk.root.mkdir(parents=True)
    with disk.image.open("wb") as stream:
        stream.truncate(_MEBIBYTES * 1024 * 1024)
    _run("mkfs.ext4", "-q", "-F", str(disk.image))
    disk.mount()
    try:
        yield disk
    finally:
        if disk.root.is_mount():
            _run("umount", "--lazy", str(disk.root))
        disk.image.unlink()


def _require_root() -> None:
    if os.geteuid() != 0:
        raise DiskRefusedError("only root may mount a disk to fill or to cut off")


def _run(program: str, *arguments: str) -> None:
    found = shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    if not found:
        raise DiskRefusedError(f"{program} is not installed")
    done = subprocess.run([found, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise DiskRefusedError(f"{program}: {done.stderr.strip()}")


def _unmounted(root: Path) -> bool:
    return subprocess.run(["umount", str(root)], capture_output=True, check=False).returncode == 0
