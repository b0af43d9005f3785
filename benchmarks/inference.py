"""What asking a model costs: `python benchmarks/inference.py [--device auto] [--repetitions 5] [--studies-only]`.

First our sliding window beside MONAI's own: one network, one volume, one patch, overlap and number of threads, in half
precision where the device is a GPU. Then each built-in package on a study that its intake admits. Every run is a
process of its own, by turns.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence

import torch

from benchmarks.cost import peak_mb
from benchmarks.inference_cases import ASKERS, Outcome, ask_package, own_weights
from models.inference import pick_device
from models.manifest import Segmentation
from models.registry import find

_WINDOWS = ("sliding window", "s (lowest to highest)", "processor s", "peak MB", "on the GPU MB", "answer")
_STUDIES = ("package", "grid", "voxels mm", "load s", "answer s (lowest to highest)", "processor s", "peak MB")


def main() -> None:
    """Measure, and print two tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--studies-only", action="store_true", help="leave MONAI's sliding window out")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    device = pick_device(options.device)
    if options.run:
        torch.set_num_threads(options.threads)
        outcome = ASKERS[options.run](device) if options.run in ASKERS else ask_package(options.run, device)
        outcome.peak_mb = peak_mb()
        print(json.dumps(outcome.plain()))
        return
    for line in _tables(device, options.threads, options.repetitions, options.studies_only):
        print(line, flush=True)


def _tables(device: str, threads: int, repetitions: int, studies_only: bool) -> Iterator[str]:
    where = torch.cuda.get_device_name() if device == "cuda" else f"{threads} threads of {os.cpu_count()} cores"
    yield f"{where}, {repetitions} runs of each, medians; load before {os.getloadavg()[0]:.2f}"
    if not studies_only:
        yield ""
        runs = _by_turns(tuple(ASKERS), device, threads, repetitions)
        yield from _table(_WINDOWS, [_window_cells(name, outcomes) for name, outcomes in runs.items()])
        yield _ratios(*runs.values())
    yield ""
    names = [name for name, package in find().items() if isinstance(package.manifest, Segmentation)]
    runs = _by_turns(names, device, threads, repetitions)
    yield from _table(_STUDIES, [_study_cells(name, outcomes) for name, outcomes in runs.items()])


def _by_turns(names: Sequence[str], device: str, threads: int, repetitions: int) -> dict[str, list[Outcome]]:
    """All take part in every repetition, another one first each time, so that whoever shares the machine is shared."""
    runs: dict[str, list[Outcome]] = {name: [] for name in names}
    for repetition in range(repetitions):
        first = repetition % len(names)
        for name in (*names[first:], *names[:first]):
            runs[name].append(_measured(name, device, threads))
    return runs


def _measured(name: str, device: str, threads: int) -> Outcome:
    command = [sys.executable, __file__, "--run", name, "--device", device, "--threads", str(threads)]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Outcome(**json.loads(run.stdout.splitlines()[-1]))


def _window_cells(name: str, outcomes: Sequence[Outcome]) -> list[str]:
    answers = {outcome.digest[:12] for outcome in outcomes}
    return [
        name,
        _spread([each.seconds for each in outcomes]),
        f"{statistics.median(each.processor_seconds for each in outcomes):.2f}",
        f"{max(each.peak_mb for each in outcomes):.0f}",
        f"{max(each.device_mb for each in outcomes):.0f}" if outcomes[0].device_mb else "",
        ", ".join(sorted(answers)),
    ]


def _study_cells(name: str, outcomes: Sequence[Outcome]) -> list[str]:
    return [
        name if own_weights(name) else f"{name} (with fresh weights)",
        " x ".join(map(str, outcomes[0].shape)),
        " x ".join(f"{mm:g}" for mm in outcomes[0].spacing_mm),
        f"{statistics.median(each.load_seconds for each in outcomes):.2f}",
        _spread([each.seconds for each in outcomes]),
        f"{statistics.median(each.processor_seconds for each in outcomes):.2f}",
        f"{max(each.peak_mb for each in outcomes):.0f}",
    ]


def _ratios(ours: Sequence[Outcome], theirs: Sequence[Outcome]) -> str:
    """MONAI's cost over ours, repetition by repetition: above 1 ours is cheaper."""
    pairs = list(zip(ours, theirs, strict=True))
    seconds = [their.seconds / our.seconds for our, their in pairs]
    processor = [their.processor_seconds / our.processor_seconds for our, their in pairs]
    return f"\nMONAI's over ours: {_spread(seconds)} in seconds, {_spread(processor)} in processor seconds"


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"| --- |{' ---: |' * (len(heads) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


if __name__ == "__main__":
    main()
