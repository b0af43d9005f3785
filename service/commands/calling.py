"""`isocenter echo` and `send`: another node, called by hand."""

from pathlib import Path

import typer

from service.core.errors import Broken
from service.edge.part10 import is_dicom
from service.edge.storage_scu import Remote, echo, store

application = typer.Typer()
_AT_ONCE = 200  # files in one association


@application.command(name="echo")
def echo_command(host: str, port: int, called: str, calling: str = "ISOCENTER") -> None:
    """C-ECHO to CALLED at HOST and PORT."""
    remote = Remote(calling, called, host, port)
    echo(remote)
    typer.echo(f"{remote} answered: success")


@application.command()
def send(path: Path, host: str, port: int, called: str, calling: str = "ISOCENTER") -> None:
    """C-STORE every DICOM file in PATH to CALLED at HOST and PORT."""
    files = [file for file in sorted(path.rglob("*") if path.is_dir() else [path]) if file.is_file() and is_dicom(file)]
    if not files:
        raise Broken(f"there is no DICOM file in {path}")
    remote, sent = Remote(calling, called, host, port), 0
    for start in range(0, len(files), _AT_ONCE):
        for file, answer in store(remote, files[start : start + _AT_ONCE]):
            if answer == 0x0000:
                sent += 1
            else:
                typer.echo(f"{file.name}: {'no answer' if answer is None else f'status 0x{answer:04X}'}", err=True)
    typer.echo(f"{sent} of {len(files)} sent to {remote}")
    if sent < len(files):
        raise typer.Exit(1)
