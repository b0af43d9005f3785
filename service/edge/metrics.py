"""Counters and histograms for Prometheus, summed over the processes of a role.

Counting costs an addition. Each process writes its counts to a file of its own in a folder of its role from time to
time, and one of them publishes the sum of all files; those of processes that are gone stay in it.
"""

import json
import os
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, Gauge, start_http_server
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

FOLDER_VARIABLE = "ISOCENTER_METRICS"

_STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0)


@dataclass(frozen=True, slots=True)
class Counted:
    """What is counted, by the values of its labels."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Measured:
    """How long something took: `steps` are the upper ends of the intervals it is counted in, in seconds."""

    name: str
    help: str
    steps: tuple[float, ...] = _STEPS


INSTANCES = Counted("isocenter_instances_received", "C-STORE requests answered", ("calling_ae_title", "status"))
RECEIVED_BYTES = Counted("isocenter_received_bytes", "Bytes of data sets answered")
ASSOCIATIONS = Counted("isocenter_associations", "Associations, by how they ended", ("ended",))
HELD = Counted("isocenter_instances_held", "Other bytes under a known SOP Instance UID")
TURNED_AWAY = Counted("isocenter_connections_turned_away", "Connections beyond a limit")
ASSOCIATION_SECONDS = Measured("isocenter_association_seconds", "How long associations lasted", (0.1, 1, 10, 60, 600))
STORE_SECONDS = Measured("isocenter_store_seconds", "From the command of a C-STORE to its answer")
FLUSH_SECONDS = Measured("isocenter_flush_seconds", "Bringing one instance and its name to the disk")

_COUNTED = (INSTANCES, RECEIVED_BYTES, ASSOCIATIONS, HELD, TURNED_AWAY)
_MEASURED = (ASSOCIATION_SECONDS, STORE_SECONDS, FLUSH_SECONDS)


@dataclass(slots=True)
class _Counts:
    """The counts of one process, or of several added up."""

    counters: Counter[tuple[str, ...]] = field(default_factory=Counter)  # by name and values of the labels
    intervals: Counter[tuple[str, int]] = field(default_factory=Counter)  # by name and number of the interval
    seconds: Counter[str] = field(default_factory=Counter)

    def encoded(self) -> bytes:
        parts = (list(self.counters.items()), list(self.intervals.items()), list(self.seconds.items()))
        return json.dumps(parts).encode()

    def add_encoded(self, content: bytes) -> None:
        counters, intervals, seconds = json.loads(content)
        self.counters.update({tuple(key): count for key, count in counters})
        self.intervals.update({(name, number): count for (name, number), count in intervals})
        self.seconds.update(dict(seconds))


_mine = _Counts()
_lock = threading.Lock()


def count(what: Counted, *labels: str, by: int = 1) -> None:
    """Add to a counter."""
    with _lock:
        _mine.counters[what.name, *labels] += by


def measure(what: Measured, seconds: float) -> None:
    """Add a duration."""
    number = bisect_left(what.steps, seconds)
    with _lock:
        _mine.intervals[what.name, number] += 1
        _mine.seconds[what.name] += seconds  # type: ignore[assignment]


def write_down() -> None:
    """Leave this process's counts for whoever publishes them, in the folder named by the environment if one is."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        return
    with _lock:
        content = _mine.encoded()
    try:
        target = Path(folder) / f"{os.getpid()}.json"
        half = target.with_suffix(".new")
        half.write_bytes(content)
        half.replace(target)
    except OSError as error:  # counting keeps no one from working
        structlog.get_logger().error("counts not written", reason=error.strerror)


class _Sum(Collector):
    """The counts of all processes that wrote to a folder, and of this one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        counts = _Counts()
        for content in (path.read_bytes() for path in self._folder.glob("*.json")):
            counts.add_encoded(content)
        with _lock:
            mine = _mine.encoded()
        counts.add_encoded(mine)
        yield from (_counter(what, counts) for what in _COUNTED)
        yield from (_histogram(what, counts) for what in _MEASURED)


def _counter(what: Counted, counts: _Counts) -> Metric:
    family = CounterMetricFamily(what.name, what.help, labels=what.labels)
    for (name, *labels), value in counts.counters.items():
        if name == what.name:
            family.add_metric(labels, value)
    return family


def _histogram(what: Measured, counts: _Counts) -> Metric:
    family = HistogramMetricFamily(what.name, what.help)
    family.add_metric([], _cumulated(what, counts), counts.seconds[what.name])
    return family


def _cumulated(what: Measured, counts: _Counts) -> list[tuple[str, float]]:
    ends: Iterable[str] = (*map(str, what.steps), "+Inf")
    return list(
        zip(ends, accumulate(counts.intervals[what.name, number] for number in range(len(what.steps) + 1)), strict=True)
    )


_DOOR = CollectorRegistry()
OPEN_CONNECTIONS = Gauge("isocenter_open_connections", "Connections now open", registry=_DOOR)


def publish(bind: str, port: int, folder: Path) -> None:
    """Answer Prometheus at http://bind:port/metrics with the counts of this process and of those that use `folder`.

    A port that is taken is logged, and keeps no one from working.
    """
    _DOOR.register(_Sum(folder))
    try:
        start_http_server(port, bind, _DOOR)
    except OSError as error:
        structlog.get_logger().error("metrics not published", port=port, reason=error.strerror)
