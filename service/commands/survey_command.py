"""`isocenter inspect` and `isocenter export`: in a process of their own, because they load what pixels need."""

import json
import re
import sys
from dataclasses import asdict
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from models.nifti import write_volume
from service.commands.survey import Folder, Found, compare, look, parts, stack_volume, survey
from service.commands.survey_page import Page
from service.core.entities import Refusal, Stack
from service.core.errors import IsocenterError, Unsuitable
from service.core.stacking import Part

application = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
_UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")


@application.command()
def inspect(path: Path, as_json: bool = typer.Option(False, "--json"), html: Path | None = None) -> None:
    """Tell of every Series below PATH what it is made of and what it holds."""
    folder = look(path)
    found: list[Found] = []
    page = Page(f"Images in {path.name}")
    for each, volume in survey(folder):
        found.append(each)
        if html:
            page.add(each, volume)
    compare(found)
    if html:
        html.write_text(page.html(folder.unreadable), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps({"parts": [asdict(each) for each in found], "unreadable": folder.unreadable}, indent=1))
        return
    Console(width=None if sys.stdout.isatty() else 200).print(_table(found))
    for reason, count in folder.unreadable.items():
        typer.echo(f"{count} files: {reason}")
    if html:
        typer.echo(f"written: {html}")


@application.command()
def export(path: Path, folder: Path) -> None:
    """Write every stack below PATH as NIfTI into FOLDER."""
    folder.mkdir(parents=True, exist_ok=True)
    seen = look(path)
    for part in parts(seen):
        uid = part.slices[0].instance.series_instance_uid
        try:
            typer.echo(f"{uid}: {_exported(seen, part, folder)}")
        except IsocenterError as error:
            typer.echo(f"{uid}: not written: {error}")


def _exported(seen: Folder, part: Part, folder: Path) -> Path:
    """The file that a stack was written to. Raises Unsuitable for what NIfTI cannot hold."""
    if isinstance(part, Refusal):
        raise Unsuitable(f"{part.reason}: {part.sentence}")
    if not isinstance(part, Stack):
        raise Unsuitable("a radiograph has no place in the patient")
    if part.places:
        raise Unsuitable(f"{part.remarks[0]}; NIfTI holds evenly spaced slices only")
    target = folder / _file_name(part)
    write_volume(target, stack_volume(seen, part))
    return target


def _file_name(stack: Stack) -> str:
    """Modality, description and the first digits of the stack's id: readable, and never the same twice."""
    first = stack.slices[0]
    words = (first.value("Modality"), first.value("SeriesDescription")[:40], stack.stack_id[:8])
    return "_".join(filter(None, (_UNSAFE.sub("-", word).strip("-.") for word in words))) + ".nii.gz"


def _table(found: list[Found]) -> Table:
    table = Table(title=f"Parts: {len(found)}")
    for heading in ("series", "modality", "frames", "what", "told apart by", "values", "remarks"):
        table.add_column(heading, overflow="fold")
    for each in found:
        values = each.values
        span = f"{values.minimum:g} .. {values.median:g} .. {values.maximum:g}" if values else ""
        missing = [f"no {', '.join(each.missing)}"] if each.missing else []
        remarks = [*each.unusual, *(values.outliers if values else ()), *each.disagreements, *missing]
        name = each.series_description or each.series_instance_uid
        cells = (name, each.modality, str(each.frames), each.what, each.split_by, span, "\n".join(remarks))
        table.add_row(*map(Text, cells))
    return table


if __name__ == "__main__":
    try:
        application()
    except (IsocenterError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
