"""Encapsulated Pixel Data (PS3.5 A.4): its fragments, put together to frames whose headers agree with the image's."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from service.core.errors import Broken

MOST_FRAGMENTS = 1_000_000

_ITEM, _DELIMITER = 0xE000FFFE, 0xE0DDFFFE  # as little endian reads them
_NO_SIZE = {0x01, *range(0xD0, 0xD9)}  # TEM, RSTn, SOI: JPEG markers that stand alone
_START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # ISO 10918-1 B.1.1.3; F7: ISO 14495-1
_CODESTREAM = b"\xff\x4f\xff\x51"  # SOC and SIZ of JPEG 2000 (ISO 15444-1 A.4)
_BOXES = 4096  # bytes in which a JP2 header, which should not be there, ends

Fragments = Sequence[memoryview]


@dataclass(frozen=True, slots=True)
class CodestreamHeader:
    """What the header of a compressed frame says of it."""

    rows: int
    columns: int
    components: int
    precision: int


def frames_of(pixel_data: memoryview, count: int, extended_offsets: bytes = b"") -> list[Fragments]:
    """The fragments of each of `count` frames. Raises Broken when they cannot be told apart with certainty."""
    items = list(_items(pixel_data))
    table, fragments = bytes(items[0][1]) if items else b"", items[1:]
    if len(fragments) < count:
        raise Broken(f"its Pixel Data has {len(fragments)} fragments for {count} frames")
    offsets = _offsets("<Q", extended_offsets) or _offsets("<L", table)
    starts = [at - fragments[0][0] for at, _ in fragments]
    if not offsets and count == 1:
        return [[fragment for _, fragment in fragments]]
    firsts = _firsts(starts, offsets or starts, count)
    return [[fragment for _, fragment in fragments[a:b]] for a, b in zip(firsts, [*firsts[1:], None], strict=True)]


def _firsts(starts: Sequence[int], offsets: Sequence[int], count: int) -> list[int]:
    """The index of each frame's first fragment."""
    if len(offsets) != count:
        raise Broken(f"its Pixel Data has {len(starts)} fragments and {len(offsets)} offsets for {count} frames")
    places = {start: index for index, start in enumerate(starts)}
    wrong = [offset for offset in offsets if offset not in places]
    if wrong or offsets[0] != 0 or any(a >= b for a, b in pairwise(offsets)):
        raise Broken(f"its offset table begins {list(offsets[:3])}, the fragments begin at {list(starts[:3])}")
    return [places[offset] for offset in offsets]


def _offsets(form: str, table: bytes) -> list[int]:
    if len(table) % struct.calcsize(form):
        raise Broken(f"its offset table has {len(table)} bytes, which is no whole number of offsets")
    return [offset for (offset,) in struct.iter_unpack(form, table)]


def _items(pixel_data: memoryview) -> Iterator[tuple[int, memoryview]]:
    at = 0
    for _ in range(MOST_FRAGMENTS):
        if at + 8 > len(pixel_data):
            raise Broken("its Pixel Data ends without a delimiter: send it again")
        tag, length = struct.unpack_from("<LL", pixel_data, at)
        if tag == _DELIMITER:
            return
        if tag != _ITEM or at + 8 + length > len(pixel_data):
            raise Broken(f"what stands at byte {at} of its Pixel Data is no whole fragment")
        yield at, pixel_data[at + 8 : at + 8 + length]
        at += 8 + length
    raise Broken(f"its Pixel Data has more than {MOST_FRAGMENTS} fragments")


def codestream_header(frame: bytes) -> CodestreamHeader:
    """The header of a JPEG, JPEG-LS or JPEG 2000 frame. Raises Broken when there is none."""
    try:
        return _jpeg_header(frame) if frame[:2] == b"\xff\xd8" else _jpeg_2000_header(frame)
    except (struct.error, IndexError, ValueError) as error:
        raise Broken("a frame of its Pixel Data has no header of JPEG, JPEG-LS or JPEG 2000") from error


def _jpeg_header(frame: bytes) -> CodestreamHeader:
    at = 0
    while True:
        if frame[at] != 0xFF:
            raise ValueError("no marker")
        marker = frame[at + 1]
        if marker in _START_OF_FRAME:
            precision, rows, columns, components = struct.unpack_from(">BHHB", frame, at + 4)
            return CodestreamHeader(rows, columns, components, precision)
        if marker == 0xFF:  # a fill byte
            at += 1
        else:
            at += 2 if marker in _NO_SIZE else 2 + struct.unpack_from(">H", frame, at + 2)[0]


def _jpeg_2000_header(frame: bytes) -> CodestreamHeader:
    at = frame.index(_CODESTREAM, 0, _BOXES) + 8
    columns, rows, left, top = struct.unpack_from(">4L", frame, at)
    components, depth, dx, dy = struct.unpack_from(">HBBB", frame, at + 32)
    if (dx, dy) != (1, 1):
        raise ValueError("subsampled")
    return CodestreamHeader(rows - top, columns - left, components, (depth & 0x7F) + 1)
