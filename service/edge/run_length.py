"""RLE Lossless (PS3.5 annex G), unpacked to as many bytes as the header says and never to more."""

import struct

import numpy as np
from numpy.typing import NDArray

from service.core.errors import Broken

_HEADER = struct.Struct("<16L")


def unpack(frame: bytes, pixels: int, sample_bytes: int) -> NDArray[np.unsignedinteger]:
    """The samples of one frame of one component, (pixels,). Raises Broken when they are not all there."""
    if len(frame) < _HEADER.size:
        raise Broken(f"an RLE frame has {len(frame)} bytes, its header alone takes {_HEADER.size}")
    count, *offsets = _HEADER.unpack_from(frame)
    if count != sample_bytes:
        raise Broken(f"an RLE frame has {count} segments for samples of {sample_bytes} bytes")
    samples = np.empty((pixels, sample_bytes), dtype=np.uint8)
    ends = (*offsets[1:count], len(frame))
    for index, (start, end) in enumerate(zip(offsets[:count], ends, strict=True)):
        samples[:, sample_bytes - 1 - index] = _unpacked(frame[start:end], pixels)  # the highest byte comes first
    return samples.reshape(-1).view(f"<u{sample_bytes}")


def _unpacked(segment: bytes, size: int) -> NDArray[np.uint8]:
    found, at = bytearray(), 0
    while len(found) < size and at < len(segment):
        code = segment[at]
        if code < 128:
            found += segment[at + 1 : at + 2 + code]
            at += 2 + code
        elif code == 128:
            at += 1
        else:
            found += segment[at + 1 : at + 2] * (257 - code)
            at += 2
    if len(found) < size:
        raise Broken(f"an RLE segment unpacks to {len(found)} bytes of {size}")
    return np.frombuffer(found, dtype=np.uint8, count=size)
