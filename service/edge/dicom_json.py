"""The DICOM JSON Model (PS3.18 annex F) of an answer: whatever a server sends, values or nothing."""

import json
from typing import Any

Item = dict[str, Any]


def read_items(content: bytes) -> list[Item]:
    """The objects of an answer, be it one or a list of them. Raises ValueError when it is no such JSON."""
    try:
        plain = json.loads(content)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    found = plain if isinstance(plain, list) else [plain]
    if not all(isinstance(item, dict) for item in found):
        raise ValueError("no DICOM JSON")
    return found


def items(item: Item, tag: str) -> list[Item]:
    """The items of a sequence."""
    return [value for value in _values(item, tag) if isinstance(value, dict)]


def text(item: Item, tag: str) -> str:
    """The first value as text; empty when there is none."""
    return next((str(value).strip() for value in _values(item, tag) if isinstance(value, str | int)), "")


def number(item: Item, tag: str) -> int | None:
    """The first value as a whole number; None when there is none."""
    try:
        return int(text(item, tag))
    except ValueError:
        return None


def _values(item: Item, tag: str) -> list[Any]:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []
