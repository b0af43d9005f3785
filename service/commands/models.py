"""`isocenter models`: the packages that a node knows, in words, and packages that come and go."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

from models.chains import bound_beside, complaints_of
from models.environment import Environment
from models.manifest import Chain
from models.packaging import install, pack
from models.registry import BUILT_IN, MANIFEST, Package, PackageError, find, read
from models.templates import write_new
from models.terms import Code, Span
from models.training.evaluation import CARD, read_evaluation, table
from service.commands.becoming import become, options
from service.commands.console import DEFAULT_CONFIG
from service.settings import Settings, load

application = typer.Typer(no_args_is_help=True, help="Model packages: what they say, and how they come and go.")
ConfigOption = Annotated[Path, typer.Option("--config", help="Folder with node.yaml, which may name more packages.")]
PackageArgument = Annotated[str, typer.Argument(metavar="PACKAGE", help="A name that `list` shows, or a folder.")]
_INDENT = "  "


@application.command(name="list")
def list_command(
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print a table in Markdown.")] = False,
) -> None:
    """List the packages that are built in and those in the folders that node.yaml names."""
    listed = rows(find(folders(config)))
    if as_json:
        typer.echo(json.dumps(listed, indent=1))
    elif as_markdown:
        typer.echo("\n".join(markdown(listed)))
    else:
        _print(listed)


@application.command()
def show(package: PackageArgument, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Show everything that PACKAGE says of itself, and what its evaluation found."""
    found = read(folder_of(package, config))
    typer.echo("\n".join(said(found.manifest)))
    typer.echo(f"manifest sha256: {found.manifest.said_sha256}")
    for line in steps_said(found, folders(config)):
        typer.echo(line)
    card = found.folder / CARD
    typer.echo(f"card: {card if card.is_file() else f'missing: {card}'}")
    evaluation = read_evaluation(found.folder)
    if evaluation is None:
        typer.echo("evaluation: none")
        return
    typer.echo(f"evaluation: {len(evaluation.cases)} cases, 95 % intervals over patients in brackets")
    head, *figures = table(evaluation)
    _print([dict(zip(["figure", *head[1:]], row, strict=True)) for row in figures])


@application.command()
def new(
    name: str,
    template: Annotated[str, typer.Option(help="The kind of model: segmentation, chain.")] = "segmentation",
    into: Annotated[Path, typer.Option(help="The folder of packages that it goes into.")] = Path(),
) -> None:
    """Write the folder of a new package NAME: manifest, recipe and card to fill in."""
    package = write_new(name, template, into)
    folder = package.folder
    if isinstance(package.manifest, Chain):
        typer.echo(f"{folder}: fill in manifest.yaml and CARD.md; `isocenter models show STEP` says a step's digests.")
    else:
        typer.echo(f"{folder}: fill in manifest.yaml, training.yaml and CARD.md, and train it.")
    typer.echo(f"Then: isocenter evaluate {folder} --data FOLDER, and isocenter models verify {folder}")


@application.command(name="pack")
def pack_command(
    package: PackageArgument,
    into: Annotated[Path, typer.Option(help="The folder that the file goes into.")] = Path(),
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Make one file of PACKAGE, with the digests of all that is in it."""
    typer.echo(pack(read(folder_of(package, config)), into))


@application.command(name="install")
def install_command(
    file: Path,
    into: Annotated[Path, typer.Option(help="A folder of packages, named in node.yaml.")],
    replace: Annotated[bool, typer.Option("--replace", help="Put the package of that name away.")] = False,
) -> None:
    """Check FILE, made by `pack`, and unpack it into a folder of packages."""
    package = install(file, into, replace=replace)
    manifest = package.manifest
    typer.echo(f"{manifest.name} {manifest.version} is in {package.folder}")
    typer.echo(f"A node runs it when inferring.packages in node.yaml names {into} and a rule names {manifest.name}.")
    if isinstance(manifest, Chain):
        steps = ", ".join(f"{step.package} {step.version}" for step in manifest.steps)
        typer.echo(f"It is a chain: {steps} have to be there too; `isocenter models verify {manifest.name}` looks.")


@application.command()
def verify(package: PackageArgument, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Check PACKAGE: digests, network, licences, card, evaluation, plausible ranges; 1 is returned when one fails."""
    become("service.commands.verify_package", str(folder_of(package, config)), str(config))


@application.command()
def adopt(
    source: Annotated[
        Path,
        typer.Argument(
            help="A state dict (.pth, .pt, .safetensors), ONNX, a MONAI bundle (folder, .zip), a folder of nnU-Net."
        ),
    ],
    into: Annotated[Path, typer.Option(help="The folder of packages that it goes into.")],
    name: Annotated[str | None, typer.Option(help="Of the package; else that of the source.")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="YAML with what the source does not say: labels with codes, intake, ...")
    ] = None,
    layers: Annotated[Path | None, typer.Option(help="A MeshNet's layers as Brainchop's JSON.")] = None,
) -> None:
    """Make a package of someone else's model; nothing that could be a program is run, and evidence is `foreign`."""
    become(
        "service.commands.adopt",
        str(source),
        str(into),
        *options({"--name": name, "--labels": labels, "--layers": layers}),
    )


