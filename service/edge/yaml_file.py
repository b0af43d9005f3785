"""A YAML file as one typed value, or an error that names file, line and cure."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from service.core.errors import ConfigurationError

KINDS = ("dicom", "dicomweb", "folder")  # of destinations and archives: their names stand in no file
Content = TypeVar("Content", bound=BaseModel)


def read(path: Path, kind: type[Content]) -> Content:
    """The file as a value of `kind`. Raises ConfigurationError that names file, line and cure."""
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


def place_of(path: Path, steps: tuple[int | str, ...]) -> str:
    """File and line of a value, for a sentence about it."""
    return f"{path}:{_line(yaml.compose(path.read_text(encoding='utf-8'), yaml.SafeLoader), steps)}"


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
        place = ".".join(str(step) for step in detail["loc"] if step not in KINDS) or "the file"
        yield f"{path}:{_line(root, detail['loc'])}: {place}: {_cure(kind, detail)}"


def _line(node: yaml.Node | None, steps: tuple[int | str, ...]) -> int:
    """The line of the deepest node on the way that exists, counted from 1."""
    line = node.start_mark.line if node else 0
    for step in steps:
        if isinstance(node, yaml.MappingNode):
            pair = next((pair for pair in node.value if pair[0].value == step), None)
            if pair is None:
                continue  # the name of a kind, which stands in no file
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
