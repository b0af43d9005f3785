"""How fast Isocenter receives, beside DCMTK, Orthanc and pynetdicom: `python benchmarks/receive.py --help`."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from benchmarks import report
from benchmarks.cost import Peak
from benchmarks.images import synthesise
from benchmarks.machine import (
    BenchmarkError,
    describe,
    has_program,
    held_memory,
    program,
    require_disk,
    temporary_folder,
    warm_memory,
)
from benchmarks.rows import ROWS, Row, shortened
from benchmarks.sender import Load, Sender, Way
from benchmarks.server import Server, running
from benchmarks.subjects import SUBJECTS, Subject

_WARM_UP_INSTANCES = 8
_SETTLE_SECONDS = 0.2  # what a receiver still does after its last answer belongs to its cost
_SPARE_BYTES = 2 << 30

Item = TypeVar("Item")


@dataclass(slots=True)
class Course:
    """The measurements of one call, as far as they have come."""

    folder: Path
    sender: Sender
    measurements: list[report.Measurement] = field(default_factory=list)
    runs: int = 0

    def measure(self, row: Row, subject: Subject, repetition: int) -> None:
        """Add one run. Raises BenchmarkError unless all that was sent was acknowledged and is there."""
        place = self.folder / f"{repetition}_{row.name}_{subject.name}"
        try:
            with running(subject, place, as_installed=row.as_installed) as server:
                self._warm_up(server, row)
                measurement = self._run(server, row, subject, repetition)
                _require_all(server, row)
        except BenchmarkError as error:
            raise BenchmarkError(f"{row.name}, {subject.name}: {error}") from error
        self.measurements.append(measurement)

    def _warm_up(self, server: Server, row: Row) -> None:
        load = Load(Way.OURS, row.kind, 1, _WARM_UP_INSTANCES, self._next_run())
        self.sender.send(self.sender.prepare(server, load), Peak(server.tree))

    def _run(self, server: Server, row: Row, subject: Subject, repetition: int) -> report.Measurement:
        load = Load(row.way, row.kind, row.associations, row.instances, self._next_run())
        sending = self.sender.prepare(server, load)
        warm_memory()
        os.sync()
        peak, before = Peak(server.tree), server.tree.cpu_seconds()
        seconds = self.sender.send(sending, peak)
        time.sleep(_SETTLE_SECONDS)
        peak.look()
        cpu_seconds = server.tree.cpu_seconds() - before
        return report.Measurement(
            row.name, subject.name, repetition, row.instances, seconds, cpu_seconds, peak.memory_mb
        )

    def _next_run(self) -> int:
        self.runs += 1
        return self.runs


def _require_all(server: Server, row: Row) -> None:
    wanted = row.instances + _WARM_UP_INSTANCES
    kept = server.kept(synthesise(row.kind).length)
    if kept != wanted:
        raise BenchmarkError(
            f"{wanted} instances were acknowledged, and {kept} files lie in {server.storage.name}; "
            f"its log ends: {server.last_words()}"
        )


def main() -> int:
    """Measure what is asked for; 1 when that is not possible or something was lost."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what runs is ended
    try:
        _measure_all(options)
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _measure_all(options: argparse.Namespace) -> None:
    program("gcc")
    rows, subjects = _choose(options)
    runs = options.repetitions * len(subjects)
    with _own_folder(options.folder) as folder, held_memory(options.leave_memory):
        require_disk(folder, runs * sum(row.stored_bytes for row in rows) + _SPARE_BYTES)
        machine = describe(folder)
        course = Course(folder, Sender(folder))
        try:
            _run_course(course, rows, subjects, options.repetitions)
        finally:
            if course.measurements:
                figures = report.summarise(course.measurements)
                path = options.json or Path(tempfile.mkdtemp(prefix="receive-")) / "receive.json"
                report.write_json(path, machine, course.measurements, figures)
                print(report.markdown(machine, rows, subjects, figures))
                print(f"\nEvery measurement: {path}", flush=True)


def _run_course(course: Course, rows: Sequence[Row], subjects: Sequence[Subject], repetitions: int) -> None:
    for repetition in range(repetitions):
        for turn, row in enumerate(rows):
            for subject in _rotated(subjects, repetition + turn):
                print(f"{repetition + 1}/{repetitions} {row.name} {subject.name}", file=sys.stderr, flush=True)
                course.measure(row, subject, repetition)


def _rotated(items: Sequence[Item], by: int) -> list[Item]:
    start = by % len(items)
    return [*items[start:], *items[:start]]


def _choose(options: argparse.Namespace) -> tuple[list[Row], list[Subject]]:
    subjects = [subject for subject in SUBJECTS if _is_wanted(subject, options.only)]
    rows = [row for row in ROWS if not options.rows or row.name in options.rows]
    if options.skip_missing:
        subjects = [subject for subject in subjects if not _missing(subject)]
        rows = [row for row in rows if row.way is not Way.STOCK or has_program("storescu")]
    for subject in subjects:
        subject.require()
    if any(row.way is Way.STOCK for row in rows):
        program("storescu")
    if not (subjects and rows):
        raise BenchmarkError("nothing is left to measure")
    return shortened(rows) if options.quick else rows, subjects


def _is_wanted(subject: Subject, only: Sequence[str]) -> bool:
    return subject.name in only if only else subject.is_usual


def _missing(subject: Subject) -> bool:
    try:
        subject.require()
    except BenchmarkError as error:
        print(f"left out: {error}", file=sys.stderr)
        return True
    return False


@contextmanager
def _own_folder(parent: Path) -> Iterator[Path]:
    """A folder that is removed at the very end: on ext4, many removals would slow the creations that follow."""
    folder = Path(tempfile.mkdtemp(prefix="receive-", dir=parent)).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    names, rows = [subject.name for subject in SUBJECTS], [row.name for row in ROWS]
    unusual = ", ".join(subject.name for subject in SUBJECTS if not subject.is_usual)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="few instances, once: to see that it runs")
    parser.add_argument("--only", nargs="+", default=[], choices=names, help=f"subjects; measured only so: {unusual}")
    parser.add_argument("--rows", nargs="+", default=[], choices=rows)
    parser.add_argument("--folder", type=Path, default=temporary_folder(), help="where to store; never in memory")
    parser.add_argument(
        "--leave-memory",
        type=float,
        metavar="GIB",
        help="occupy all other memory: the host of a virtual machine may take back what is free",
    )
    parser.add_argument("--json", type=Path, help="default: a new file among the temporary ones")
    parser.add_argument("--skip-missing", action="store_true", help="leave out subjects whose programs are missing")
    options = parser.parse_args()
    if options.quick:
        options.repetitions = 1
    if options.repetitions < 1:
        parser.error("--repetitions: at least 1")
    return options


if __name__ == "__main__":
    sys.exit(main())
