"""`isocenter reconcile`."""

from typing import Annotated

import typer

from service.commands import reconcile
from service.commands.console import DEFAULT_CONFIG, ConfigOption, JsonOption, print_json, print_table
from service.roles.clock import now
from service.settings import load

application = typer.Typer()


@application.command(name="reconcile")
def reconcile_command(
    days: Annotated[float, typer.Option(help="What was taken in the last days.")] = 7,
    destination: Annotated[str, typer.Option(help="Only this one.")] = "",
    send_again: Annotated[bool, typer.Option("--send-again", help="Send what is missing again.")] = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Ask each destination for all that it took, and print what it does not have; 1 is returned when there is any."""
    settings, at = load(config), now()
    found = list(reconcile.differences(settings, at, days, destination))
    rows = [reconcile.row(each) for each in found]
    print_json(rows) if as_json else print_table("Destinations", rows)
    for each in found if send_again else ():
        again, requeue = reconcile.send_again(settings, each, at)
        typer.echo(f"{each.destination}: {again} are sent again")
        for job_id in requeue:
            typer.echo(
                f"{each.destination}: the objects of job {job_id} are not here any more: isocenter requeue {job_id}"
            )
    raise typer.Exit(code=0 if all(each.is_none for each in found) else 1)
