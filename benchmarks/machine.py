"""The machine under the benchmark: its programs, its disk, its ports and its memory."""

import mmap
import os
import platform
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_SOURCES = Path(__file__).parent
_FIRST_PORT = 20000
_HOT_BYTES = 900 * 1024 * 1024
_SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"  # daemons lie there, and few users have them in PATH
_VOLATILE = {"tmpfs", "ramfs", "devtmpfs"}


class BenchmarkError(Exception):
    """The benchmark cannot go on, or its figures would not be true; the sentence says why."""


def program(name: str) -> str:
    """A program of the system: pynetdicom and DCMTK share names, so this Python's own folder is not looked at."""
    own = Path(sys.executable).parent
    folders = [folder for folder in os.environ.get("PATH", os.defpath).split(":") if folder and Path(folder) != own]
    found = shutil.which(name, path=":".join([*folders, *_SYSTEM_FOLDERS.split(":")]))
    if found is None:
        raise BenchmarkError(f"{name} is missing: install it, or leave out what needs it with --skip-missing")
    return found


def has_program(name: str) -> bool:
    """True when the system has the program."""
    try:
        program(name)
    except BenchmarkError:
        return False
    return True


def program_version(name: str) -> str:
    """What a program says of its own version."""
    said = subprocess.run([program(name), "--version"], capture_output=True, text=True, check=False)
    numbers = re.search(r"\d+\.\d+[.\d]*", said.stdout + said.stderr)
    return numbers.group() if numbers else "unknown"


def compile_c(target: Path, sources: tuple[str, ...], *options: str) -> None:
    """Compile sources of this folder. Raises BenchmarkError with what the compiler said."""
    paths = [str(_SOURCES / source) for source in sources]
    line = [program("gcc"), "-O2", *paths, "-o", str(target), *options]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"gcc cannot compile {', '.join(sources)}: {done.stderr.strip()}")


def free_port() -> int:
    """A port of the loopback interface that nobody has, and that the kernel gives to no outgoing connection."""
    first_given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="utf-8").split()[0])
    while True:
        port = random.randrange(_FIRST_PORT, max(first_given, _FIRST_PORT + 1000))
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def warm_memory() -> None:
    """Touch memory: a virtual machine's first touch of a page may take longer than all that is measured."""
    with mmap.mmap(-1, _HOT_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        pages = len(range(0, _HOT_BYTES, mmap.PAGESIZE))
        memory[:: mmap.PAGESIZE] = b"\x01" * pages


@contextmanager
def held_memory(left_gib: float | None) -> Iterator[None]:
    """Keep all but so much memory occupied, if so much is named.

    The host of a virtual machine may take back what is free, and its next touch is then paid by whoever is measured.
    """
    if left_gib is None:
        yield
        return
    available = _available_bytes() - int(left_gib * 2**30)
    with mmap.mmap(-1, available, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        for start in range(0, available, _HOT_BYTES):
            pages = len(range(start, min(start + _HOT_BYTES, available), mmap.PAGESIZE))
            memory[start : start + _HOT_BYTES : mmap.PAGESIZE] = b"\x01" * pages
        yield


def _available_bytes() -> int:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("MemAvailable:")))


def temporary_folder() -> Path:
    """Where temporary files go, when that is on the disk of the current folder; otherwise the current folder."""
    usual, here = Path(tempfile.gettempdir()), Path.cwd()
    return usual if usual.stat().st_dev == here.stat().st_dev else here


def require_disk(folder: Path, wanted_bytes: int) -> None:
    """Raises BenchmarkError when the folder lies in memory or its disk is too full."""
    kind = file_system(folder)
    if kind in _VOLATILE:
        raise BenchmarkError(f"{folder} is on {kind}, where nothing is durable: name another one with --folder")
    free = shutil.disk_usage(folder).free
    if free < wanted_bytes:
        raise BenchmarkError(f"{folder} has {free >> 30} GiB free, and {wanted_bytes >> 30} GiB are needed")


def file_system(folder: Path) -> str:
    """The type of the file system a folder is on."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    holding = [mount for mount in mounts if folder.resolve().is_relative_to(mount[1])]
    return max(holding, key=lambda mount: len(mount[1]))[2]


def describe(folder: Path) -> dict[str, str]:
    """What the figures depend on, by name."""
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') >> 30} GiB",
        "kernel": platform.release(),
        "file system": file_system(folder),
        "load before": f"{os.getloadavg()[0]:.2f}",
        "Python": platform.python_version(),
        "Isocenter": f"{version('isocenter')} ({_revision()})",
        "pynetdicom": version("pynetdicom"),
        **{
            name: program_version(name) if has_program(name) else "missing"
            for name in ("storescp", "storescu", "Orthanc")
        },
    }


def _processor() -> str:
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    found = re.search(r"model name\s*:\s*(.+)", text)
    return found.group(1).strip() if found else platform.machine()


def _revision() -> str:
    git = shutil.which("git")
    if git is None:
        return "unknown revision"
    line = [git, "--no-optional-locks", "-C", str(ROOT), "describe", "--always", "--dirty"]
    said = subprocess.run(line, capture_output=True, text=True, check=False)
    return said.stdout.strip() or "unknown revision"
