"""What stands before a data set in a file of ours (PS3.10 7.1): who sent it, in which association, and its digest."""

import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import xxhash

from service.core.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION

PREAMBLE = b"\0" * 128 + b"DICM"
DataSetDigest = xxhash.xxh3_128  # 0.01 ms per CT slice, where SHA-256 takes as long as receiving it
DIGEST_DIGITS = 32

_DIGEST = re.compile(r"(?!0{32})[0-9a-f]{32}")
_META_GROUP_LENGTH_END = len(PREAMBLE) + 12
_SOP_CLASS_START = _META_GROUP_LENGTH_END + 14  # behind File Meta Information Version


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who brought a data set, and in which association."""

    calling_ae_title: str
    called_ae_title: str
    association: str  # a UID, kept in Private Information (0002,0102)


@dataclass(frozen=True, slots=True)
class Offer:
    """What is known of an instance before its data set comes (PS3.7 9.1.1)."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    provenance: Provenance


def encode_meta(offer: Offer) -> bytes:
    """Preamble, prefix and File Meta Information (PS3.10 7.1) to stand before a data set as it came.

    The last 32 bytes are kept free for the digest of the data set, which is known when all of it has come.
    """
    before = _before(offer.sop_class_uid)
    instance = _element(0x0003, b"UI", offer.sop_instance_uid.encode())
    after = _after(offer.transfer_syntax_uid, offer.provenance)
    length = struct.pack("<L", len(before) + len(instance) + len(after))
    return b"".join((PREAMBLE, _element(0x0000, b"UL", length), before, instance, after))


@lru_cache
def _before(sop_class_uid: str) -> bytes:
    return _element(0x0001, b"OB", b"\0\1") + _element(0x0002, b"UI", sop_class_uid.encode())


@lru_cache
def _after(transfer_syntax_uid: str, provenance: Provenance) -> bytes:
    gap = " " if len(provenance.association) % 2 else "  "
    return b"".join(
        (
            _element(0x0010, b"UI", transfer_syntax_uid.encode()),
            _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID.encode()),
            _element(0x0013, b"SH", IMPLEMENTATION_VERSION.encode()),
            _element(0x0016, b"AE", provenance.calling_ae_title.encode()),
            _element(0x0018, b"AE", provenance.called_ae_title.encode()),
            _element(0x0100, b"UI", IMPLEMENTATION_CLASS_UID.encode()),
            _element(0x0102, b"OB", f"{provenance.association}{gap}{'0' * DIGEST_DIGITS}".encode()),
        )
    )


def _element(element: int, vr: bytes, value: bytes) -> bytes:
    value += (b"\0" if vr in (b"UI", b"OB") else b" ") * (len(value) % 2)
    if vr == b"OB":
        return struct.pack("<HH2sHL", 0x0002, element, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", 0x0002, element, vr, len(value)) + value


def digest_offset(meta: bytes) -> int:
    """Where the digest of the data set stands in File Meta Information of ours."""
    return len(meta) - DIGEST_DIGITS


def noted_digest(meta: bytes) -> str:
    """The digest of the data set as it was noted at the end of what stands before it; empty where it was not."""
    noted = meta[-DIGEST_DIGITS:].decode("ascii", "replace")
    return noted if _DIGEST.fullmatch(noted) else ""


def noted_sop_class_uid(meta: bytes) -> str:
    """Media Storage SOP Class UID in what stands before the data set of a file of ours; empty where it has none."""
    group, element, vr, length = struct.unpack_from("<HH2sH", meta, _SOP_CLASS_START)
    if (group, element, vr) != (0x0002, 0x0002, b"UI"):
        return ""
    value = meta[_SOP_CLASS_START + 8 : _SOP_CLASS_START + 8 + length]
    return value.rstrip(b"\0").decode("ascii", "replace")


def digests(content: bytes) -> tuple[str, str]:
    """The digest of a file's data set as it was noted when it came, empty where it was not, and as it is now."""
    offset = data_set_offset(content[:_META_GROUP_LENGTH_END])
    return noted_digest(content[:offset]), str(DataSetDigest(memoryview(content)[offset:]).hexdigest())


def kept_digest(path: Path) -> str:
    """The digest of a file's data set: as taken when it was received, else as computed now."""
    with path.open("rb") as stream:
        offset = data_set_offset(stream.read(_META_GROUP_LENGTH_END))
        stream.seek(offset - DIGEST_DIGITS)
        noted = noted_digest(stream.read(DIGEST_DIGITS))
    return noted or digests(path.read_bytes())[1]


def elements(head: bytes) -> dict[int, bytes]:
    """File Meta Information by tag, from a file's first bytes up to its data set. Raises struct.error on damage."""
    found: dict[int, bytes] = {}
    position = len(PREAMBLE)
    while position < len(head):
        group, element, vr, length = struct.unpack_from("<HH2sH", head, position)
        position += 8
        if vr in (b"OB", b"UN", b"UT", b"OW", b"SQ"):
            (length,) = struct.unpack_from("<L", head, position)
            position += 4
        found[group << 16 | element] = head[position : position + length]
        position += length
    return found


def data_set_offset(head: bytes) -> int:
    """Where the data set begins in a file of ours, from its first 144 bytes."""
    length: int = struct.unpack_from("<L", head, _META_GROUP_LENGTH_END - 4)[0]
    return _META_GROUP_LENGTH_END + length
