"""Commands that go on as a program of their own: they load pixels, pictures or torch, and no other needs them."""

from pathlib import Path
from typing import Annotated

import typer

from service.commands.becoming import become
from service.commands.console import DEFAULT_CONFIG, ConfigOption, JsonOption

application = typer.Typer()


@application.command(name="inspect")
def inspect_command(
    path: Path,
    as_json: JsonOption = False,
    html: Annotated[Path | None, typer.Option(help="Write one page with pictures here.")] = None,
) -> None:
    """Tell of every Series in PATH its stacks or why not, spacing, values, histogram, what is missing or odd."""
    written = ["--html", str(html)] if html else []
    become("service.commands.survey_command", "inspect", str(path), *(["--json"] if as_json else []), *written)


@application.command()
def export(path: Path, folder: Path) -> None:
    """Write every stack in PATH into FOLDER as NIfTI."""
    become("service.commands.survey_command", "export", str(path), str(folder))


@application.command()
def render(
    job: str,
    config: ConfigOption = DEFAULT_CONFIG,
    output: Annotated[Path, typer.Option(help="Where the pictures go.")] = Path("pictures"),
    form: Annotated[str, typer.Option("--format", help="png or jpeg.")] = "png",
    all_slices: Annotated[bool, typer.Option(help="Also every source image that carries a region.")] = False,
) -> None:
    """Write pictures of what a finished JOB found: those that a PACS gets as secondary captures."""
    every = ["--all-slices"] if all_slices else []
    become("service.commands.render", job, str(config), str(output), "--form", form, *every)


@application.command()
def replay(job: str, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Run JOB again, and say that the same came out, bit for bit, or what differs."""
    become("service.commands.replay", str(config), job)


@application.command()
def doctor(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Check configuration, port, disk, flush, models, device and destinations."""
    become("service.commands.doctor", str(config))


@application.command()
def demo(
    input_folder: Annotated[Path | None, typer.Option("--input", help="A DICOM folder of your own.")] = None,
    output: Annotated[Path, typer.Option(help="Where the pictures go.")] = Path("demo"),
) -> None:
    """Send a synthetic CT (or your own folder) through a whole node, and show what comes back."""
    become("service.commands.demo", str(output), *([str(input_folder)] if input_folder else []))
