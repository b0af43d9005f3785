"""A folder of files as a listing of their digests, in the form that `sha256sum --check` reads.

The digest of the listing stands for all of them: who knows it knows every byte.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from io import BufferedReader
from pathlib import Path

from models.registry import Package, PackageError, digest, verify

LISTING = "files.sha256"
FOLDER = "model"  # beside the listing: where the files lie
MOST_FILES = 64
LARGEST = 64 * 1024
_LINE = re.compile(r"([0-9a-f]{64})  ((?:[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}/){1,3}[A-Za-z0-9_][A-Za-z0-9_.-]{0,99})")
_CHUNK = 2**20


def write(folder: Path, names: Iterable[str]) -> Path:
    """The listing of these files below `model/` of a folder, beside that."""
    paths = sorted(f"{FOLDER}/{name}" for name in names)
    listing = folder / LISTING
    listing.write_text("".join(f"{digest(folder / path)}  {path}\n" for path in paths), encoding="utf-8")
    return listing


def verify_files(package: Package) -> int:
    """How many files are listed. Raises PackageError unless they lie there, byte for byte, and nothing else does."""
    verify(package)
    listed = _read(package.weights)
    _require_nothing_else(package.folder, listed)
    for path, wanted in listed.items():
        with _opened(package.folder / path) as file:
            _require_same(package.folder / path, hashlib.file_digest(file, "sha256").hexdigest(), wanted)
    return len(listed)


def copy_verified(package: Package, into: Path) -> Path:
    """The folder of a copy of the listed files, each of which was compared with its digest as it was copied.

    What is opened afterwards is what was compared, whoever changes the package meanwhile. Raises PackageError.
    """
    verify(package)
    listed = _read(package.weights)
    _require_nothing_else(package.folder, listed)
    for path, wanted in listed.items():
        (into / path).parent.mkdir(parents=True, exist_ok=True)
        _copy(package.folder / path, into / path, wanted)
    return into / FOLDER


def _read(listing: Path) -> Mapping[str, str]:
    """Paths and digests. Raises PackageError for a line of another form: a path with .., an absolute one."""
    if listing.stat().st_size > LARGEST:
        raise PackageError(f"{listing} has {listing.stat().st_size} bytes: a listing has at most {LARGEST}")
    lines = listing.read_bytes().decode("utf-8", errors="replace").splitlines()
    listed: dict[str, str] = {}
    for line in lines:
        parts = _LINE.fullmatch(line)
        if parts is None or not parts[2].startswith(f"{FOLDER}/"):
            raise PackageError(f"{listing}: {line[:200]!r} is no SHA-256 with a path below {FOLDER}/")
        listed[parts[2]] = parts[1]
    if not 0 < len(listed) == len(lines) <= MOST_FILES:
        raise PackageError(f"{listing} lists {len(lines)} files: 1 to {MOST_FILES} are wanted, each once")
    return listed


def _require_nothing_else(folder: Path, listed: Mapping[str, str]) -> None:
    """Raises PackageError for a link, and for a file that no digest vouches for."""
    for path in _below(folder / FOLDER):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise PackageError(f"{path} is a link: a package holds files only")
        if path.is_file() and name not in listed:
            raise PackageError(f"{path} is not in {LISTING}: remove it, or adopt the model again")


def _below(folder: Path) -> Iterator[Path]:
    if folder.is_symlink():
        raise PackageError(f"{folder} is a link: a package holds files only")
    for root, folders, files in os.walk(folder):
        yield from (Path(root) / name for name in (*folders, *files))


def _opened(path: Path) -> BufferedReader:
    try:
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")
    except OSError as error:
        raise PackageError(f"{path} cannot be read ({error.strerror}): restore it, or adopt the model again") from error


def _copy(source: Path, target: Path, wanted: str) -> None:
    seen = hashlib.sha256()
    with _opened(source) as file, target.open("xb") as written:
        while chunk := file.read(_CHUNK):
            seen.update(chunk)
            written.write(chunk)
    _require_same(source, seen.hexdigest(), wanted)


def _require_same(path: Path, found: str, wanted: str) -> None:
    if found != wanted:
        raise PackageError(f"{path} has SHA-256 {found}, {LISTING} says {wanted}: restore it, or adopt the model again")
