"""A site's decisions: config/*.yaml as one typed value, or an error that names file, line and cure."""

import re
from datetime import time, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from models.environment import Environment
from service.core.completeness import Patience
from service.core.doorkeeping import FINGERPRINT, Admitted, Capacity
from service.core.errors import ConfigurationError
from service.core.identity import is_uid
from service.core.profiles import USUAL, Profile, profile_of
from service.core.routing import Rule
from service.core.suitability import Allowance
from service.core.transfer_syntaxes import ACCEPTED, LOSSY_PLUGINS, NEVER_ACCEPTED
from service.edge.codecs import missing_package
from service.edge.yaml_file import nearest, place_of, read

AeTitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[\x21-\x5b\x5d-\x7e][\x20-\x5b\x5d-\x7e]*$")]
_HERE = Path(__file__).parent
TEMPLATES = next(folder for folder in (_HERE / "config", _HERE.parent / "config") if (folder / "node.yaml").is_file())

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(ge=0, le=86400)]
Share = Annotated[float, Field(ge=0, lt=1)]


class _Text(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _kind(written: object) -> str:
    found = written.get("kind", "dicom") if isinstance(written, dict) else getattr(written, "kind", "dicom")
    return str(found)


def _require_both(certificate: Path | None, private_key: Path | None) -> None:
    if (certificate is None) != (private_key is None):
        raise ValueError("certificate and private_key belong together: name both, or none")


class ClientTls(_Text):
    """How a peer proves who it is, and we to it: certificates of its authorities, and our own where it asks."""

    authorities: Path
    certificate: Path | None = None
    private_key: Path | None = None

    @model_validator(mode="after")
    def _key_and_certificate(self) -> Self:
        _require_both(self.certificate, self.private_key)
        return self


class DicomWebServer(_Text):
    """A server that speaks DICOMweb (PS3.18): where it is, how it proves who it is, and we to it."""

    url: str = Field(pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$")
    token_file: Path | None = None
    authorities: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None

    @model_validator(mode="after")
    def _key_and_certificate(self) -> Self:
        _require_both(self.certificate, self.private_key)
        return self

    @model_validator(mode="after")
    def _nobody_overhears_the_token(self) -> Self:
        host = urlsplit(self.url).hostname or ""
        if self.token_file and self.url.startswith("http:") and not _is_loopback(host):
            raise ValueError(f"a token would cross the network to {host} in plain text: write https:// in url")
        return self


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class DicomArchive(_Text):
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
    Discriminator(_kind, custom_error_type="kind", custom_error_message="kind is dicom or dicomweb"),
]


class ReportTo(_Text):
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


class Peer(_Text):
    """Who may send: a calling AE title from an address or network, to our AE title or another one of ours."""

    ae_title: AeTitle
    host: IPv4Network | IPv6Network
    called_ae_title: AeTitle | None = None
    archive: PeerArchive | None = None
    certificate: CertificateName | None = None
    report_to: ReportTo | None = None


class ReceivingLimits(_Text):
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


class ReceivingTls(_Text):
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


class Receiving(_Text):
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


class Assembling(_Text):
    """When a Series counts as whole."""

    quiet_seconds_when_gapless: Seconds = 1
    quiet_seconds_otherwise: Seconds = 60

    @property
    def patience(self) -> Patience:
        """Both waits as one value."""
        return Patience(
            timedelta(seconds=self.quiet_seconds_when_gapless), timedelta(seconds=self.quiet_seconds_otherwise)
        )


class NnunetEnvironment(_Text):
    """Where model folders of nnU-Net are run, which of them may be, and what each may take."""

    python: Path
    allowed: tuple[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")], ...] = ()
    deadline_seconds: float = Field(default=600, gt=0, le=86400)
    memory_gib: float | None = Field(default=None, gt=0, le=4096)
    isolated: bool = True


class Inferring(_Text):
    """Where and how long a model may run."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    packages: tuple[Path, ...] = ()
    deadline_seconds: float = Field(default=900, gt=0, le=86400)
    phantom_models_may_answer_for_patients: bool = False
    models_may_answer_for_any_age: bool = False
    nnunet: NnunetEnvironment | None = None

    @property
    def allowed(self) -> Allowance:
        """What the site lets models do, as one value."""
        return Allowance(self.phantom_models_may_answer_for_patients, self.models_may_answer_for_any_age)


class Comparing(_Text):
    """Where results of earlier studies are looked for when the ledger has none."""

    ask_archives: bool = True
    archive_seconds: float = Field(default=45, gt=0, le=600)


class Keeping(_Text):
    """Housekeeping."""

    days: float = Field(default=7, gt=0, le=36500)
    reconcile_at: time | None = time(3, 0)
    reconcile_days: float = Field(default=2, gt=0, le=36500)


class Node(_Text):
    """node.yaml"""

    spool: Path = Path("spool")
    ledger: str = ""  # an SQLAlchemy URL; empty: ledger.sqlite3 beside the spool
    receiving: Receiving = Receiving()
    assembling: Assembling = Assembling()
    inferring: Inferring = Inferring()
    comparing: Comparing = Comparing()
    keeping: Keeping = Keeping()


class _Destination(_Text):
    name: str = Field(min_length=1)
    profile: Annotated[Profile, BeforeValidator(profile_of)] = USUAL


class DicomDestination(_Destination):
    """A peer that takes objects by C-STORE, and proves that it has them as `proof` says: each way until one can."""

    kind: Literal["dicom"] = "dicom"
    ae_title: AeTitle
    host: str = Field(min_length=1)
    port: Port
    calling_ae_title: AeTitle | None = None
    tls: ClientTls | None = None
    associations: int = Field(default=2, ge=1, le=16)
    answer_seconds: float = Field(default=12, gt=0, le=600)
    proof: tuple[Literal["commitment", "query"], ...] = ("commitment", "query")
    commitment_minutes: float = Field(default=10, gt=0, le=10_080)


class DicomWebDestination(_Destination, DicomWebServer):
    """A server that takes objects by STOW-RS, and says by QIDO-RS whether it has them."""

    kind: Literal["dicomweb"]
    associations: int = Field(default=2, ge=1, le=16)
    answer_seconds: float = Field(default=12, gt=0, le=600)
    proof: tuple[Literal["query"], ...] = ("query",)


class FolderDestination(_Destination):
    """A folder of ours: DICOM files, and NIfTI with JSON where somebody wants them."""

    kind: Literal["folder"]
    path: Path
    nifti: bool = False


Destination = Annotated[
    Annotated[DicomDestination, Tag("dicom")]
    | Annotated[DicomWebDestination, Tag("dicomweb")]
    | Annotated[FolderDestination, Tag("folder")],
    Discriminator(_kind, custom_error_type="kind", custom_error_message="kind is dicom, dicomweb or folder"),
]


class Destinations(_Text):
    """destinations.yaml"""

    destinations: tuple[Destination, ...] = ()

    @model_validator(mode="after")
    def _names_differ(self) -> "Destinations":
        names = [destination.name for destination in self.destinations]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two destinations are named {', '.join(twice)}: rename one")
        return self


class Rules(_Text):
    """rules.yaml"""

    rules: tuple[Rule, ...] = ()


class Settings(_Text):
    """All of a site's decisions."""

    folder: Path
    node: Node
    destinations: tuple[Destination, ...]
    rules: tuple[Rule, ...]

    @property
    def spool(self) -> Path:
        """The spool's root; a relative path is relative to the configuration folder."""
        return (self.folder / self.node.spool).absolute()

    def beside(self, *paths: Path) -> tuple[Path, ...]:
        """Paths of the configuration: a relative one is relative to the configuration folder."""
        return tuple((self.folder / path).absolute() for path in paths)

    @property
    def ledger_url(self) -> str:
        """The ledger's SQLAlchemy URL."""
        name = self.node.ledger.removeprefix("sqlite:///")
        if name == self.node.ledger != "":
            return self.node.ledger
        return f"sqlite:///{self.folder / name if name else self.spool.parent / 'ledger.sqlite3'}"

    @property
    def package_folders(self) -> tuple[Path, ...]:
        """Folders of model packages beside the built-in one."""
        return self.beside(*self.node.inferring.packages)

    @property
    def environment(self) -> Environment | None:
        """Where model folders of nnU-Net are run, where the site has such a place."""
        said = self.node.inferring.nnunet
        if said is None:
            return None
        memory_bytes = round(said.memory_gib * 2**30) if said.memory_gib else None
        (python,) = self.beside(said.python)
        return Environment(python, frozenset(said.allowed), said.deadline_seconds, memory_bytes, said.isolated)


def load(folder: Path) -> Settings:
    """The settings in a folder. Raises ConfigurationError that names file, line and cure."""
    if not (folder / "node.yaml").is_file():
        raise ConfigurationError(f"{folder} has no node.yaml: run `isocenter init {folder}`")
    settings = Settings(
        folder=folder.absolute(),
        node=read(folder / "node.yaml", Node),
        destinations=read(folder / "destinations.yaml", Destinations).destinations,
        rules=read(folder / "rules.yaml", Rules).rules,
    )
    _require_known_destinations(settings)
    return settings


def _require_known_destinations(settings: Settings) -> None:
    known = {destination.name for destination in settings.destinations}
    named = [(index, rule, name) for index, rule in enumerate(settings.rules) for name in rule.destinations]
    for index, rule, name in named:
        if name not in known:
            place = place_of_rule(settings, index, "destinations")
            raise ConfigurationError(
                f"{place}: rule {rule.name!r} sends to {name!r}, which destinations.yaml does not have; "
                f"{nearest(name, known)}"
            )


def place_of_rule(settings: Settings, index: int, key: str) -> str:
    """File and line of a key of a rule, for a sentence about it."""
    return place_of(settings.folder / "rules.yaml", ("rules", index, key))
