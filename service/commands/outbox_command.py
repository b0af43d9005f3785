"""`isocenter outbox`: what is on its way to the destinations."""

from pathlib import Path
from typing import Annotated

import typer

from service.commands import outbox
from service.commands.console import DEFAULT_CONFIG, ConfigOption, JsonOption, print_json, print_table
from service.roles.clock import now
from service.settings import load

application = typer.Typer(no_args_is_help=True, help="What is on its way to the destinations.")
DestinationOption = Annotated[str, typer.Option(help="Only those for this destination.")]


@application.command(name="list")
def list_command(
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
        print_json({"deliveries": rows, "resting": resting})
        return
    print_table("Deliveries", rows)
    for each in resting:
        why = f"parked: {each['parked']}" if each["parked"] else f"tried again at {each['tried_again_at']}"
        typer.echo(f"{each['destination']}: {each['failures']} failures in a row, {why}")


@application.command()
def show(delivery: int, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show DELIVERY and every attempt at it."""
    row, attempts = outbox.shown(load(config), delivery)
    if as_json:
        print_json(row | {"attempts": attempts})
        return
    print_table("Delivery", [row])
    print_table("Attempts", attempts)


@application.command()
def retry(
    delivery: Annotated[int | None, typer.Argument(help="One delivery; else all that wait for a person.")] = None,
    destination: DestinationOption = "",
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Have parked and dead deliveries tried again, with a fresh count, and a parked destination too."""
    again = outbox.retry(load(config), now(), delivery_id=delivery, destination=destination)
    typer.echo(f"{again} deliveries are tried again")


@application.command()
def cancel(delivery: int, why: Annotated[str, typer.Option()], config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Give DELIVERY up, and say why."""
    outbox.cancel(load(config), delivery, why, now())
    typer.echo(f"delivery {delivery} is CANCELLED")


@application.command(name="export")
def export(delivery: int, folder: Path, config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Copy the object of DELIVERY into FOLDER."""
    typer.echo(outbox.export(load(config), delivery, folder))
