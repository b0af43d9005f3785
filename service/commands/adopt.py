"""`isocenter models adopt`: in a process of its own, because it loads torch."""

import sys
from pathlib import Path

import typer

from models.adoption.adopting import adopt
from models.registry import LISTING_SUFFIX, PackageError

application = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@application.command()
def main(
    source: Path, into: Path, name: str | None = None, labels: Path | None = None, layers: Path | None = None
) -> None:
    """Make a package of the model in SOURCE, and say what is left to do."""
    package = adopt(source, into, name, said=labels, layers=layers)
    manifest, folder = package.manifest, package.folder
    if package.weights.suffix == LISTING_SUFFIX:
        typer.echo(f"It holds a pickle, which is a program. If you trust who made it, add {manifest.weights_sha256}")
        typer.echo("to inferring.nnunet.allowed in node.yaml; nothing of it is opened before.")
    typer.echo(f"{manifest.name} {manifest.version} is in {folder}, evidence {manifest.evidence}")
    typer.echo(f"Fill in {folder / 'CARD.md'}, then: isocenter models verify {folder}")


if __name__ == "__main__":
    try:
        application()
    except (PackageError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
