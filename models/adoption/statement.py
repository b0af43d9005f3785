"""What is known of a foreign model, by its makers' files and by whoever adopts it; each section may be missing."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from models.preparation import Preprocessing
from models.registry import PackageError, corrections
from models.sections import AnyNetwork, Inference, Intake, Label, Licences
from models.terms import Text

LARGEST_TEXT = 2**20


class Statement(Text):
    """The sections of a manifest that a source, or a person, can fill."""

    title: str | None = None
    version: str | None = None
    manufacturer: str | None = None
    intake: Intake | None = None
    preprocessing: Preprocessing | None = None
    network: AnyNetwork | None = None
    inference: Inference | None = None
    labels: tuple[Label, ...] | None = None
    licences: Licences | None = None

    def under(self, person: "Statement") -> "Statement":
        """This statement, where the person who adopts the model says nothing else."""
        return self.model_copy(update={name: getattr(person, name) for name in person.model_fields_set})


@dataclass(frozen=True, slots=True)
class Origin:
    """A foreign model as its files say it is, of which nothing was run."""

    statement: Statement
    weights: Path  # a file that was opened as data only
    label_names: tuple[str, ...] = ()  # without background, where the source names them
    classes: int | None = None  # with background, where the source counts them
    notes: tuple[str, ...] = field(default=())  # for the card: what was converted, and how


def read_statement(path: Path | None) -> Statement:
    """What a person says in a YAML file; nothing where there is none. Raises PackageError when it is wrong."""
    if path is None:
        return Statement()
    try:
        return Statement.model_validate(read_mapping(path.read_bytes(), str(path)))
    except OSError as error:
        raise PackageError(f"{path} cannot be read: {error}") from error
    except ValidationError as error:
        raise PackageError(f"{path}: {corrections(error)}") from error


def read_mapping(held: bytes, name: str) -> dict[str, Any]:
    """A mapping out of YAML or JSON: no tags, no aliases, at most a mebibyte. Raises PackageError."""
    if len(held) > LARGEST_TEXT:
        raise PackageError(f"{name} has {len(held)} bytes: a text here has at most {LARGEST_TEXT}")
    try:
        text = held.decode("utf-8")
        if not name.endswith(".json") and any(
            isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)
        ):
            raise PackageError(f"{name} has aliases: write out what they stand for")
        written = json.loads(text) if name.endswith(".json") else yaml.safe_load(text)
    except (UnicodeDecodeError, json.JSONDecodeError, yaml.YAMLError) as error:
        raise PackageError(f"{name} is neither YAML nor JSON: {error}") from error
    except RecursionError as error:
        raise PackageError(f"{name} is nested too deeply") from error
    if not isinstance(written, dict):
        raise PackageError(f"{name} is a {type(written).__name__}: a mapping is wanted")
    return written
