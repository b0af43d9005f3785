"""A Storage and Verification SCP (PS3.4 annexes A and B): connections in, data sets out, an answer for each."""

import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import uuid4

import structlog
from pydicom import config as pydicom_config
from pynetdicom import AE, AllStoragePresentationContexts, _config, build_context, evt
from pynetdicom.sop_class import Verification
from pynetdicom.transport import AddressInformation

from service.core.doorkeeping import Objection, ShownCertificate
from service.core.errors import ConfigurationError, whereabouts
from service.core.transfer_syntaxes import ACCEPTED
from service.edge import commitment_content
from service.edge.commitment_content import SOP_CLASS
from service.edge.committing import Commitments
from service.edge.fast_association import FastAssociation, missing_names
from service.edge.intake import AssociationRecord, OnEnd, OnStore
from service.edge.stock_association import StockAssociation
from service.edge.tls import Credentials, shown_certificate
from service.edge.tls_failures import tls_words
from service.edge.upper_layer import DEFAULT_LIMITS, Limits

_config.LOG_HANDLER_LEVEL = "none"
pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE  # what meets a path is checked by is_uid

_ANSWERS_BYTES = 64 * 1024  # that may wait for a peer which does not read them
_ABORT_SECONDS = 2.0
_PERMANENT, _SERVICE_USER = 0x01, 0x01
_CALLING, _CALLED = 0x03, 0x07  # whose AE title is not recognized

Conversation = FastAssociation | StockAssociation
# (calling AE title, called AE title, address, the certificate that was shown)
Objects = Callable[[str, str, str, ShownCertificate | None], Objection | None]


def nobody_is_refused(_calling: str, _called: str, _address: str, _certificate: ShownCertificate | None) -> None:
    """For stand-ins."""


@dataclass(frozen=True, slots=True)
class Door:
    """Under which name, to whom, and for what it opens."""

    ae_title: str
    objection: Objects = nobody_is_refused
    limits: Limits = DEFAULT_LIMITS
    engine: str = "fast"
    sop_classes: Sequence[str] = ()  # none: every storage SOP class that pynetdicom knows
    transfer_syntaxes: Sequence[str] = ACCEPTED
    commitment: bool = True  # False: of storage commitment only reports are taken


