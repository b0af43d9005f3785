"""Files on their way out: what their File Meta Information says, and their data sets piece by piece, never a copy."""

import os
import stat
import struct
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from pydicom import dcmread
from pydicom.uid import UID
from pynetdicom.dsutils import encode

from service.core.identity import is_uid
from service.core.transfer_syntaxes import NATIVE
from service.edge.file_meta import PREAMBLE, data_set_offset, elements
from service.edge.negotiation import Kind

_HEAD_BYTES = 2048
_MOST_META_BYTES = 64 * 1024
_SOP_CLASS, _SOP_INSTANCE, _TRANSFER_SYNTAX = 0x00020002, 0x00020003, 0x00020010


class Unreadable(Exception):  # noqa: N818 - said of the file
    """A file is gone, damaged, or no longer what it was when it was looked at."""


@dataclass(frozen=True, slots=True)
class _State:
    """What changes when a file does."""

    inode: int
    size: int
    modified_ns: int
    links: bool  # False: it was removed


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A DICOM file (PS3.10 7) by its File Meta Information."""

    path: Path
    kind: Kind
    sop_instance_uid: str
    data_set_at: int
    state: _State

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """As what it can be sent: as it is, and a native one in the other native transfer syntax (PS3.5 10.1)."""
        own = self.kind.transfer_syntax_uid
        others = [syntax for syntax in NATIVE if syntax != own] if own in NATIVE else []
        return (self.kind, *(Kind(self.kind.sop_class_uid, syntax) for syntax in others))


def look(path: Path) -> Outgoing:
    """A file as it is now. Raises Unreadable."""
    try:
        with path.open("rb", buffering=0) as stream:
            head = stream.read(_HEAD_BYTES)
            start = data_set_offset(head)
            if len(head) < start <= _MOST_META_BYTES:
                head += stream.read(start - len(head))
            return _outgoing(path, elements(head[:start]), start, _state(stream), head)
    except (OSError, struct.error, UnicodeDecodeError) as error:
        raise Unreadable(f"{path.name} is gone or damaged ({type(error).__name__})") from error


def _outgoing(path: Path, meta: dict[int, bytes], start: int, state: _State, head: bytes) -> Outgoing:
    names = [meta.get(tag, b"").rstrip(b"\0 ").decode("ascii") for tag in (_SOP_CLASS, _SOP_INSTANCE, _TRANSFER_SYNTAX)]
    whole = state.size > start and (state.size - start) % 2 == 0
    if head[len(PREAMBLE) - 4 : len(PREAMBLE)] != PREAMBLE[-4:] or not all(map(is_uid, names)) or not whole:
        raise Unreadable(f"{path.name} is not a whole DICOM file")
    return Outgoing(path, Kind(names[0], names[2]), names[1], start, state)


class Content:
    """The data set of a file in one transfer syntax, from its first byte to its last. Methods raise Unreadable."""

    def __init__(self, outgoing: Outgoing, transfer_syntax_uid: str) -> None:
        self._outgoing = outgoing
        self._stream, self._left = _opened(outgoing, transfer_syntax_uid)

    @property
    def is_read(self) -> bool:
        """True when nothing is left."""
        return not self._left

    def read(self, most: int) -> bytes:
        """The next bytes; the last of them only from a file that is still the one that was looked at."""
        size = min(most, self._left)
        try:
            piece = self._stream.read(size)
        except OSError as error:
            raise Unreadable(f"{self._outgoing.path.name} cannot be read ({error.strerror})") from error
        self._left -= size
        if len(piece) != size or (not self._left and not self._is_unchanged()):
            raise Unreadable(f"{self._outgoing.path.name} changes while it is sent")
        return piece

    def close(self) -> None:
        """Read no more."""
        self._stream.close()

    def _is_unchanged(self) -> bool:
        return isinstance(self._stream, BytesIO) or _state(self._stream) == self._outgoing.state


def _opened(outgoing: Outgoing, transfer_syntax_uid: str) -> tuple[BinaryIO, int]:
    """A stream that stands where the data set begins, and the bytes that are left in it."""
    try:
        if transfer_syntax_uid != outgoing.kind.transfer_syntax_uid:
            encoded = _encoded(outgoing.path, UID(transfer_syntax_uid))
            return BytesIO(encoded), len(encoded)
        stream = outgoing.path.open("rb", buffering=0)
        stream.seek(outgoing.data_set_at)
    except OSError as error:
        raise Unreadable(f"{outgoing.path.name} is gone ({error.strerror})") from error
    return stream, outgoing.state.size - outgoing.data_set_at


def _encoded(path: Path, transfer_syntax_uid: UID) -> bytes:
    """The data set in another native transfer syntax."""
    try:
        encoded = encode(dcmread(path), transfer_syntax_uid.is_implicit_VR, transfer_syntax_uid.is_little_endian)
    except OSError:
        raise
    except Exception as error:  # pydicom raises anything on damaged files
        raise Unreadable(f"{path.name} cannot be read ({type(error).__name__})") from error
    if not encoded:
        raise Unreadable(f"{path.name} cannot be encoded anew")
    return bytes(encoded)


def _state(stream: BinaryIO) -> _State:
    found = os.fstat(stream.fileno())
    if not stat.S_ISREG(found.st_mode):
        raise Unreadable("it is no file")
    return _State(found.st_ino, found.st_size, found.st_mtime_ns, found.st_nlink > 0)
