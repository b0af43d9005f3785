"""A site's decisions: config/*.yaml as one typed value, or an error that names file, line and cure."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from service.core.completeness import Patience
from service.core.doorkeeping import Admitted, Capacity
from service.core.errors import ConfigurationError
from service.core.identity import is_uid
from service.core.profiles import USUAL, Profile, profile_of
from service.core.routing import Rule
from service.core.transfer_syntaxes import ACCEPTED, LOSSY_PLUGINS, NEVER_ACCEPTED
from service.edge.codecs import missing_package

AeTitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[\x21-\x5b\x5d-\x7e][\x20-\x5b\x5d-\x7e]*$")]
_HERE = Path(__file__).parent
TEMPLATES = next(folder for folder in (_HERE / "config", _HERE.parent / "config") if (folder / "node.yaml").is_file())

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(ge=0, le=86400)]
Share = Annotated[float, Field(ge=0, lt=1)]


class _Text(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PeerArchive(_Text):
    """What keeps everything that a peer sends: it is asked how much of a Series there is, and to send it again."""

    ae_title: AeTitle
    host: str = Field(min_length=1)
    port: Port
    calling_ae_title: AeTitle | None = None
    retrieve: Literal["move", "get", "none"] = "move"


class Peer(_Text):
    """Who may send: a calling AE title from an address or network, to our AE title or another one of ours."""

    ae_title: AeTitle
    host: IPv4Network | IPv6Network
    called_ae_title: AeTitle | None = None
    archive: PeerArchive | None = None


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

    @model_validator(mode="after")
    def _archives_agree(self) -> "Receiving":
        kept: dict[str, PeerArchive] = {}
        for peer in self.peers:
            if peer.archive and kept.setdefault(peer.ae_title, peer.archive) != peer.archive:
                raise ValueError(f"two entries of {peer.ae_title} name different archives: name one of them")
        return self

    @property
    def admitted(self) -> tuple[Admitted, ...]:
        """The allow-list."""
        return tuple(Admitted(peer.ae_title, peer.called_ae_title or self.ae_title, peer.host) for peer in self.peers)

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


class Inferring(_Text):
    """Where and how long a model may run."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    packages: tuple[Path, ...] = ()
    deadline_seconds: float = Field(default=900, gt=0, le=86400)
    phantom_models_may_answer_for_patients: bool = False


class Keeping(_Text):
    """Housekeeping."""

    days: float = Field(default=7, gt=0, le=36500)


class Node(_Text):
    """node.yaml"""

    spool: Path = Path("spool")
    ledger: str = ""  # an SQLAlchemy URL; empty: ledger.sqlite3 beside the spool
    receiving: Receiving = Receiving()
    assembling: Assembling = Assembling()
    inferring: Inferring = Inferring()
    keeping: Keeping = Keeping()


class Destination(_Text):
    """Where results go."""

    name: str = Field(min_length=1)
    ae_title: AeTitle
    host: str = Field(min_length=1)
    port: Port
    profile: Annotated[Profile, BeforeValidator(profile_of)] = USUAL


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


Content = TypeVar("Content", bound=_Text)


def load(folder: Path) -> Settings:
    """The settings in a folder. Raises ConfigurationError that names file, line and cure."""
    if not (folder / "node.yaml").is_file():
        raise ConfigurationError(f"{folder} has no node.yaml: run `isocenter init {folder}`")
    settings = Settings(
        folder=folder.absolute(),
        node=_read(folder / "node.yaml", Node),
        destinations=_read(folder / "destinations.yaml", Destinations).destinations,
        rules=_read(folder / "rules.yaml", Rules).rules,
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
    path = settings.folder / "rules.yaml"
    root = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    return f"{path}:{_line(root, ('rules', index, key))}"


def _read(path: Path, kind: type[Content]) -> Content:
    try:
        text = path.read_text(encoding="utf-8")
        root = yaml.compose(text, yaml.SafeLoader)
        _require_keys_once(path, root)
        written = yaml.safe_load(text) or {}
        if isinstance(written, dict):  # a section whose every line is a comment is one of defaults
            written = {key: value for key, value in written.items() if value is not None}
        return kind.model_validate(written)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read as UTF-8 text: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}{_yaml_place(error)}") from error
    except ValidationError as error:
        raise ConfigurationError("\n".join(_sentences(path, root, kind, error))) from error


def _require_keys_once(path: Path, node: yaml.Node | None) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                raise ConfigurationError(f"{path}:{key.start_mark.line + 1}: {key.value} is written twice: remove one")
            seen.add(key.value)
            _require_keys_once(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _require_keys_once(path, value)


def _yaml_place(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f":{error.problem_mark.line + 1}: not YAML: {error.problem}; check indentation, colons and quotes"
    return f": not YAML: {error}"


def _sentences(path: Path, root: yaml.Node | None, kind: type[BaseModel], error: ValidationError) -> Iterator[str]:
    for detail in error.errors():
        place = ".".join(str(step) for step in detail["loc"]) or "the file"
        yield f"{path}:{_line(root, detail['loc'])}: {place}: {_cure(kind, detail)}"


def _line(node: yaml.Node | None, steps: tuple[int | str, ...]) -> int:
    """The line of the deepest node on the way that exists, counted from 1."""
    line = node.start_mark.line if node else 0
    for step in steps:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == step), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line
    return line + 1


def _cure(kind: type[BaseModel], detail: ErrorDetails) -> str:
    key = str(detail["loc"][-1]) if detail["loc"] else ""
    if detail["type"] == "extra_forbidden":
        return f"unknown key; {nearest(key, _keys(kind))}"
    if detail["type"] == "missing":
        return "required, and absent: add it"
    return f"{detail['msg']}; it is {detail['input']!r}"


def _keys(kind: type[BaseModel]) -> set[str]:
    """Every key that may stand somewhere in a file of this kind."""
    schema = kind.model_json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    return {key for part in parts for key in part.get("properties", {})}


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that was probably meant, or all of them."""
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(known)) or 'none'}"
