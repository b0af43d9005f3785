"""Measurements as medians, in Markdown for people and JSON for programs."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.rows import Row
from benchmarks.subjects import BASELINE, Subject

_NOTES = (
    "Medians over the repetitions. `ratio`: Isocenter's speed divided by the subject's in the same repetition, its "
    "median; above 1 Isocenter is faster. `CPU`: user and system time of the receiver's whole process tree. `memory`: "
    "the peaks of all its processes that lived at one time, added up; pages they share count for each. `durable`: the "
    "bytes are flushed before the answer; where it says no, the subject promises nothing after a power cut.",
    "DCMTK and Orthanc run with TCP_NODELAY=1 where the row does not say otherwise. storescu's time is that of the "
    "whole program, its start and its reading of the files included.",
)
_HEAD = ("subject", "durable", "instances/s", "lowest to highest", "ratio", "CPU ms/instance", "memory MB")


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run of a row against a subject."""

    row: str
    subject: str
    repetition: int
    instances: int
    seconds: float
    cpu_seconds: float
    memory_mb: float

    @property
    def rate(self) -> float:
        """Instances per second."""
        return self.instances / self.seconds


@dataclass(frozen=True, slots=True)
class Figures:
    """What a row and a subject come to; no ratio where Isocenter was not measured."""

    row: str
    subject: str
    repetitions: int
    instances_per_second: float
    lowest: float
    highest: float
    cpu_ms_per_instance: float
    memory_mb: float
    ratio: float | None


def summarise(measurements: Sequence[Measurement]) -> list[Figures]:
    """One line of figures for each row and subject, in the order of their first measurement."""
    groups: dict[tuple[str, str], list[Measurement]] = {}
    for measurement in measurements:
        groups.setdefault((measurement.row, measurement.subject), []).append(measurement)
    return [_figures(group, groups.get((row, BASELINE), [])) for (row, _), group in groups.items()]


def _figures(group: Sequence[Measurement], baseline: Sequence[Measurement]) -> Figures:
    rates = [measurement.rate for measurement in group]
    ours = {measurement.repetition: measurement.rate for measurement in baseline}
    ratios = [ours[one.repetition] / one.rate for one in group if one.repetition in ours]
    return Figures(
        row=group[0].row,
        subject=group[0].subject,
        repetitions=len(group),
        instances_per_second=median(rates),
        lowest=min(rates),
        highest=max(rates),
        cpu_ms_per_instance=median(1000 * one.cpu_seconds / one.instances for one in group),
        memory_mb=median(one.memory_mb for one in group),
        ratio=median(ratios) if ratios else None,
    )


def markdown(
    machine: Mapping[str, str], rows: Sequence[Row], subjects: Sequence[Subject], figures: Sequence[Figures]
) -> str:
    """The machine, the notes, all speeds in one table, and a table for each row."""
    lines = [f"- {name}: {value}" for name, value in machine.items()]
    for note in _NOTES:
        lines += ["", note]
    lines += ["", "### Instances per second, and the ratio to Isocenter", "", *_overview(rows, subjects, figures)]
    for row in rows:
        lines += ["", f"### {row.name}: {row.title}", "", *_table(row, subjects, figures)]
    return "\n".join(lines)


def _overview(rows: Sequence[Row], subjects: Sequence[Subject], figures: Sequence[Figures]) -> Iterator[str]:
    found = {(one.row, one.subject): one for one in figures}
    shown = [subject for subject in subjects if any(name == subject.name for _, name in found)]
    yield _line(["row", *(subject.title for subject in shown)])
    yield _line(["---", *["---:"] * len(shown)])
    for row in rows:
        yield _line([row.title, *(_speed(found.get((row.name, subject.name))) for subject in shown)])


def _speed(one: Figures | None) -> str:
    if one is None:
        return ""
    ratio = "" if one.ratio is None or one.subject == BASELINE else f" ({one.ratio:.2f})"
    return f"{one.instances_per_second:.0f}{ratio}"


def _table(row: Row, subjects: Sequence[Subject], figures: Sequence[Figures]) -> Iterator[str]:
    yield _line(_HEAD)
    yield _line(["---", "---", *["---:"] * 5])
    found = {one.subject: one for one in figures if one.row == row.name}
    for subject in subjects:
        if one := found.get(subject.name):
            yield _line(
                [
                    subject.title,
                    "yes" if subject.is_durable else "no",
                    f"{one.instances_per_second:.0f}",
                    f"{one.lowest:.0f} to {one.highest:.0f}",
                    "" if one.ratio is None else f"{one.ratio:.2f}",
                    f"{one.cpu_ms_per_instance:.2f}",
                    f"{one.memory_mb:.0f}",
                ]
            )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def write_json(
    path: Path, machine: Mapping[str, str], measurements: Sequence[Measurement], figures: Sequence[Figures]
) -> None:
    """Every measurement, and what they come to."""
    content = {
        "machine": dict(machine),
        "figures": [asdict(one) for one in figures],
        "measurements": [asdict(one) for one in measurements],
    }
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
