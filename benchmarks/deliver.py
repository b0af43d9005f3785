"""How fast results are sent, beside DCMTK and pynetdicom: `python benchmarks/deliver.py --help`.

300 reports of some 20 KB and 100 Segmentations of 200 to 800 KB go to one destination in one association. Isocenter and
pynetdicom are measured within a process that is there already, as in a node; DCMTK's are whole programs, whose start
takes some 10 ms, and their reading of the files is in their time as it is in ours.
"""

import argparse
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.deliveries import write_objects
from benchmarks.delivery_senders import HERE, WAYS, Peer, Run, Way, send_here
from benchmarks.machine import ROOT, BenchmarkError, describe, require_disk, temporary_folder
from benchmarks.server import running
from benchmarks.subjects import SUBJECTS, Launch, Place, Subject

_BASELINE = "isocenter"
_SPARE_BYTES = 2 << 30
_SETTLE_SECONDS = 0.2
_HEAD = ("sender", "objects/s", "lowest to highest", "MB/s", "CPU ms/object", "ratio")


@dataclass(frozen=True, slots=True)
class Destination:
    """A receiver, and whether it keeps Nagle's algorithm as it comes."""

    title: str
    subject: Subject
    as_installed: bool = False


def _stand_in(_subject: Subject, place: Place) -> Launch:
    line = [sys.executable, "-P", "-m", "benchmarks.stand_in", str(place.port)]
    return Launch(line, place.folder, "STANDIN", {"PYTHONPATH": str(ROOT)})


_STORESCP = next(subject for subject in SUBJECTS if subject.name == "dcmtk")
DESTINATIONS = {
    "dcmtk": Destination("DCMTK storescp, TCP_NODELAY=1", _STORESCP),
    "dcmtk-installed": Destination("DCMTK storescp, as installed", _STORESCP, as_installed=True),
    "stand-in": Destination("a receiver that keeps nothing", Subject("stand-in", "", False, _stand_in)),
}


@dataclass(frozen=True, slots=True)
class Objects:
    """What is sent."""

    folder: Path
    count: int
    size: int  # bytes of all


def _measure(way: Way, destination: Destination, objects: Objects, place: Path) -> Run:
    """One run against a receiver of its own. Raises BenchmarkError when not everything arrived."""
    with running(destination.subject, place, as_installed=destination.as_installed) as server:
        time.sleep(_SETTLE_SECONDS)
        run = way.send(Peer(server.port, server.ae_title), objects.folder)
        if destination.subject is _STORESCP and server.kept(1) != objects.count:
            raise BenchmarkError(f"{way.title}: {objects.count} objects were sent, and {server.kept(1)} are there")
    shutil.rmtree(place)
    return run


def _table(destination: Destination, names: Sequence[str], objects: Objects, repetitions: int) -> list[str]:
    runs: dict[str, list[Run]] = {name: [] for name in names}
    for repetition in range(repetitions):
        start = repetition % len(names)
        for name in [*names[start:], *names[:start]]:
            print(f"{repetition + 1}/{repetitions} {destination.title}: {name}", file=sys.stderr, flush=True)
            place = objects.folder.parent / f"run_{time.monotonic_ns()}"
            runs[name].append(_measure(WAYS[name], destination, objects, place))
    lines = [f"| {' | '.join(_HEAD)} |", f"| --- |{' ---: |' * (len(_HEAD) - 1)}"]
    return [*lines, *(_line(name, runs, objects) for name in names)]


def _line(name: str, runs: dict[str, list[Run]], objects: Objects) -> str:
    """Medians; the ratio is the time of a sender divided by ours in the same repetition, its median."""
    own = runs[name]
    rates = sorted(objects.count / run.seconds for run in own)
    rate = statistics.median(rates)
    pairs = zip(own, runs.get(_BASELINE, []), strict=False)
    ratios = [run.seconds / ours.seconds for run, ours in pairs]
    cells = [
        WAYS[name].title,
        f"{rate:.0f}",
        f"{rates[0]:.0f} to {rates[-1]:.0f}",
        f"{rate * objects.size / objects.count / 1e6:.0f}",
        f"{statistics.median(1000 * run.cpu_seconds / objects.count for run in own):.2f}",
        f"{statistics.median(ratios):.2f}" if ratios else "",
    ]
    return f"| {' | '.join(cells)} |"


def _measure_all(options: argparse.Namespace) -> None:
    folder = Path(tempfile.mkdtemp(prefix="deliver-", dir=options.folder)).resolve()
    try:
        require_disk(folder, _SPARE_BYTES)
        paths = write_objects(folder / "objects", quick=options.quick)
        objects = Objects(folder / "objects", len(paths), sum(path.stat().st_size for path in paths))
        for name, value in describe(folder).items():
            print(f"- {name}: {value}")
        print(f"\n{objects.count} objects, {objects.size / 1e6:.1f} MB; {options.repetitions} repetitions, medians;")
        print("ratio: a sender's time divided by Isocenter's in the same repetition, above 1 Isocenter is faster")
        for destination in (DESTINATIONS[name] for name in options.to):
            print(f"\n### To {destination.title}\n")
            print("\n".join(_table(destination, options.only, objects, options.repetitions)), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Print a table for each destination; 1 when that is not possible or something was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a tenth of the objects: to see that it runs")
    parser.add_argument("--only", nargs="+", default=list(WAYS), choices=WAYS, help="senders")
    parser.add_argument("--to", nargs="+", default=list(DESTINATIONS), choices=DESTINATIONS)
    parser.add_argument("--folder", type=Path, default=temporary_folder(), help="where to store; never in memory")
    parser.add_argument("--sender", choices=HERE, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--called", help=argparse.SUPPRESS)
    parser.add_argument("--objects", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what runs is ended
    try:
        if options.sender:
            send_here(options.sender, Peer(options.port, options.called), options.objects)
        else:
            _measure_all(options)
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
