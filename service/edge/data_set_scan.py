"""A data set as it came over the network, looked at without parsing it: its names, and whether it is whole.

Elements are skipped by their lengths (PS3.5 7.1); no value but the wanted ones is read and no sequence is entered,
except to find the end of one of undefined length. Time and memory are bounded, whatever the bytes are.
"""

import mmap
import struct
from collections.abc import Container
from dataclasses import dataclass

from service.core.errors import Broken
from service.core.identity import is_uid

Content = bytes | memoryview | mmap.mmap

MOST_ELEMENTS = 200_000  # an enhanced multi-frame of 2,000 frames has fewer

_PIXEL_DATA = 0x7FE00010
_FLOAT_PIXEL_DATA = (0x7FE00008, 0x7FE00009)
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_DELIMITERS = (_ITEM, _ITEM_END, _SEQUENCE_END)
_UNDEFINED = 0xFFFFFFFF
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_SHORT = {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL"}
_SHORT |= {b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
_EXPLICIT = struct.Struct("<HH2sH").unpack_from
_LENGTH = struct.Struct("<L").unpack_from
_DEEPEST = 64
_LONGEST_UID = 70  # as many characters as an error quotes

_NAMES = {
    0x00080016: "SOPClassUID",
    0x00080018: "SOPInstanceUID",
    0x0020000D: "StudyInstanceUID",
    0x0020000E: "SeriesInstanceUID",
}


@dataclass(frozen=True, slots=True)
class Naming:
    """The four UIDs that name an instance."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str


def read_naming(content: Content, *, implicit: bool, start: int = 0) -> Naming:
    """The names of a little-endian data set that begins at `start`.

    Raises Broken when it is no data set, when a name is absent or not a UID, or when an element ends beyond the bytes.
    """
    scan = _Scan(content, implicit, start, _NAMES)
    return _naming(_whole(scan), scan.encoding)


def require_whole(content: Content, *, implicit: bool) -> None:
    """Raises Broken when the bytes are no little-endian data set, or an element ends beyond them."""
    _whole(_Scan(content, implicit, 0, ()))


def _whole(scan: "_Scan") -> dict[int, bytes]:
    try:
        return scan.top_level()
    except (struct.error, IndexError) as error:
        raise Broken("the data set is truncated: it ends within an element's header") from error


def _naming(found: dict[int, bytes], encoding: str) -> Naming:
    uids = {tag: value[:_LONGEST_UID].rstrip(b"\0 ").decode("ascii", "replace") for tag, value in found.items()}
    for tag, keyword in _NAMES.items():
        uid = uids.get(tag, "")
        if not uid:
            raise Broken(f"not a data set in {encoding}: it has no {keyword}")
        if not is_uid(uid):
            raise Broken(f"{keyword} {uid!r} is not a UID")
    return Naming(*(uids[tag] for tag in _NAMES))


@dataclass(frozen=True, slots=True)
class Head:
    """What the first bytes of a data set say: its names, and its size if Pixel Data is its last element."""

    naming: Naming
    size: int


def read_head(content: Content, *, implicit: bool) -> Head | None:
    """As read_naming, from the first bytes alone; None where they do not reach Pixel Data of a defined length."""
    scan = _Scan(content, implicit, 0, _NAMES)
    try:
        found, pixels = scan.up_to_pixel_data()
        naming = _naming(found, scan.encoding)
        return None if pixels.length == _UNDEFINED else Head(naming, pixels.start + pixels.length)
    except (Broken, struct.error, IndexError):  # whoever reads the whole of it says what is wrong
        return None


@dataclass(frozen=True, slots=True)
class Pixels:
    """Where the value of Pixel Data begins, and its length as stated."""

    start: int
    length: int


def read_values(
    content: Content, wanted: Container[int], *, implicit: bool, start: int
) -> tuple[dict[int, bytes], Pixels] | None:
    """The values of wanted top-level elements before Pixel Data, and where that is; None where it is not reached.

    Values come as they are encoded. Raises Broken when it is no data set, or a wanted element comes twice.
    """
    try:
        return _Scan(content, implicit, start, wanted).up_to_pixel_data()
    except (struct.error, IndexError):
        return None


class _Scan:
    def __init__(self, content: Content, implicit: bool, start: int, wanted: Container[int]) -> None:
        self._content = content
        self._wanted = wanted
        self._implicit = implicit
        self._position = start
        self._end = len(content)
        self._elements = 0
        self.encoding = "Implicit VR Little Endian" if implicit else "Explicit VR Little Endian"

    def top_level(self) -> dict[int, bytes]:
        """The wanted values, of a data set that is there as a whole."""
        found: dict[int, bytes] = {}
        while self._position < self._end:
            tag, vr, length = self._next(found)
            if tag not in found:
                self._pass(tag, vr, length)
        return found

    def up_to_pixel_data(self) -> tuple[dict[int, bytes], Pixels]:
        """The wanted values before Pixel Data, and where that is. Raises struct.error when it is not reached."""
        found: dict[int, bytes] = {}
        while True:
            tag, vr, length = self._next(found)
            if tag == _PIXEL_DATA:
                return found, Pixels(self._position, length)
            if tag not in found:
                self._pass(tag, vr, length)

    def _next(self, found: dict[int, bytes]) -> tuple[int, bytes, int]:
        """The next element that is not short, or one that is wanted, whose value is then found."""
        if not self._implicit:
            self._pass_short_elements()
        tag, vr, length = self._header(self._implicit)
        if tag in self._wanted:
            if tag in found:
                raise Broken(f"the data set has {_NAMES.get(tag) or f'element {tag:08X}'} twice")
            start = self._position
            self._pass(tag, vr, length)
            found[tag] = bytes(self._content[start : self._position])
        return tag, vr, length

    def _pass(self, tag: int, vr: bytes, length: int) -> None:
        if length == _UNDEFINED:
            self._skip_undefined(self._implicit or vr == b"UN", encapsulated=tag == _PIXEL_DATA)
        else:
            self._skip(length, tag)

    def _pass_short_elements(self) -> None:
        """Most of a header at little cost: explicit elements with a short length and no name of ours."""
        content, wanted, position, last = self._content, self._wanted, self._position, self._end - 8
        while position < last:
            group, element, vr, length = _EXPLICIT(content, position)
            behind = position + 8 + length
            if vr not in _SHORT or behind >= last or (group << 16 | element) in wanted:
                break
            position = behind
            self._elements += 1
            if self._elements > MOST_ELEMENTS:
                break
        self._position = position

    def _header(self, implicit: bool) -> tuple[int, bytes, int]:
        """Tag, VR and length of the element here; the position moves to its value."""
        self._elements += 1
        if self._elements > MOST_ELEMENTS:
            raise Broken(f"the data set has more than {MOST_ELEMENTS} elements")
        position = self._position
        group, element, vr, length = _EXPLICIT(self._content, position)
        tag = group << 16 | element
        self._position = position + 8
        if implicit or tag in _DELIMITERS:
            return tag, b"", _LENGTH(self._content, position + 4)[0]
        if vr in _SHORT:
            return tag, vr, length
        if vr in _LONG:
            self._position = position + 12
            return tag, vr, _LENGTH(self._content, position + 8)[0]
        if not (vr.isalpha() and vr.isupper()):
            raise Broken(f"not a data set in {self.encoding}: element {tag:08X} has no VR")
        return tag, vr, length

    def _skip(self, length: int, tag: int) -> None:
        self._position += length
        missing = self._position - self._end
        if missing > 0:
            what = "its Pixel Data" if tag in (_PIXEL_DATA, *_FLOAT_PIXEL_DATA) else f"element {tag:08X}"
            raise Broken(f"the data set is truncated: {missing} bytes of {what} are missing")

    def _skip_undefined(self, implicit: bool, *, encapsulated: bool) -> None:
        """Move behind the Sequence Delimitation Item that ends the sequence, or the fragments, begun here."""
        depth = 1
        while depth:
            tag, vr, length = self._header(implicit)
            if tag == _SEQUENCE_END:
                depth -= 1
            elif length != _UNDEFINED:
                self._skip(0 if tag == _ITEM_END else length, tag)
            elif encapsulated:
                raise Broken("a fragment of Pixel Data has no length")
            elif vr == b"UN":
                self._skip_undefined(implicit=True, encapsulated=False)
            elif tag != _ITEM:
                depth = self._deeper(depth)

    def _deeper(self, depth: int) -> int:
        if depth >= _DEEPEST:
            raise Broken(f"the data set nests sequences deeper than {_DEEPEST}")
        return depth + 1
