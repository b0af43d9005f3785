"""Stage 1: a C-STORE becomes a durable file, and only then an answer."""

import time
from collections.abc import Sequence

import structlog

from service.core.errors import Broken, NoRoom, TryAgain, whereabouts
from service.core.transfer_syntaxes import IMPLICIT_LITTLE_ENDIAN
from service.edge import metrics
from service.edge.data_set_scan import Head, Naming, read_head, read_naming
from service.edge.file_meta import DataSetDigest, Offer, digest_offset, encode_meta
from service.edge.intake import (
    CANNOT_UNDERSTAND,
    MISMATCH,
    OUT_OF_RESOURCES,
    SUCCESS,
    Answer,
    AssociationRecord,
    Intake,
    Refused,
    refusal,
)
from service.edge.spool import Admission, InstanceName, Spool

_LOOK_AT_DISK_EVERY = 64 * 1024 * 1024  # bytes
_LOOK_AT_DISK_SECONDS = 0.05


class Room:
    """Whether the spool's disk has room, asked of it seldom enough to cost nothing."""

    def __init__(self, spool: Spool, refuse_below_free: float) -> None:
        self._spool = spool
        self._refuse_below_free = refuse_below_free
        self._free = 0.0
        self._looked_at = float("-inf")
        self._bytes_since = 0

    def require(self, taken: int) -> None:
        """Count bytes that were just taken. Raises NoRoom when less is free than must stay so, TryAgain as the disk."""
        now = time.monotonic()
        self._bytes_since += taken
        if now - self._looked_at > _LOOK_AT_DISK_SECONDS or self._bytes_since > _LOOK_AT_DISK_EVERY:
            self._free = self._spool.free_share()
            self._looked_at, self._bytes_since = now, 0
        if self._free < self._refuse_below_free:
            least = f"{self._refuse_below_free:.1%}"
            raise NoRoom(f"{self._free:.1%} of the spool's disk is free, and {least} is to stay free")


class Receiver:
    """Admits data sets to the spool, and leaves word of how each association that brought some ended."""

    def __init__(self, spool: Spool, refuse_below_free: float) -> None:
        self._spool = spool
        self._room = Room(spool, refuse_below_free)
        self._log = structlog.get_logger()

    def begin(self, offer: Offer) -> Intake:
        """Where the data set of an instance goes: to the spool, or nowhere when the disk has no room for it."""
        try:
            return Reception(offer, self._spool, self._room)
        except TryAgain as error:
            return Refused(_refusal(offer, OUT_OF_RESOURCES, str(error)))

    def require_room(self) -> None:
        """Raises TryAgain when the disk has no room for anything more."""
        self._room.require(0)

    def note_end(self, record: AssociationRecord) -> None:
        """Leave word of how an association ended, for the assembling stage and for people."""
        metrics.count(metrics.ASSOCIATIONS, record.ended)
        metrics.measure(metrics.ASSOCIATION_SECONDS, record.seconds)
        fields = {
            "association": record.association,
            "calling_ae_title": record.calling_ae_title,
            "called_ae_title": record.called_ae_title,
            "address": record.address,
            "instances": record.instances,
            "bytes": record.bytes,
            "seconds": round(record.seconds, 3),
            "statuses": {f"{status:04X}": count for status, count in sorted(record.statuses.items())},
            "ended": record.ended,
            "released": record.released,
        }
        said_nothing = record.ended == "closed" and not record.calling_ae_title  # a check whether the port is open
        if record.instances or not (record.released or said_nothing):
            log = self._log.info if record.released else self._log.warning
            event = "association rejected" if record.ended == "rejected" else "association ended"
            log(event, **fields, **({"reason": record.reason} if record.reason else {}))
        if record.instances:
            self._write_down(record.association, fields)

    def _write_down(self, association: str, fields: dict[str, object]) -> None:
        try:
            self._spool.note_association(association, fields)
        except TryAgain as error:  # the Series it brought will be closed by silence instead
            self._log.error("association not noted", association=association, reason=str(error))


class Reception:
    """One instance on its way into the spool. Raises TryAgain when there is no room for it to begin with."""

    def __init__(self, offer: Offer, spool: Spool, room: Room) -> None:
        self._offer = offer
        self._spool = spool
        self._room = room
        self._began = time.monotonic()
        room.require(0)
        self._meta = encode_meta(offer)
        self._unwritten: tuple[bytes, ...] = (self._meta,)  # goes with the first piece
        self._digest = DataSetDigest()
        self._size = 0
        self._is_implicit = offer.transfer_syntax_uid == IMPLICIT_LITTLE_ENDIAN
        self._head: Head | None = None
        self._refused: Answer | None = None
        self._half = spool.begin()

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Keep the next bytes; once the disk has refused one, the rest is let pass."""
        if self._refused:
            return
        try:
            self._half.write((*self._unwritten, *pieces))
            self._unwritten = ()
            if not self._size:
                self._head = read_head(pieces[0], implicit=self._is_implicit)
            before = self._size
            for piece in pieces:
                self._digest.update(piece)
                self._size += len(piece)
            self._room.require(self._size - before)
        except TryAgain as error:
            self._half.discard()
            self._refused = _refusal(self._offer, OUT_OF_RESOURCES, str(error))

    def finish(self) -> Answer:
        """0x0000 once the instance survives a power cut, or the status that says why it is not kept."""
        answer = self._refused or self._admitted()
        metrics.measure(metrics.STORE_SECONDS, time.monotonic() - self._began)
        return answer

    def abandon(self) -> None:
        """Leave nothing."""
        self._half.discard()

    def _admitted(self) -> Answer:
        try:
            return self._admit()
        except TryAgain as error:
            answer = _refusal(self._offer, OUT_OF_RESOURCES, str(error))
        except Broken as error:
            answer = _refusal(self._offer, CANNOT_UNDERSTAND, str(error))
        except Exception as error:  # never an answer that is not true
            answer = _refusal(self._offer, OUT_OF_RESOURCES, f"an error of this node: {whereabouts(error)}")
        self._half.discard()
        return answer

    def _admit(self) -> Answer:
        offer = self._offer
        naming = self._naming()
        if naming.sop_instance_uid != offer.sop_instance_uid or naming.sop_class_uid != offer.sop_class_uid:
            self._half.discard()
            return _refusal(offer, MISMATCH, "SOP Class or Instance UID of command and data set differ")
        digest = self._digest.hexdigest()
        self._half.overwrite(digest_offset(self._meta), digest.encode())
        name = InstanceName(naming.series_instance_uid, naming.sop_instance_uid)
        began = time.monotonic()
        admission = self._spool.admit(self._half, name, digest)
        metrics.measure(metrics.FLUSH_SECONDS, time.monotonic() - began)
        if admission is Admission.HELD:
            metrics.count(metrics.HELD)
            structlog.get_logger().warning(
                "same UID with other bytes held",
                association=offer.provenance.association,
                sop_instance=name.sop_instance_uid,
                series=name.series_instance_uid,
            )
        return Answer(SUCCESS)

    def _naming(self) -> Naming:
        if not self._size:
            raise Broken("the data set is empty")
        if self._head and self._head.size == self._size:
            return self._head.naming
        content = self._half.content()
        try:
            return read_naming(content, implicit=self._is_implicit, start=len(self._meta))
        finally:
            content.close()


def _refusal(offer: Offer, status: int, sentence: str) -> Answer:
    return refusal(offer.provenance.association, offer.sop_instance_uid, status, sentence)
