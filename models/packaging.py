"""Packages that travel: one file out of a folder, and a folder out of a file that is trusted in nothing.

A packed package is a ZIP archive without compression whose first entry, `digests.json`, names every other one with its
size and SHA-256. The same folder gives the same bytes, on any machine and on any day.
"""

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Literal
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from pydantic import Field
from safetensors import SafetensorError, safe_open

from models.registry import (
    BUILT_IN,
    MANIFEST,
    ONNX_SUFFIX,
    SAFETENSORS_SUFFIX,
    Package,
    PackageError,
    digest,
    find,
    read,
    verify,
)
from models.terms import Text

DIGESTS = "digests.json"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")  # no separator of any system, no hidden file
WEIGHTS = (SAFETENSORS_SUFFIX, ONNX_SUFFIX)
SUFFIXES = (".yaml", ".json", ".md", ".txt", *WEIGHTS)  # nothing that could be run
MOST_FILES = 64
LARGEST_TEXT = 16 * 2**20
LARGEST_WEIGHTS = 8 * 2**30
_CHUNK = 2**20
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # of ZIP: no file has the time at which it was packed
_ENCRYPTED = 0x1


class Content(Text):
    """What one file holds."""

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Digests(Text):
    """What a packed package holds."""

    format: Literal[1] = 1
    package: str
    version: str
    files: dict[str, Content]


@dataclass(frozen=True, slots=True)
class Limits:
    """How large the files of a package may be, in bytes."""

    text: int = LARGEST_TEXT
    weights: int = LARGEST_WEIGHTS

    def of(self, name: str) -> int:
        """How large the file of that name may be."""
        return self.weights if name.endswith(WEIGHTS) else self.text


USUAL_LIMITS = Limits()


def pack(package: Package, into: Path) -> Path:
    """Writes `<name>-<version>.zip` into a folder, and says where.

    Raises PackageError when the weights are not those of the manifest, or a file is none that a package may hold.
    """
    verify(package)
    paths = {path.name: path for path in sorted(package.folder.iterdir())}
    for name, path in paths.items():
        _require_plain(name, path.is_file() and not path.is_symlink(), str(package.folder))
    manifest = package.manifest
    contents = {name: Content(bytes=path.stat().st_size, sha256=digest(path)) for name, path in paths.items()}
    digests = Digests(package=manifest.name, version=manifest.version, files=contents)
    target = into / f"{manifest.name}-{manifest.version}.zip"
    part = target.with_suffix(".part")
    with ZipFile(part, "w", ZIP_STORED) as archive:
        archive.writestr(_entry(DIGESTS), digests.model_dump_json(indent=1))
        for name, path in paths.items():
            with path.open("rb") as source, archive.open(_entry(name), "w", force_zip64=True) as packed:
                shutil.copyfileobj(source, packed, _CHUNK)
    part.replace(target)
    return target


def install(file: Path, into: Path, *, replace: bool = False, limits: Limits = USUAL_LIMITS) -> Package:
    """Unpacks a package into a folder of packages, after everything about it was checked.

    It comes there by one renaming, so that a node sees all of it or nothing. Raises PackageError, with the folder as it
    was, for an archive that is not as `pack` writes them, for digests, a manifest or weights that are wrong, and for a
    name that is taken there or built in: only with `replace` is the one that is there put away.
    """
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into, prefix=".installing-") as room:
        unpacked = Path(room) / "package"  # deeper than a folder of packages is searched
        unpacked.mkdir()
        digests = _unpack(file, unpacked, limits)
        manifest = _checked(file, unpacked, digests).manifest
        target = into / manifest.name
        _require_free(file, digests, into, replace=replace)
        _exchange(unpacked, target, Path(room) / "replaced")
    return read(target)


def require_safetensors(path: Path) -> None:
    """Raises PackageError unless a file's header says, without contradiction, which tensors lie where in it."""
    try:
        with safe_open(path, framework="numpy"):
            return
    except (SafetensorError, OSError) as error:
        raise PackageError(f"{path.name} is not a safetensors file: {error}") from error


def _unpack(file: Path, folder: Path, limits: Limits) -> Digests:
    try:
        with ZipFile(file) as archive:
            entries = _entries(file, archive, limits)
            digests = _digests(file, archive, entries)
            for name, content in digests.files.items():
                with archive.open(entries[name]) as packed:
                    _copy(file, name, packed, folder / name, content)
            return digests
    except (BadZipFile, NotImplementedError, EOFError) as error:
        raise PackageError(f"{file} is not a packed package: {error}") from error


