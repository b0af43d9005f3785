"""How fast findings become DICOM objects, and in how much memory: `python benchmarks/results.py`.

The Segmentation and the report of a label map of 400 x 512 x 512 voxels with 1, 5, 20 and 104 structures: Isocenter
with the proof of what it wrote, beside plain highdicom and dcmqi. Each run is a process of its own, by turns.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.cost import peak_mb
from benchmarks.result_case import write_case, write_images
from benchmarks.result_writers import WRITERS, Outcome

_SEGMENTS = (1, 5, 20, 104)
_PHASES = ("segmentation build", "segmentation encode", "segmentation proof", "report build", "report encode")
_PROOF = "report proof"


def measured(writer: str, case: Path, images: Path, segments: int) -> Outcome:
    """One run in a process of its own."""
    command = [sys.executable, __file__, "--writer", writer, "--folder", str(case), "--images", str(images)]
    run = subprocess.run([*command, "--segments", str(segments)], capture_output=True, text=True, check=True)
    return Outcome(**json.loads(run.stdout.splitlines()[-1]))


def run_here(writer: str, case: Path, images: Path, segments: int) -> None:
    """Measure in this process: with the label map and the headers in memory, not the start of the interpreter."""
    outcome = WRITERS[writer](case, images, segments)
    outcome.peak_mb = peak_mb()
    print(json.dumps(asdict(outcome)))


def table(case: Path, images: Path, segments: int, repetitions: int, writers: Sequence[str]) -> list[str]:
    """One line for each writer: medians of seconds, the highest of the peaks."""
    runs: dict[str, list[Outcome]] = {writer: [] for writer in writers}
    for repetition in range(repetitions):
        for writer in [*writers[repetition % len(writers) :], *writers[: repetition % len(writers)]]:
            runs[writer].append(measured(writer, case, images, segments))
    return [_line(segments, writer, outcomes) for writer, outcomes in runs.items()]


def _line(segments: int, writer: str, outcomes: Sequence[Outcome]) -> str:
    def median(phase: str) -> float | None:
        taken = [outcome.seconds[phase] for outcome in outcomes if phase in outcome.seconds]
        return statistics.median(taken) if taken else None

    making = sorted(each.seconds[_PHASES[0]] + each.seconds.get(_PHASES[1], 0.0) for each in outcomes)
    seconds = ["" if taken is None else f"{taken:.2f}" for taken in map(median, (*_PHASES, _PROOF))]
    cells = [
        str(segments),
        writer,
        f"{statistics.median(making):.2f} ({making[0]:.2f} to {making[-1]:.2f})",
        *seconds,
        f"{max(each.making_mb for each in outcomes):.0f}",
        f"{max(each.peak_mb for each in outcomes):.0f}",
        f"{outcomes[-1].segmentation_bytes / 1e6:.1f}",
        f"{outcomes[-1].report_bytes / 1e3:.1f}" if outcomes[-1].report_bytes else "",
    ]
    return f"| {' | '.join(cells)} |"


def _print_heading(repetitions: int) -> None:
    print(f"{repetitions} runs of each, medians; load before {os.getloadavg()[0]:.2f}; {os.cpu_count()} cores\n")
    heads = ["segments", "program", "SEG build + encode s (lowest to highest)", "SEG build", "encode", "proof"]
    heads += ["SR build", "encode", "proof", "peak MB of SEG build + encode", "of all", "SEG MB", "SR KB"]
    print(f"| {' | '.join(heads)} |")
    print(f"| ---: | --- |{' ---: |' * (len(heads) - 2)}", flush=True)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--segments", type=int, nargs="*", default=_SEGMENTS)
    parser.add_argument("--writer", choices=WRITERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="where the files go")
    parser.add_argument("--images", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.writer:
        run_here(options.writer, options.folder, options.images, options.segments[0])
        return 0
    writers = [name for name in WRITERS if name != "dcmqi" or shutil.which("itkimage2segimage")]
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        images = write_images(Path(folder) / "images")
        _print_heading(options.repetitions)
        for segments in options.segments:
            case = write_case(Path(folder) / f"case{segments}", segments)
            print("\n".join(table(case, images, segments, options.repetitions, writers)), flush=True)
            shutil.rmtree(case)
    return 0


if __name__ == "__main__":
    sys.exit(main())
