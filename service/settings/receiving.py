"""The door: who may send, what connections may take, and what is accepted."""

import re
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from models.terms import Text
from service.core.doorkeeping import FINGERPRINT, Admitted, Capacity
from service.core.identity import is_uid
from service.core.transfer_syntaxes import ACCEPTED, LOSSY_PLUGINS, NEVER_ACCEPTED
from service.edge.codecs import missing_package
from service.settings.terms import AeTitle, ClientTls, DicomWebServer, Port, Share, kind_of


class DicomArchive(Text):
    """An archive that speaks DIMSE."""

    kind: Literal["dicom"] = "dicom"
    ae_title: AeTitle
    host: str = Field(min_length=1)
    port: Port
    calling_ae_title: AeTitle | None = None
    retrieve: Literal["move", "get", "none"] = "move"
    tls: ClientTls | None = None


class DicomWebArchive(DicomWebServer):
    """An archive that speaks DICOMweb: it is asked, and never to send."""

    kind: Literal["dicomweb"]


# What keeps everything that a peer sends: it is asked how much of a Series there is, and to send it again.
PeerArchive = Annotated[
    Annotated[DicomArchive, Tag("dicom")] | Annotated[DicomWebArchive, Tag("dicomweb")],
    Discriminator(kind_of, custom_error_type="kind", custom_error_message="kind is dicom or dicomweb"),
]


class ReportTo(Text):
    """Where a peer listens for what became of its storage commitment requests."""

    host: str = Field(min_length=1)
    port: Port


def _certificate_name(written: str) -> str:
    """A fingerprint in one form, or a name that counts whole."""
    if written.lower().startswith(FINGERPRINT):
        digits = written[len(FINGERPRINT) :].replace(":", "").lower()
        if not re.fullmatch("[0-9a-f]{64}", digits):
            raise ValueError("a fingerprint is sha256: and 64 hexadecimal digits")
        return FINGERPRINT + digits
    if "*" in written or not written.isprintable():
        raise ValueError("a common name or DNS name counts whole, without wildcards: write it as in the certificate")
    return written


CertificateName = Annotated[str, Field(min_length=1), AfterValidator(_certificate_name)]


class Peer(Text):
    """Who may send: a calling AE title from an address or network, to our AE title or another one of ours."""

    ae_title: AeTitle
    host: IPv4Network | IPv6Network
    called_ae_title: AeTitle | None = None
    archive: PeerArchive | None = None
    certificate: CertificateName | None = None
    report_to: ReportTo | None = None


class ReceivingLimits(Text):
    """What connections may take, all together and each."""

    associations: int = Field(default=40, ge=1, le=10_000)
    associations_per_address: int = Field(default=16, ge=1, le=10_000)
    reserved_per_peer: int = Field(default=2, ge=0, le=100)
    strangers: int = Field(default=4, ge=0, le=100)
    handshake_seconds: float = Field(default=5, gt=0, le=600)
    idle_seconds: float = Field(default=60, gt=0, le=86400)
    pdu_seconds: float = Field(default=10, gt=0, le=600)
    pdu_bytes: int = Field(default=128 * 1024, ge=4096, le=1024 * 1024)
    command_bytes: int = Field(default=16 * 1024, ge=1024, le=1024 * 1024)
    instance_bytes: int = Field(default=2 * 1024**3, ge=1024)
    bytes_per_second: float = Field(default=1024, ge=0)


class ReceivingTls(Text):
    """A second port, for peers that prove who they are with a certificate of one of our authorities."""

    port: Port = 2762
    certificate: Path
    private_key: Path
    authorities: Path


def _never_accepted(uid: str) -> str:
    if uid in NEVER_ACCEPTED:
        raise ValueError(f"{NEVER_ACCEPTED[uid]} is never accepted: {uid} has to go")
    if not is_uid(uid):
        raise ValueError("not a UID")
    return uid


SopClass = Annotated[str, AfterValidator(_never_accepted)]


def _decodable(uid: str) -> str:
    if uid not in ACCEPTED:
        raise ValueError(f"a transfer syntax that is not decoded here; those that are: {', '.join(ACCEPTED)}")
    if package := missing_package(uid):
        raise ValueError(f"decoding it needs {package}, which is not installed: install it, or take {uid} out")
    return uid


TransferSyntax = Annotated[str, AfterValidator(_never_accepted), AfterValidator(_decodable)]


class Receiving(Text):
    """The door."""

    ae_title: AeTitle = "ISOCENTER"
    bind: str = "127.0.0.1"
    port: Port = 11112
    peers: tuple[Peer, ...] = ()
    refuse_below_free: Share = 0.1
    engine: Literal["fast", "stock"] = "fast"
    processes: int | None = Field(default=None, ge=1, le=64)
    flushing: Literal["each", "grouped"] = "each"
    sop_classes: tuple[SopClass, ...] = ()
    transfer_syntaxes: tuple[TransferSyntax, ...] = ()
    lossy: Literal["accept", "refuse"] = "accept"
    limits: ReceivingLimits = ReceivingLimits()
    tls: ReceivingTls | None = None
    metrics_port: Port | None = None
    commitment: bool = True

    @model_validator(mode="after")
    def _archives_agree(self) -> "Receiving":
        kept: dict[str, PeerArchive] = {}
        for peer in self.peers:
            if peer.archive and kept.setdefault(peer.ae_title, peer.archive) != peer.archive:
                raise ValueError(f"two entries of {peer.ae_title} name different archives: name one of them")
        return self

    @model_validator(mode="after")
    def _places_to_report_to_agree(self) -> "Receiving":
        for peer in self.peers:
            if peer.report_to and self.reporting[peer.ae_title] != peer.report_to:
                raise ValueError(f"two entries of {peer.ae_title} name different places to report to: name one of them")
        return self

    @property
    def reporting(self) -> dict[str, ReportTo]:
        """Where peers listen for what became of their storage commitment requests, by calling AE title."""
        return {peer.ae_title: peer.report_to for peer in self.peers if peer.report_to}

    @property
    def admitted(self) -> tuple[Admitted, ...]:
        """The allow-list."""
        return tuple(
            Admitted(peer.ae_title, peer.called_ae_title or self.ae_title, peer.host, peer.certificate)
            for peer in self.peers
        )

    @model_validator(mode="after")
    def _certificates_can_be_shown(self) -> "Receiving":
        bound = sorted({peer.ae_title for peer in self.peers if peer.certificate})
        if bound and not self.tls:
            raise ValueError(f"{', '.join(bound)} may come by certificate alone, and there is no port for it: add tls")
        return self

    @property
    def negotiated(self) -> tuple[str, ...]:
        """The transfer syntaxes that are accepted: those named, else every one that the installed plugins decode."""
        named = self.transfer_syntaxes or tuple(uid for uid in ACCEPTED if not missing_package(uid))
        return tuple(uid for uid in named if self.lossy == "accept" or uid not in LOSSY_PLUGINS)

    @model_validator(mode="after")
    def _has_a_transfer_syntax(self) -> "Receiving":
        refused = [uid for uid in self.transfer_syntaxes if uid in LOSSY_PLUGINS and self.lossy == "refuse"]
        if refused:
            raise ValueError(f"lossy: refuse, and transfer_syntaxes names {', '.join(refused)}: take one of them out")
        return self

    @property
    def capacity(self) -> Capacity:
        """How many connections may be open."""
        limits = self.limits
        return Capacity(
            limits.associations, limits.associations_per_address, limits.reserved_per_peer, limits.strangers
        )
