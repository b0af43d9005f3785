"""`isocenter cases`, `train` and `evaluate`: from Series and Segmentations to weights and what they are worth."""

from pathlib import Path
from typing import Annotated

import typer

from service.commands.becoming import become, options
from service.commands.console import DEFAULT_CONFIG
from service.commands.models import ConfigOption, PackageArgument, folder_of

application = typer.Typer()
DataOption = Annotated[Path | None, typer.Option(help="The folder of the cases; phantoms need none.")]
RunOption = Annotated[Path | None, typer.Option(help="Where log, curves, checkpoints and folds go: runs/PACKAGE.")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu or cuda.")]


@application.command()
def cases(
    path: Path,
    folder: Path,
    package: Annotated[Path | None, typer.Option(help="Number the labels as this package does.")] = None,
) -> None:
    """Write every Segmentation in PATH, with the Series it is drawn on, into FOLDER as a case to train on."""
    become("service.commands.cases", str(path), str(folder), *options({"--package": package}))


@application.command()
def train(
    package: PackageArgument,
    data: DataOption = None,
    run: RunOption = None,
    device: DeviceOption = "auto",
    folds: Annotated[bool, typer.Option("--folds", help="Train the recipe's folds, and report their mean.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Train PACKAGE by its training.yaml; one that was killed goes on where it last reported."""
    given = options({"--data": data, "--run": run, "--device": device})
    become("models.training", str(folder_of(package, config)), *given, *(["--folds"] * folds))


@application.command()
def evaluate(
    package: PackageArgument,
    data: DataOption = None,
    run: RunOption = None,
    device: DeviceOption = "auto",
    html: Annotated[Path | None, typer.Option(help="Write one page with figures, charts and the worst cases.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Ask PACKAGE about the cases it never saw, and write evaluation.json and the table in its card."""
    given = options({"--data": data, "--run": run, "--device": device, "--html": html, "--config": config})
    become("service.commands.evaluate", str(folder_of(package, config)), *given)
