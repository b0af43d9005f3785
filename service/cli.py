"""The command line, thin: each command reads the settings and hands over to a role."""

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service import __version__
from service.commands import inspect, lessons, models, observe, outbox, reconcile
from service.commands.becoming import become, options
from service.core.errors import Broken
from service.edge.part10 import is_dicom
from service.edge.storage_scu import Remote, echo, store
from service.roles import node
from service.roles.clock import now
from service.settings import TEMPLATES, load

application = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)

ConfigOption = Annotated[Path, typer.Option("--config", help="Folder with node.yaml, destinations.yaml, rules.yaml.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_CONFIG = Path("config")
_AT_ONCE = 200  # files in one association


@application.command()
def serve(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Run the node: receiver, dispatcher and worker, until SIGTERM."""
    node.run(load(config))


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
def status(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show every Series and what became of it."""
    seen = inspect.status(load(config))
    if as_json:
        _print_json(asdict(seen))
        return
    _print_table("Series", seen.series)
    for name, counts in (("jobs", seen.jobs), ("deliveries", seen.deliveries)):
        typer.echo(f"{name}: " + (", ".join(f"{count} {state}" for state, count in counts.items()) or "none"))
    typer.echo(f"disk: {seen.free_share:.0%} free")


@application.command()
def jobs(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show every job and where its results are."""
    rows = inspect.job_rows(load(config))
    if as_json:
        _print_json(rows)
        return
    _print_table("Jobs", rows)


@application.command()
def events(subject: str, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show what happened to a job or a Series, by its id or UID."""
    rows = inspect.event_rows(load(config), subject)
    if as_json:
        _print_json(rows)
        return
    _print_table("Events", rows)


@application.command()
def requeue(job: str, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Start a failed or declined JOB again, or a reported one's dead deliveries."""
    typer.echo(f"{job} is {inspect.requeue(load(config), job, now())}")


@application.command()
def explain(
    path: Annotated[Path | None, typer.Argument(help="A folder or file; default: what lies in the spool.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Tell, for every Series in PATH, which rules match, which do not, and at which condition."""
    settings = load(config)
    for part in inspect.explain(settings, path or settings.spool / "incoming"):
        typer.echo(f"{part.series_instance_uid} {part.description!r}, {part.instances} instances: {part.what}")
        for decision in part.decisions:
            typer.echo(f"  {'RUNS' if decision.runs else 'no  '}  rule {decision.match.rule.name}")
            for condition in decision.match.conditions:
                holds = "ok" if condition.holds else "NO"
                typer.echo(f"        {holds}  {condition.name}: {condition.found} (wanted {condition.wanted})")
            for objection in decision.objections if decision.match.holds else ():
                typer.echo(f"        NO  model {decision.match.rule.model}: {objection}")


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


@application.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


for command in (lessons.cases, lessons.train, lessons.evaluate, observe.observe):
    application.command()(command)

application.add_typer(models.application, name="models")


@models.application.command()
def verify(package: models.PackageArgument, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Check PACKAGE: digests, network, licences, card, evaluation, plausible ranges; 1 is returned when one fails."""
    become("service.commands.verify_package", str(models.folder_of(package, config)))


@models.application.command()
def adopt(
    source: Annotated[
        Path, typer.Argument(help="A state dict (.pth, .pt, .safetensors), ONNX, or a MONAI bundle (folder, .zip).")
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


outbox_application = typer.Typer(no_args_is_help=True, help="What is on its way to the destinations.")
application.add_typer(outbox_application, name="outbox")
DestinationOption = Annotated[str, typer.Option(help="Only those for this destination.")]


@outbox_application.command(name="list")
def outbox_list(
    destination: DestinationOption = "",
    state: Annotated[
        str, typer.Option(help="WAITING, SENDING, SENT, COMMITTED, UNCONFIRMED, PARKED, DEAD or CANCELLED.")
    ] = "",
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """List deliveries: one object for one destination each."""
    settings = load(config)
    rows, resting = outbox.listed(settings, destination, state), outbox.resting(settings)
    if as_json:
        _print_json({"deliveries": rows, "resting": resting})
        return
    _print_table("Deliveries", rows)
    for each in resting:
        why = f"parked: {each['parked']}" if each["parked"] else f"tried again at {each['tried_again_at']}"
        typer.echo(f"{each['destination']}: {each['failures']} failures in a row, {why}")


@outbox_application.command()
def show(delivery: int, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show DELIVERY and every attempt at it."""
    row, attempts = outbox.shown(load(config), delivery)
    if as_json:
        _print_json(row | {"attempts": attempts})
        return
    _print_table("Delivery", [row])
    _print_table("Attempts", attempts)


@outbox_application.command()
def retry(
    delivery: Annotated[int | None, typer.Argument(help="One delivery; else all that wait for a person.")] = None,
    destination: DestinationOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Have parked and dead deliveries tried again, with a fresh count, and a parked destination too."""
    again = outbox.retry(load(config), now(), delivery_id=delivery, destination=destination)
    typer.echo(f"{again} deliveries are tried again")


@outbox_application.command()
def cancel(delivery: int, why: Annotated[str, typer.Option()], config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Give DELIVERY up, and say why."""
    outbox.cancel(load(config), delivery, why, now())
    typer.echo(f"delivery {delivery} is CANCELLED")


@outbox_application.command(name="export")
def outbox_export(delivery: int, folder: Path, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Copy the object of DELIVERY into FOLDER."""
    typer.echo(outbox.export(load(config), delivery, folder))


@application.command(name="reconcile")
def reconcile_command(
    days: Annotated[float, typer.Option(help="What was taken in the last days.")] = 7,
    destination: DestinationOption = "",
    send_again: Annotated[bool, typer.Option("--send-again", help="Send what is missing again.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Ask each destination for all that it took, and print what it does not have; 1 is returned when there is any."""
    settings, at = load(config), now()
    found = list(reconcile.differences(settings, at, days, destination))
    rows = [reconcile.row(each) for each in found]
    _print_json(rows) if as_json else _print_table("Destinations", rows)
    for each in found if send_again else ():
        again, requeue = reconcile.send_again(settings, each, at)
        typer.echo(f"{each.destination}: {again} are sent again")
        for job_id in requeue:
            typer.echo(
                f"{each.destination}: the objects of job {job_id} are not here any more: isocenter requeue {job_id}"
            )
    raise typer.Exit(code=0 if all(each.is_none for each in found) else 1)


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, default=str, indent=1))


def _print_table(title: str, rows: Iterable[Mapping[str, Any]]) -> None:
    listed = list(rows)
    table = Table(title=f"{title}: {len(listed)}")
    for name in listed[0] if listed else ():
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in listed:
        table.add_row(*(Text(_words(value)) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _words(value: object) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)
