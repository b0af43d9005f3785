"""The wanted attributes of a file without a parser: a tenth of its time, for the thousands of slices of a CT.

Only what is plain is read so: little endian, no wanted sequence, a header that ends within the first bytes of the file.
For all else the answer is None, and whoever asks parses the file. Values are as pydicom's `get` gives them, but for
numbers in text, which stay text.
"""

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.multival import MultiValue
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from service.core.errors import Broken
from service.edge.data_set_scan import Pixels, read_values
from service.edge.file_meta import PREAMBLE, data_set_offset, elements

_HEAD_BYTES = 64 * 1024
_META_START = len(PREAMBLE)
_NUMBERS = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "FD": "d", "FL": "f"}
_NOT_PLAIN = (ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
_CHARACTER_SET = "SpecificCharacterSet"
_SEQUENCES = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")


class Wanted:
    """Attributes by tag, with their VR."""

    def __init__(self, keywords: Iterable[str]) -> None:
        names = (*keywords, _CHARACTER_SET, *_SEQUENCES)
        self.tags = {keyword: tag for keyword in names if (tag := tag_for_keyword(keyword)) is not None}
        self.vrs = {tag: dictionary_VR(tag)[:2] for tag in self.tags.values()}


class QuickHeader:
    """Wanted attributes as they came; asks for any other raise KeyError, for it was not looked for."""

    def __init__(self, wanted: Wanted, values: dict[int, bytes]) -> None:
        self._wanted = wanted
        self._values = values

    def __contains__(self, keyword: str) -> bool:
        return self._wanted.tags[keyword] in self._values

    def get(self, keyword: str, default: object = None) -> object:
        """The value, the default where it is absent, None where it is empty; several values as a MultiValue."""
        if keyword not in self:
            return default
        tag = self._wanted.tags[keyword]
        content = self._values[tag]
        vr = self._wanted.vrs[tag]
        if vr in _NUMBERS:
            return _numbers(content, _NUMBERS[vr])
        text = self._decoded(content).rstrip(" \0")
        parts = [part.strip(" \0") for part in text.split("\\")]
        return (MultiValue(str, parts) if len(parts) > 1 else parts[0]) or None

    def _decoded(self, content: bytes) -> str:
        return content.decode("ascii") if content.isascii() else decode_bytes(content, self._encodings, set())

    @cached_property
    def _encodings(self) -> list[str]:
        named = self._values.get(self._wanted.tags[_CHARACTER_SET], b"").decode("ascii", "replace")
        return list(convert_encodings([part.strip(" \0") for part in named.split("\\")]))


@dataclass(frozen=True, slots=True)
class QuickFile:
    """A file as far as it was read."""

    header: QuickHeader
    meta: Mapping[int, bytes]  # File Meta Information by tag
    transfer_syntax_uid: UID
    pixels: Pixels


def read_quickly(path: Path, wanted: Wanted) -> QuickFile | None:
    """The wanted attributes and where Pixel Data begins in the file; None where the file is not plain."""
    with path.open("rb", buffering=0) as stream:
        head = stream.read(_HEAD_BYTES)
    try:
        start = data_set_offset(head)
        meta = elements(head[:start])
        syntax = UID(meta.get(0x00020010, b"").rstrip(b"\0 ").decode("ascii"))
        if not meta or not syntax or syntax in _NOT_PLAIN or head[_META_START - 4 : _META_START] != PREAMBLE[-4:]:
            return None
        found = read_values(head, wanted.vrs, implicit=syntax.is_implicit_VR, start=start)
    except (Broken, struct.error, ValueError):  # parsing says what is wrong
        return None
    if found is None or any(wanted.tags[keyword] in found[0] for keyword in _SEQUENCES):
        return None
    values, pixels = found
    return QuickFile(QuickHeader(wanted, values), meta, syntax, pixels)


def _numbers(content: bytes, code: str) -> object:
    values = struct.unpack(f"<{len(content) // struct.calcsize(code)}{code}", content)
    return (values[0] if len(values) == 1 else MultiValue(type(values[0]), values)) if values else None
