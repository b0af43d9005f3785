"""Stored values: what the Pixel Data of one file holds, bit for bit (PS3.5 8.1.1)."""

import struct
from collections.abc import Sequence
from functools import cached_property
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder

from service.core.errors import Broken, Unsuitable
from service.core.transfer_syntaxes import EXPLICIT_BIG_ENDIAN, IMPLICIT_LITTLE_ENDIAN, NATIVE, PLUGINS, RLE_LOSSLESS
from service.edge.encapsulation import Fragments, codestream_header, frames_of
from service.edge.functional_groups import FunctionalGroups
from service.edge.run_length import unpack
from service.edge.samples import ALLOCATED, Layout, layout_of

Stored = NDArray[np.integer]

_PIXEL_DATA = 0x7FE00010
_UNDEFINED = 0xFFFFFFFF
# GDCM knows a JPEG process by the codestream; pydicom forbids it the 12 bits of JPEG Extended, which it decodes as
# DCMTK does (tests/unit/edge/test_decoding.py), unless they go by another name.
_DECODED_AS = {"1.2.840.10008.1.2.4.51": "1.2.840.10008.1.2.4.70"}


class StoredImage:
    """The header of a file, and its frames as stored values.

    Raises Unsuitable when the file holds no grey values that are decoded here, Broken when it contradicts itself.
    """

    def __init__(self, content: bytes) -> None:
        stream = BytesIO(content)
        self.header = dcmread(stream, stop_before_pixels=True)
        self.syntax = str(self.header.file_meta.TransferSyntaxUID)
        self.layout = layout_of(self.header)
        self._groups = FunctionalGroups(self.header)
        self._pixels, self._words = _pixel_data(memoryview(content), stream.tell(), self.syntax)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.layout.rows, self.layout.columns

    def header_of(self, number: int | None) -> Dataset:
        """The header of a frame; None is the frame of a single-frame image."""
        return self.header if number is None else self._groups.header_of(number)

    def frame(self, number: int | None) -> Stored:
        """The stored values of a frame, (row, column)."""
        index = (number or 1) - 1
        if not 0 <= index < self.layout.frames:
            raise Broken(f"it has {self.layout.frames} frames, and no frame {number}")
        if self.syntax in (*NATIVE, EXPLICIT_BIG_ENDIAN):
            return self._native(index)
        if self.layout.high_bit != self.layout.bits_stored - 1:
            raise Unsuitable(
                f"High Bit is {self.layout.high_bit} with {self.layout.bits_stored} compressed bits stored"
            )
        return _clean(self._decoded(b"".join(self._frames[index])).reshape(self.shape), self.layout)

    def _native(self, index: int) -> Stored:
        layout, pixels = self.layout, self._pixels
        if len(pixels) < layout.frames * layout.frame_bytes:
            raise Broken(f"its Pixel Data has {len(pixels)} bytes, {layout.frames * layout.frame_bytes} are declared")
        big = self.syntax == EXPLICIT_BIG_ENDIAN
        if big and self._words and layout.bits_allocated == 8:  # two samples in a word, the second one first
            pixels = memoryview(np.frombuffer(pixels, dtype="<u2").byteswap().tobytes())
        order = layout.container.newbyteorder(">" if big else "<")
        values = np.frombuffer(pixels, order, layout.rows * layout.columns, index * layout.frame_bytes)
        return _clean(values.reshape(self.shape), layout)

    @cached_property
    def _frames(self) -> Sequence[Fragments]:
        return frames_of(self._pixels, self.layout.frames, self.header.get("ExtendedOffsetTable") or b"")

    def _decoded(self, frame: bytes) -> Stored:
        layout = self.layout
        if self.syntax == RLE_LOSSLESS:
            return unpack(frame, layout.rows * layout.columns, layout.bits_allocated // 8).view(layout.container)
        if self.syntax not in PLUGINS:
            raise Unsuitable(f"images in {self.header.file_meta.TransferSyntaxUID.name} are not decoded here")
        precision = _precision(frame, layout)  # GDCM ends the process when it is told another one than it finds
        values, _ = get_decoder(_DECODED_AS.get(self.syntax, self.syntax)).as_array(
            encapsulate([frame], has_bot=False),
            raw=True,
            decoding_plugin=PLUGINS[self.syntax],
            rows=layout.rows,
            columns=layout.columns,
            number_of_frames=1,
            samples_per_pixel=1,
            photometric_interpretation="MONOCHROME2",
            pixel_representation=int(layout.signed),
            bits_allocated=next(bits for bits in ALLOCATED if bits >= precision),
            bits_stored=precision,
            pixel_keyword="PixelData",
        )
        return np.asarray(values)


def can_decode(transfer_syntax_uid: str) -> bool:
    """True when the plugin that decodes a transfer syntax loads."""
    if transfer_syntax_uid not in PLUGINS:
        return transfer_syntax_uid in (*NATIVE, EXPLICIT_BIG_ENDIAN, RLE_LOSSLESS)
    decoder = get_decoder(_DECODED_AS.get(transfer_syntax_uid, transfer_syntax_uid))
    return PLUGINS[transfer_syntax_uid] in decoder.available_plugins


def _pixel_data(content: memoryview, at: int, syntax: str) -> tuple[memoryview, bool]:
    """The value of the Pixel Data that begins at a byte, and whether it is one of words (OW)."""
    if at + 12 > len(content):
        raise Broken("it ends before its Pixel Data")
    order = ">" if syntax == EXPLICIT_BIG_ENDIAN else "<"
    group, element = struct.unpack_from(f"{order}HH", content, at)
    if (group << 16) + element != _PIXEL_DATA:
        raise Unsuitable(f"its pixels are in ({group:04x},{element:04x}); those of Pixel Data (7fe0,0010) are read")
    begins = at + (8 if syntax == IMPLICIT_LITTLE_ENDIAN else 12)
    (length,) = struct.unpack_from(f"{order}L", content, begins - 4)
    ends = None if length == _UNDEFINED else begins + length
    return content[begins:ends], bytes(content[at + 4 : at + 6]) == b"OW"


def _precision(frame: bytes, layout: Layout) -> int:
    """How many bits a pixel of a codestream has.

    A codestream that contradicts the image's header is refused before a decoder makes room for it.
    """
    found = codestream_header(frame)
    if (found.rows, found.columns, found.components) != (layout.rows, layout.columns, 1):
        raise Broken(
            f"a compressed frame holds {found.rows} x {found.columns} pixels of {found.components} samples, its header "
            f"says {layout.rows} x {layout.columns} of 1"
        )
    if found.precision > layout.bits_allocated:
        raise Broken(f"a compressed frame holds {found.precision} bits a pixel, {layout.bits_allocated} are allocated")
    return found.precision


def _clean(values: Stored, layout: Layout) -> Stored:
    """The values without the bits that are not stored, which may hold anything (PS3.5 8.1.1), sign extended."""
    wide = values.astype(layout.container, copy=False)
    spare = layout.bits_allocated - layout.bits_stored
    above = layout.bits_allocated - 1 - layout.high_bit
    return np.asarray((wide << above) >> spare) if spare else wide