def folders(config: Path) -> tuple[Path, ...]:
    """Where packages lie: built in, and in the folders of the configuration."""
    settings = _settings(config)
    return (BUILT_IN, *settings.package_folders) if settings else (BUILT_IN,)


def environment(config: Path) -> Environment | None:
    """Where model folders of nnU-Net are run, where the configuration names such a place."""
    settings = _settings(config)
    return settings.environment if settings else None


def _settings(config: Path) -> Settings | None:
    """The configuration, whose usual place may be empty."""
    is_absent = config == DEFAULT_CONFIG and not (config / "node.yaml").is_file()
    return None if is_absent else load(config)


def folder_of(package: str, config: Path) -> Path:
    """The folder of a package by its name or its path. Raises PackageError where there is none."""
    if (Path(package) / MANIFEST).is_file():
        return Path(package)
    known = find(folders(config))
    if package not in known:
        raise PackageError(f"there is no package {package}: name one of {', '.join(known)}, or a folder")
    return known[package].folder


def steps_said(package: Package, folders: Iterable[Path]) -> Iterator[str]:
    """Where the packages of a chain's steps are, or why it cannot run; nothing for any other package."""
    try:
        for number, step in enumerate(bound_beside(package, folders).steps, start=1):
            yield f"step {number}: {step.manifest.name} {step.manifest.version}, {step.folder}"
    except PackageError as error:
        yield f"it cannot run: {error}"


def rows(packages: dict[str, Package]) -> list[dict[str, str]]:
    """What `list` shows of each package."""
    return [_row(package, packages) for _, package in sorted(packages.items())]


def markdown(listed: list[dict[str, str]]) -> list[str]:
    """What `list` shows, as a table without folders, which differ from machine to machine."""
    names = [name for name in (listed[0] if listed else ()) if name != "folder"]
    lines = [names, ["---"] * len(names), *([row[name] for name in names] for row in listed)]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def said(value: BaseModel, depth: int = 0) -> Iterator[str]:
    """A manifest in words, a line for each thing it says: so for every kind of model."""
    for name in type(value).model_fields:
        each, heading = getattr(value, name), f"{_INDENT * depth}{name.replace('_', ' ')}"
        if _is_of_many(each):
            yield f"{heading}:"
            yield from _said_of_many(each, depth + 1)
        else:
            yield f"{heading}: {_words(each)}"


def _said_of_many(parts: BaseModel | Sequence[BaseModel], depth: int) -> Iterator[str]:
    """A part in words, or each of several behind a dash."""
    if isinstance(parts, BaseModel):
        yield from said(parts, depth)
        return
    for part in parts:
        first, *others = said(part, depth + 1)
        yield f"{_INDENT * depth}- {first.lstrip()}"
        yield from others


def _is_of_many(value: object) -> bool:
    first = value[0] if isinstance(value, tuple) and value else value
    return isinstance(first, BaseModel) and not isinstance(first, Code | Span)


def _words(value: object) -> str:
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Code):
        return f"{value.meaning} ({value.value}, {value.scheme})"
    if isinstance(value, tuple):
        return ", ".join(map(_words, value))
    return value.value if isinstance(value, StrEnum) else str(value)


def _task(package: Package, packages: Mapping[str, Package]) -> str:
    """The task; of a chain, of what it is made, and why it cannot run."""
    manifest = package.manifest
    if not isinstance(manifest, Chain):
        return manifest.task
    steps = ", then ".join(f"{step.package} {step.version}" for step in manifest.steps)
    return "; ".join((f"{manifest.task}: {steps}", *complaints_of(manifest, packages)))


def _row(package: Package, packages: Mapping[str, Package]) -> dict[str, str]:
    manifest = package.manifest
    return {
        "name": manifest.name,
        "version": manifest.version,
        "title": manifest.title,
        "task": _task(package, packages),
        "modality": ", ".join(manifest.intake.modalities),
        "evidence": manifest.evidence.value,
        "licence": manifest.licences.weights,
        "folder": str(package.folder),
    }


def _print(listed: list[dict[str, Any]]) -> None:
    shown = Table()
    for name in listed[0] if listed else ():
        shown.add_column(name, overflow="fold")
    for row in listed:
        shown.add_row(*(Text(str(cell)) for cell in row.values()))
    Console(width=None if sys.stdout.isatty() else 200).print(shown)
