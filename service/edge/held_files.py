"""Whether received files still are what came: names looked up once, bytes read piece by piece."""

import struct
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from service.core.commitment import Found, Standing
from service.edge.file_meta import DataSetDigest, data_set_offset, noted_digest, noted_sop_class_uid
from service.edge.spool import InstanceName, Spool

_HEAD_BYTES = 64 * 1024  # what stands before a data set of ours is shorter
_PIECE_BYTES = 1024 * 1024

Index = dict[str, list[InstanceName]]


def index(spool: Spool) -> Index:
    """What was received, by SOP Instance UID: one may have come in several Series."""
    found: Index = defaultdict(list)
    for name in spool.arrivals():
        found[name.sop_instance_uid].append(name)
    return found


def read_all(spool: Spool, names: Sequence[InstanceName]) -> list[Found]:
    """How received files are found; those that are gone by now are left out."""
    return [found for name in names if (found := _read(spool.incoming(name)))]


def _read(path: Path) -> Found | None:
    try:
        return _compared(path)
    except FileNotFoundError:
        return None
    except (OSError, struct.error):
        return Found(Standing.DAMAGED)


def _compared(path: Path) -> Found:
    """Raises struct.error where a file ends before its data set."""
    with path.open("rb", buffering=0) as stream:
        head = stream.read(_HEAD_BYTES)
        offset = data_set_offset(head)
        if offset > len(head):
            return Found(Standing.DAMAGED)
        meta, digest, piece = head[:offset], DataSetDigest(), head[offset:]
        while piece:
            digest.update(piece)
            piece = stream.read(_PIECE_BYTES)
    is_whole = digest.hexdigest() == noted_digest(meta)
    return Found(Standing.WHOLE if is_whole else Standing.DAMAGED, noted_sop_class_uid(meta))
