"""ONNX files for tests, written byte by byte in the form of protocol buffers (onnx.proto): one convolution each."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FLOAT, INTS = 1, 7


def graph(
    weights: NDArray[np.float32], window: Sequence[int | str], elsewhere: str = "", images: int | str = "n"
) -> bytes:
    """A model of one 3x3x3 convolution, (classes, 1, 3, 3, 3), over windows; a size that is a text is left open."""
    node = b"".join(
        [
            *(_block(1, name.encode()) for name in ("image", "weights")),
            _block(2, b"answer"),
            _block(4, b"Conv"),
            _block(5, _block(1, b"pads") + b"".join(_number(8, 1) for _ in range(2 * len(window))) + _number(20, INTS)),
        ]
    )
    body = b"".join(
        [
            _block(1, node),
            _block(2, b"convolution"),
            _block(5, _tensor(weights, elsewhere)),
            _block(11, _end("image", (images, 1, *window))),
            _block(12, _end("answer", (images, len(weights), *window))),
        ]
    )
    return _number(1, 8) + _block(7, body) + _block(8, _block(1, b"") + _number(2, 17))


def _tensor(weights: NDArray[np.float32], elsewhere: str) -> bytes:
    said = b"".join(_number(1, size) for size in weights.shape) + _number(2, FLOAT) + _block(8, b"weights")
    if elsewhere:
        return said + _block(13, _block(1, b"location") + _block(2, elsewhere.encode())) + _number(14, 1)
    return said + _block(9, weights.astype("<f4").tobytes())


def _end(name: str, shape: Sequence[int | str]) -> bytes:
    sizes = (_number(1, size) if isinstance(size, int) else _block(2, size.encode()) for size in shape)
    dims = b"".join(_block(1, size) for size in sizes)
    return _block(1, name.encode()) + _block(2, _block(1, _number(1, FLOAT) + _block(2, dims)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _block(field: int, held: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(held)) + held


def _varint(value: int) -> bytes:
    held = bytearray()
    while value > 0x7F:
        held.append(value & 0x7F | 0x80)
        value >>= 7
    held.append(value)
    return bytes(held)
