"""What commands have in common: where the configuration is, and how rows are printed."""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

ConfigOption = Annotated[Path, typer.Option("--config", help="Folder with node.yaml, destinations.yaml, rules.yaml.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_CONFIG = Path("config")


def print_json(value: object) -> None:
    """Prints a value as JSON, what JSON has no word for as text."""
    typer.echo(json.dumps(value, default=str, indent=1))


def print_table(title: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Prints rows of the same names under a title that counts them."""
    listed = list(rows)
    table = Table(title=f"{title}: {len(listed)}")
    for name in listed[0] if listed else ():
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in listed:
        table.add_row(*(Text(_words(value)) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _words(value: object) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)
