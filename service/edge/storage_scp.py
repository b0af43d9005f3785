"""A Storage and Verification SCP (PS3.4 annexes A and B) on pynetdicom: associations in, raw data sets out."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import structlog
from pynetdicom import AE, AllStoragePresentationContexts, _config, build_context, evt
from pynetdicom.sop_class import Verification
from pynetdicom.transport import ThreadedAssociationServer

from service.core.errors import Broken, TryAgain, whereabouts
from service.edge.part10 import Naming, Provenance, read_naming

_config.LOG_HANDLER_LEVEL = "none"

MAXIMUM_PDU = 128 * 1024  # measured fastest; larger ones are slower
SYNTAXES = (
    "1.2.840.10008.1.2.1",  # Explicit VR Little Endian
    "1.2.840.10008.1.2",  # Implicit VR Little Endian
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless SV1
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless
    "1.2.840.10008.1.2.4.80",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.90",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.5",  # RLE Lossless
)

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
MISMATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000

_PERMANENT, _SERVICE_USER = 0x01, 0x01
_CALLING_UNKNOWN, _CALLED_UNKNOWN = 0x03, 0x07


@dataclass(frozen=True, slots=True)
class Reception:
    """One data set as it came, before anything of it is kept."""

    naming: Naming
    transfer_syntax_uid: str
    provenance: Provenance
    data_set: bytes


@dataclass(frozen=True, slots=True)
class Door:
    """Where to listen, under which name, and who may come in."""

    ae_title: str
    bind: str
    port: int
    admits: Callable[[str, str], bool]  # (calling AE title, address) -> may come in
    maximum_associations: int = 40
    idle_seconds: float = 60.0


OnInstance = Callable[[Reception], int]
OnEnd = Callable[[str, bool], None]  # (association, released)


class StorageScp:
    """A running SCP; `on_instance` returns the C-STORE status, `on_end` hears how each association ended."""

    def __init__(self, door: Door, on_instance: OnInstance, on_end: OnEnd) -> None:
        self._door = door
        self._on_instance = on_instance
        self._on_end = on_end
        self._log = structlog.get_logger()
        self._entity = self._build_entity()
        self._server: ThreadedAssociationServer | None = None

    def start(self) -> int:
        """Listen; returns the port. Raises TryAgain when the port is taken."""
        handlers = [
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_RELEASED, self._ended, [True]),
            (evt.EVT_ABORTED, self._ended, [False]),
            (evt.EVT_CONN_OPEN, _answer_at_once),
        ]
        address = (self._door.bind, self._door.port)
        try:
            self._server = self._entity.start_server(address, block=False, evt_handlers=handlers)
        except OSError as error:
            raise TryAgain(f"cannot listen on {address[0]} port {address[1]}: {error.strerror}") from error
        return int(self._server.server_address[1])

    def close_door(self) -> None:
        """Stop listening; associations that are open go on."""
        if self._server:
            self._server.shutdown()

    def open_associations(self) -> int:
        """How many associations are open."""
        return len(self._entity.active_associations)

    def stop(self) -> None:
        """Stop listening and abort what is still open."""
        for association in self._entity.active_associations:
            association.abort()
        self._entity.shutdown()

    def _build_entity(self) -> AE:
        entity = AE(self._door.ae_title)
        entity.maximum_pdu_size = MAXIMUM_PDU
        entity.maximum_associations = self._door.maximum_associations
        entity.network_timeout = self._door.idle_seconds
        entity.acse_timeout = entity.dimse_timeout = min(30.0, self._door.idle_seconds)
        entity.supported_contexts = [
            build_context(context.abstract_syntax, list(SYNTAXES)) for context in AllStoragePresentationContexts
        ]
        entity.add_supported_context(Verification)
        return entity

    def _requested(self, event: Any) -> None:
        """Rejects whoever may not come in; an error of ours on the way rejects too, because pynetdicom would admit."""
        try:
            self._admit_or_reject(event.assoc)
        except Exception as error:
            self._reject(event.assoc, _CALLING_UNKNOWN, "", whereabouts(error))

    def _admit_or_reject(self, association: Any) -> None:
        request = association.requestor.primitive
        address = association.requestor.address
        calling, called = request.calling_ae_title.strip(), request.called_ae_title.strip()
        if called != self._door.ae_title:
            self._reject(association, _CALLED_UNKNOWN, calling, f"called AE title {called!r} is not ours")
        elif not self._door.admits(calling, address):
            self._reject(association, _CALLING_UNKNOWN, calling, f"{calling!r} from {address} is not among the peers")

    def _reject(self, association: Any, diagnostic: int, calling: str, reason: str) -> None:
        association.acse.send_reject(_PERMANENT, _SERVICE_USER, diagnostic)
        association.kill()
        self._log.warning("association rejected", calling_ae_title=calling, reason=reason)

    def _store(self, event: Any) -> int:
        association = _name(event.assoc)
        try:
            reception = _reception(event, association)
        except Broken as error:
            self._log.warning("instance refused", association=association, reason=str(error))
            return CANNOT_UNDERSTAND
        if reception.naming.sop_instance_uid != str(event.request.AffectedSOPInstanceUID):
            self._log.warning("instance refused", association=association, reason="SOP Instance UIDs differ")
            return MISMATCH
        return self._on_instance(reception)

    def _ended(self, event: Any, released: bool) -> None:
        if event.assoc.requestor.primitive is not None:
            self._on_end(_name(event.assoc), released)


def _reception(event: Any, association: str) -> Reception:
    request = event.assoc.requestor.primitive
    syntax = str(event.context.transfer_syntax)
    data_set = event.request.DataSet.getvalue()
    provenance = Provenance(request.calling_ae_title.strip(), request.called_ae_title.strip(), association)
    return Reception(read_naming(data_set, syntax), syntax, provenance, data_set)


def _name(association: Any) -> str:
    """A name for an association that no other one has or had."""
    if not hasattr(association, "isocenter_name"):
        association.isocenter_name = f"2.25.{uuid4().int}"
    return str(association.isocenter_name)


def _answer_at_once(event: Any) -> None:
    connection = event.assoc.dul.socket.socket
    if connection is not None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
