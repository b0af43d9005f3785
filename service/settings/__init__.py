"""A site's decisions: config/*.yaml as one typed value, or an error that names file, line and cure."""

from pathlib import Path

from models.environment import Environment
from models.terms import Text
from service.core.errors import ConfigurationError
from service.core.routing import Rule
from service.edge.yaml_file import nearest, place_of, read
from service.settings.destinations import Destination, Destinations
from service.settings.node import Node

_HERE = Path(__file__).parents[1]
TEMPLATES = next(folder for folder in (_HERE / "config", _HERE.parent / "config") if (folder / "node.yaml").is_file())


class Rules(Text):
    """rules.yaml"""

    rules: tuple[Rule, ...] = ()


class Settings(Text):
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
