"""`isocenter status`, `jobs`, `events`, `requeue` and `explain`: what the ledger and the spool say."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from service.commands import inspect
from service.commands.console import DEFAULT_CONFIG, ConfigOption, JsonOption, print_json, print_table
from service.roles.clock import now
from service.settings import load

application = typer.Typer()


@application.command()
def status(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show every Series and what became of it."""
    seen = inspect.status(load(config))
    if as_json:
        print_json(asdict(seen))
        return
    print_table("Series", seen.series)
    for name, counts in (("jobs", seen.jobs), ("deliveries", seen.deliveries)):
        typer.echo(f"{name}: " + (", ".join(f"{count} {state}" for state, count in counts.items()) or "none"))
    typer.echo(f"disk: {seen.free_share:.0%} free")


@application.command()
def jobs(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show every job and where its results are."""
    rows = inspect.job_rows(load(config))
    if as_json:
        print_json(rows)
        return
    print_table("Jobs", rows)


@application.command()
def events(subject: str, config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """Show what happened to a job or a Series, by its id or UID."""
    rows = inspect.event_rows(load(config), subject)
    if as_json:
        print_json(rows)
        return
    print_table("Events", rows)


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
