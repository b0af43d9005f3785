"""`isocenter init` and `version`."""

from pathlib import Path

import typer

from service import __version__
from service.core.errors import Broken
from service.settings import TEMPLATES

application = typer.Typer()


@application.command()
def init(folder: Path) -> None:
    """Write a commented configuration with safe defaults into FOLDER."""
    folder.mkdir(parents=True, exist_ok=True)
    targets = {template: folder / template.name for template in sorted(TEMPLATES.glob("*.yaml"))}
    for target in targets.values():
        if target.exists():
            raise Broken(f"{target} exists and is left as it is: choose another folder")
    for template, target in targets.items():
        target.write_text(template.read_text(encoding="utf-8"), encoding="utf-8")
    typer.echo(
        f"Configuration written to {folder}. Name the senders in node.yaml, then: isocenter doctor --config {folder}"
    )


@application.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)
