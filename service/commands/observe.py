"""`isocenter observe`: clinical values that reach the node by hand or as a table."""

import csv
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from service.commands.console import DEFAULT_CONFIG, ConfigOption
from service.core.errors import Broken
from service.core.identity import patient_digest
from service.core.observations import Observation, Quantity, day_named, millilitres_named, smoking_named
from service.edge.ledger import opened
from service.roles.clock import now
from service.settings import load

application = typer.Typer()
SOURCE = "isocenter observe"
_NEEDED, _OPTIONAL = ("patient_id", "date"), ("fvc_ml", "smoking")


@application.command()
def observe(
    patient_id: Annotated[str, typer.Option(help="As the images have it; with its issuer: ID^^^ISSUER.")] = "",
    date: Annotated[str, typer.Option(help="The day it was measured, like 2026-03-01.")] = "",
    fvc_ml: Annotated[str, typer.Option(help="Forced vital capacity in ml.")] = "",
    smoking: Annotated[str, typer.Option(help="'never smoked', 'ex-smoker' or 'smokes'.")] = "",
    table: Annotated[Path | None, typer.Option("--csv", help="Many: patient_id,date,fvc_ml,smoking.")] = None,
    config: ConfigOption = DEFAULT_CONFIG,
) -> None:
    """Tell the node what is known of a patient, or of many; it decides again what it can do for them."""
    row = {"patient_id": patient_id, "date": date, "fvc_ml": fvc_ml, "smoking": smoking}
    if table is not None and any(row.values()):
        raise Broken("--csv has all values in its file: leave the other options out")
    made = list(observations_in(table) if table is not None else _observations(row))
    new = keep(load(config).ledger_url, made, now())
    typer.echo(f"{new} of {len(made)} observations are new or changed")


def keep(ledger_url: str, made: list[Observation], at: datetime) -> int:
    """All of the observations, or none of them, in the ledger; how many are new or changed."""
    with opened(ledger_url) as ledger:
        return ledger.observe(made, at)


def observations_in(table: Path) -> Iterator[Observation]:
    """The observations of a CSV file with a heading. Raises Broken with the line of the first wrong one."""
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        names = set(rows.fieldnames or ())
        if not names.issuperset(_NEEDED) or not names.issubset((*_NEEDED, *_OPTIONAL)):
            raise Broken(f"{table} needs the columns {', '.join(_NEEDED)}, and may have {', '.join(_OPTIONAL)}")
        for row in rows:
            try:
                yield from _observations({name: row.get(name) or "" for name in (*_NEEDED, *_OPTIONAL)})
            except Broken as error:
                raise Broken(f"{table}, line {rows.line_num}: {error}") from error


def _observations(row: dict[str, str]) -> Iterator[Observation]:
    patient = patient_digest(*_identifier(row["patient_id"].strip()))
    if not patient or not row["date"]:
        raise Broken("say whose it is and since when: --patient-id and --date, or the columns patient_id and date")
    if not row["fvc_ml"] and not row["smoking"]:
        raise Broken("say what was observed: a forced vital capacity in ml, a smoking status, or both")
    day = day_named(row["date"])
    if row["fvc_ml"]:
        yield Observation(patient, "", Quantity.FVC, millilitres_named(row["fvc_ml"]), day, SOURCE)
    if row["smoking"]:
        yield Observation(patient, "", Quantity.SMOKING, smoking_named(row["smoking"]), day, SOURCE)


def _identifier(text: str) -> tuple[str, str]:
    """A Patient ID and its issuer, as HL7 writes the two together (data type CX)."""
    patient_id, _, issuer = text.partition("^^^")
    return patient_id, issuer
