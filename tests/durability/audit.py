"""The promise, checked from outside: what a sender was told is kept lies in incoming/, whole."""

import hashlib
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.durability.sending import History

_PREFIX_END = 132  # PS3.10 7.1: 128 bytes of preamble and DICM, then (0002,0000) in 12 bytes
_GROUP_LENGTH_END = 144


@dataclass(frozen=True, slots=True)
class Findings:
    """Broken promises, by SOP Instance UID or file name; all empty when the promise holds."""

    missing: tuple[str, ...]  # acknowledged, and not there
    corrupt: tuple[str, ...]  # acknowledged, and there with other bytes
    partial: tuple[str, ...]  # never acknowledged, and there with other bytes, for a stage to take for good
    doubled: tuple[str, ...]  # there more than once, or held as if they differed

    def __bool__(self) -> bool:
        return bool(self.missing or self.corrupt or self.partial or self.doubled)


def audit(spool: Path, history: History) -> Findings:
    """Compare a spool with what its sender remembers."""
    there = {path.name: _sha256_of_data_set(path) for path in (spool / "incoming").iterdir()}
    held = [path.name for path in (spool / "held").iterdir()]
    right = {name for name, digest in there.items() if digest == history.offered.get(_sop(name))}
    counts = Counter(map(_sop, [*there, *held]))
    present = {_sop(name) for name in there}
    wrong = {_sop(name) for name in there.keys() - right}
    return Findings(
        missing=tuple(sorted(history.acknowledged - present)),
        corrupt=tuple(sorted(history.acknowledged & wrong)),
        partial=tuple(sorted(wrong - history.acknowledged)),
        doubled=tuple(sorted(uid for uid, count in counts.items() if count > 1)),
    )


def half_written(spool: Path) -> list[str]:
    """What lies in tmp/."""
    return sorted(path.name for path in (spool / "tmp").iterdir())


def together(parts: Iterator[Findings] | list[Findings]) -> dict[str, int]:
    """How many instances ever broke each promise."""
    seen = list(parts)
    kinds = ("missing", "corrupt", "partial", "doubled")
    return {kind: len({uid for each in seen for uid in getattr(each, kind)}) for kind in kinds}


def _sop(file_name: str) -> str:
    """The SOP Instance UID in `<series>_<sop>.dcm`; the whole name where it is none of that form."""
    stem = file_name.removesuffix(".dcm")
    return stem.split("_")[1] if file_name.endswith(".dcm") and "_" in stem else file_name


def _sha256_of_data_set(path: Path) -> str:
    content = path.read_bytes()
    if len(content) < _GROUP_LENGTH_END or content[_PREFIX_END - 4 : _PREFIX_END] != b"DICM":
        return "not a DICOM file"
    (length,) = struct.unpack_from("<L", content, _GROUP_LENGTH_END - 4)
    return hashlib.sha256(content[_GROUP_LENGTH_END + length :]).hexdigest()