def _entries(file: Path, archive: ZipFile, limits: Limits) -> Mapping[str, ZipInfo]:
    """The entries by name, none of which may surprise. Raises PackageError."""
    listed = archive.infolist()
    if len(listed) > MOST_FILES:
        raise PackageError(f"{file} holds {len(listed)} files: a package has at most {MOST_FILES}")
    entries: dict[str, ZipInfo] = {}
    for entry in listed:
        name = entry.filename
        _require_plain(name, not entry.is_dir() and _is_regular(entry), str(file))
        if name.lower() in (each.lower() for each in entries):
            raise PackageError(f"{file} holds {name} twice")
        if entry.compress_type != ZIP_STORED or entry.flag_bits & _ENCRYPTED:
            raise PackageError(f"{file}: {name} is compressed or encrypted: pack it by `isocenter models pack`")
        if max(entry.file_size, entry.compress_size) > limits.of(name):
            raise PackageError(f"{file}: {name} has {entry.file_size} bytes, more than the {limits.of(name)} allowed")
        entries[name] = entry
    return entries


def _require_plain(name: str, is_file: bool, place: str) -> None:
    if not NAME.fullmatch(name) or not name.endswith(SUFFIXES):
        raise PackageError(f"{place}: {name!r} is no file of a package: a plain name that ends in {' '.join(SUFFIXES)}")
    if not is_file:
        raise PackageError(f"{place}: {name} is a link or a folder: a package holds files only")


def _is_regular(entry: ZipInfo) -> bool:
    mode = entry.external_attr >> 16
    return stat.S_IFMT(mode) in (0, stat.S_IFREG)


def _digests(file: Path, archive: ZipFile, entries: Mapping[str, ZipInfo]) -> Digests:
    if DIGESTS not in entries:
        raise PackageError(f"{file} has no {DIGESTS}: pack it by `isocenter models pack`")
    try:
        digests = Digests.model_validate_json(archive.read(entries[DIGESTS]))
    except ValueError as error:
        raise PackageError(f"{file}: {DIGESTS} is wrong: {error}") from error
    if astray := (set(entries) - {DIGESTS}) ^ set(digests.files):
        raise PackageError(f"{file}: {', '.join(sorted(astray))} is in {DIGESTS} or in the archive, and not in both")
    return digests


def _copy(file: Path, name: str, packed: IO[bytes], target: Path, content: Content) -> None:
    """Writes one file, never more of it than is named, and compares its digest."""
    seen, left = sha256(), content.bytes
    with target.open("xb") as written:
        while chunk := packed.read(min(_CHUNK, left + 1)):
            left -= len(chunk)
            if left < 0:
                break
            seen.update(chunk)
            written.write(chunk)
        written.flush()
        os.fsync(written.fileno())
    if left or seen.hexdigest() != content.sha256:
        raise PackageError(f"{file}: {name} is not what {DIGESTS} says: it was damaged or changed after it was packed")


def _checked(file: Path, folder: Path, digests: Digests) -> Package:
    """The unpacked package, of which nothing was loaded yet."""
    try:
        for path in sorted(folder.glob(f"*{SAFETENSORS_SUFFIX}")):
            require_safetensors(path)
        package = read(folder)
        verify(package)
    except PackageError as error:
        raise PackageError(f"{file}: {str(error).replace(f'{folder}{os.sep}', '')}") from error
    except RecursionError as error:
        raise PackageError(f"{file}: {MANIFEST} is nested too deeply") from error
    found = (package.manifest.name, package.manifest.version)
    if found != (digests.package, digests.version):
        raise PackageError(f"{file} says {digests.package} {digests.version}, its manifest says {' '.join(found)}")
    return package


def _require_free(file: Path, digests: Digests, into: Path, *, replace: bool) -> None:
    name = digests.package
    if into.resolve() != BUILT_IN and name in find():
        raise PackageError(f"{file}: a package named {name} is built in: give this one another name")
    there = find([into]).get(name)
    if there is not None and there.folder.name != name:
        raise PackageError(f"{there.folder} is named {name} too: remove it first")
    if (there is not None or (into / name).exists()) and not replace:
        version = there.manifest.version if there else "of no version"
        raise PackageError(f"{into / name} is there ({version}): say --replace to put {digests.version} in its place")


def _exchange(unpacked: Path, target: Path, put_away: Path) -> None:
    """Puts a folder in its place; what was there is put away, and put back where the new one cannot take its place."""
    for path in (unpacked, *unpacked.iterdir()):
        path.chmod(0o755 if path is unpacked else 0o644)  # a model is no patient's: whoever runs the node may read it
    if not target.exists():
        unpacked.rename(target)
        return
    target.rename(put_away)
    try:
        unpacked.rename(target)
    except OSError:
        put_away.rename(target)
        raise


def _entry(name: str) -> ZipInfo:
    entry = ZipInfo(name, _EARLIEST)
    entry.create_system = 3  # Unix, wherever it is packed
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    return entry
