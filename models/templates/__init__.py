"""Blank packages to begin with: a commented manifest, a recipe and a card for each kind of model."""

from pathlib import Path
from string import Template

from models.registry import Package, PackageError, read

FOLDER = Path(__file__).parent


def templates() -> list[str]:
    """The kinds of model that there is a blank package for."""
    return sorted(path.name for path in FOLDER.iterdir() if path.is_dir() and not path.name.startswith("_"))


def write_new(name: str, template: str, into: Path) -> Package:
    """A new package's folder in `into`, with everything but its weights.

    Raises PackageError for a template or a name that cannot be, and where the folder is there already.
    """
    if template not in templates():
        raise PackageError(f"there is no template {template!r}: choose one of {', '.join(templates())}")
    folder = into / name
    if folder.exists():
        raise PackageError(f"{folder} exists and is left as it is: choose another name")
    words = {"name": name, "title": name.replace("_", " ").capitalize()}
    written = {path.name: Template(path.read_text(encoding="utf-8")) for path in (FOLDER / template).iterdir()}
    folder.mkdir(parents=True)
    for file, text in written.items():
        (folder / file).write_text(text.substitute(words), encoding="utf-8")
    try:
        return read(folder)
    except PackageError:
        for file in written:
            (folder / file).unlink()
        folder.rmdir()
        raise
