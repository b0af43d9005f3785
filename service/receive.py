"""Stage 1: a C-STORE becomes a durable file, and only then an answer."""

import structlog

from service.core.errors import TryAgain
from service.edge.part10 import encode_meta
from service.edge.spool import Admission, InstanceName, Spool
from service.edge.storage_scp import OUT_OF_RESOURCES, SUCCESS, Reception


class Receiver:
    """Admits data sets to the spool, and leaves word of how each association that brought some ended."""

    def __init__(self, spool: Spool, refuse_below_free: float) -> None:
        self._spool = spool
        self._refuse_below_free = refuse_below_free
        self._brought: dict[str, int] = {}
        self._log = structlog.get_logger()

    def admit(self, reception: Reception) -> int:
        """The C-STORE status: 0x0000 once the instance survives a power cut, 0xA700 when the disk cannot take it."""
        naming, association = reception.naming, reception.provenance.association
        name = InstanceName(naming.series_instance_uid, naming.sop_instance_uid)
        try:
            self._require_room()
            meta = encode_meta(naming, reception.transfer_syntax_uid, reception.provenance)
            admission = self._spool.admit(name, meta, reception.data_set)
        except TryAgain as error:
            self._log.error("instance refused", association=association, reason=str(error))
            return OUT_OF_RESOURCES
        self._brought[association] = self._brought.get(association, 0) + 1
        if admission is Admission.HELD:
            self._log.warning("same UID with other bytes held", sop_instance=name.sop_instance_uid)
        return SUCCESS

    def note_end(self, association: str, released: bool) -> None:
        """Leave word of how an association ended, for the assembling stage."""
        instances = self._brought.pop(association, 0)
        if not instances:
            return
        self._log.info("association ended", association=association, instances=instances, released=released)
        try:
            self._spool.note_association(association, released=released)
        except TryAgain as error:  # the Series it brought will be closed by silence instead
            self._log.error("association not noted", association=association, reason=str(error))

    def _require_room(self) -> None:
        free = self._spool.free_share()
        if free < self._refuse_below_free:
            raise TryAgain(f"{free:.1%} of the spool's disk is free, and {self._refuse_below_free:.1%} is to stay free")
