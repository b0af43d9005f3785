"""Patients as rows of a table: what is known of each, and the quantity at every visit."""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from models.inputs import Values
from models.manifest import Regression
from models.quantities import NumberInput
from models.training.recipe import Visits


@dataclass(frozen=True, slots=True)
class Visit:
    """The quantity, that many weeks from a day of the patient's own."""

    weeks: float
    value: float


@dataclass(frozen=True, slots=True)
class Patient:
    """What is known of a patient beside the quantity, the visits in the order of time, and a digest of the rows."""

    name: str
    values: Values
    visits: tuple[Visit, ...]
    sha256: str


def names_in_table(source: Path, cases: Visits) -> list[str]:
    """The patients of the table, in order."""
    return sorted(_by_patient(source, cases))


def patients_of(source: Path, cases: Visits, manifest: Regression) -> dict[str, Patient]:
    """The patients of the table by name; several visits of one week count as one with their mean.

    Raises ValueError when an input that the model learned from, or its baseline, has no column.
    """
    learned = {each.name for each in manifest.inputs if each.learned}
    if missing := learned - set(cases.columns):
        raise ValueError(f"{cases.file} has no column for {', '.join(sorted(missing))}: name it in the recipe")
    if astray := set(cases.columns) - learned:
        raise ValueError(f"{', '.join(sorted(astray))} has a column, and the manifest says that it is not learned from")
    rows = _by_patient(source, cases)
    return {name: _patient(name, mine, cases, manifest) for name, mine in sorted(rows.items())}


def _by_patient(source: Path, cases: Visits) -> dict[str, list[dict[str, str]]]:
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    with (source / cases.file).open(newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            rows[row[cases.patient]].append(row)
    return rows


def _patient(name: str, rows: Sequence[Mapping[str, str]], cases: Visits, manifest: Regression) -> Patient:
    baseline = manifest.baseline.input
    by_week: dict[float, list[float]] = defaultdict(list)
    for row in rows:
        by_week[float(row[cases.weeks])].append(float(row[cases.columns[baseline]]))
    visits = tuple(Visit(weeks, sum(each) / len(each)) for weeks, each in sorted(by_week.items()))
    numbers = {each.name for each in manifest.inputs if isinstance(each, NumberInput)}
    values: dict[str, float | str] = {}
    for known, column in cases.columns.items():
        text = rows[0][column]
        if text and known != baseline:
            values[known] = float(text) if known in numbers else cases.words.get(text, text)
    rows_as_text = "\n".join(str(sorted(row.items())) for row in rows)
    return Patient(name, values, visits, sha256(rows_as_text.encode()).hexdigest())