class StorageScp:
    """Serves connections; `on_store` takes each data set, `on_end` hears how each association ended.

    Without `commitments` storage commitment is not supported. Raises ConfigurationError when the fast engine does not
    fit the installed pynetdicom.
    """

    def __init__(self, door: Door, on_store: OnStore, on_end: OnEnd, commitments: Commitments | None = None) -> None:
        self._door = door
        self._on_store = on_store
        self._on_end = on_end
        self._commitments = commitments
        self._log = structlog.get_logger()
        self._entity = _entity(door)
        self._contexts = _contexts(door) | (_commitment_context() if commitments else {})
        self._open: dict[str, Conversation | None] = {}
        if door.engine == "fast" and (missing := missing_names()):
            raise ConfigurationError(f"pynetdicom has no {', '.join(missing)}: set receiving.engine to stock")

    def serve(
        self,
        connection: socket.socket,
        address: str,
        *,
        tls: Credentials | None = None,
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        """Serve a connection in a thread of its own; `on_close` hears when it is over."""
        name = f"2.25.{uuid4().int}"
        self._open[name] = None
        arguments = (name, connection, address, tls, on_close)
        try:
            threading.Thread(target=self._converse, args=arguments, daemon=True).start()
        except RuntimeError as error:  # no more threads
            self._log.error("connection not served", address=address, reason=str(error))
            connection.close()
            del self._open[name]
            on_close()

    def open_associations(self) -> int:
        """How many connections are being served."""
        return len(self._open)

    def stop(self) -> None:
        """Abort what is still open, and see it end."""
        for conversation in list(self._open.values()):
            if conversation is not None:
                conversation.break_off()
        deadline = time.monotonic() + _ABORT_SECONDS
        while self._open and time.monotonic() < deadline:
            time.sleep(0.01)

    def _converse(
        self,
        name: str,
        connection: socket.socket,
        address: str,
        tls: Credentials | None,
        on_close: Callable[[], None],
    ) -> None:
        began = time.monotonic()
        record = AssociationRecord(name, address=address)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ANSWERS_BYTES)
            certificate: ShownCertificate | None = None
            if tls:
                connection, certificate = self._secured(connection, tls)
            self._open[name] = conversation = self._conversation(connection, record)
            conversation.bind(evt.EVT_REQUESTED, self._requested, [certificate])
            conversation.on_end = lambda record: self._note(record, began)
            conversation.run()
            conversation.note_untold()
        except OSError as error:
            self._log.warning("connection not served", address=address, reason=tls_words(error))
        except Exception as error:
            self._log.error("association failed", association=name, reason=whereabouts(error))
        finally:
            connection.close()
            self._open.pop(name, None)
            on_close()

    def _secured(self, connection: socket.socket, tls: Credentials) -> tuple[socket.socket, ShownCertificate]:
        connection.settimeout(self._door.limits.handshake_seconds)
        secured = tls.wrap_socket(connection, server_side=True)
        secured.settimeout(None)
        return secured, shown_certificate(secured)

    def _conversation(self, connection: socket.socket, record: AssociationRecord) -> Conversation:
        kind = FastAssociation if self._door.engine == "fast" else StockAssociation
        conversation = kind(self._entity, connection, record, self._door.limits, self._on_store)
        conversation.acceptor.maximum_length = self._door.limits.pdu_bytes
        conversation.acceptor.ae_title = self._door.ae_title
        conversation.acceptor.address_info = _resolved(connection.getsockname()[0])
        conversation.acceptor.implementation_class_uid = self._entity.implementation_class_uid
        conversation.acceptor.implementation_version_name = self._entity.implementation_version_name
        conversation.requestor.address_info = _resolved(record.address)
        if self._commitments:
            conversation.commit_by(self._commitments, takes_requests=self._door.commitment)
        return conversation

    def _note(self, record: AssociationRecord, began: float) -> None:
        record.seconds = time.monotonic() - began
        self._on_end(record)

    def _requested(self, event: Any, certificate: ShownCertificate | None) -> None:
        """Rejects whoever may not come in; an error of ours on the way rejects too, because pynetdicom would admit."""
        try:
            self._admit_or_reject(event.assoc, certificate)
        except Exception as error:
            self._log.error("association failed", reason=whereabouts(error))
            self._reject(event.assoc, _CALLING, "an error of this node")

    def _admit_or_reject(self, association: Conversation, certificate: ShownCertificate | None) -> None:
        request, record = association.requestor.primitive, association.record
        record.calling_ae_title = request.calling_ae_title.strip()
        record.called_ae_title = request.called_ae_title.strip()
        titles = record.calling_ae_title, record.called_ae_title
        objection = self._door.objection(*titles, record.address, certificate)
        if objection:
            diagnostic = _CALLED if objection is Objection.CALLED_AE_TITLE_UNKNOWN else _CALLING
            self._reject(association, diagnostic, _words(objection, record, certificate))
            return
        proposed = dict.fromkeys(context.abstract_syntax for context in request.presentation_context_definition_list)
        if not self._door.commitment and not _would_report(association):
            proposed.pop(SOP_CLASS, None)
        association.acceptor.supported_contexts = [self._contexts[uid] for uid in proposed if uid in self._contexts]

    def _reject(self, association: Conversation, diagnostic: int, reason: str) -> None:
        association.record.ended, association.record.reason = "rejected", reason
        association.acse.send_reject(_PERMANENT, _SERVICE_USER, diagnostic)
        association.kill()


def _words(objection: Objection, record: AssociationRecord, certificate: ShownCertificate | None) -> str:
    if objection is Objection.CALLED_AE_TITLE_UNKNOWN:
        return f"called AE title {record.called_ae_title!r} is not ours"
    caller = f"{record.calling_ae_title!r} from {record.address}"
    if objection is Objection.CERTIFICATE_ABSENT:
        return f"{caller} came without TLS, and its entry of peers names a certificate"
    if objection is Objection.CERTIFICATE_OF_ANOTHER:
        return f"{caller} showed the certificate of {certificate}, and its entry of peers names another"
    return f"{caller} is not among the peers"


def _would_report(association: Conversation) -> bool:
    """True when the requestor proposes to be the SCP of storage commitment (PS3.7 D.3.3.4): it has a report."""
    role = association.requestor.role_selection.get(SOP_CLASS)
    return role is not None and bool(role.scp_role)


@lru_cache
def _resolved(host: str) -> AddressInformation:
    """As pynetdicom keeps addresses; it asks the resolver for each."""
    return AddressInformation.from_tuple((host, 0))


def _entity(door: Door) -> AE:
    entity = AE(door.ae_title)
    entity.maximum_associations = 1_000_000  # the doorkeeper counts connections before they come here
    entity.acse_timeout = door.limits.handshake_seconds
    entity.network_timeout = entity.dimse_timeout = door.limits.idle_seconds
    return entity


def _contexts(door: Door) -> dict[str, Any]:
    """Presentation contexts by abstract syntax, shared by all associations: negotiation only reads them."""
    known = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    contexts = {uid: build_context(uid, list(door.transfer_syntaxes)) for uid in door.sop_classes or known}
    return contexts | {str(Verification): build_context(Verification)}


def _commitment_context() -> dict[str, Any]:
    """In either role: peers ask us, and report what we have asked of them."""
    context = commitment_content.context()
    context.scu_role = context.scp_role = True
    return {SOP_CLASS: context}
