"""Counters and histograms for Prometheus, summed over the processes of a role.

Processes that were started with PROMETHEUS_MULTIPROC_DIR count in that folder, and their parent publishes the sum;
without it each process counts for itself.
"""

from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_REGISTRY = CollectorRegistry()

_INSTANCES = Counter(
    "isocenter_instances_received", "C-STORE requests answered", ["calling_ae_title", "status"], registry=_REGISTRY
)
_BYTES = Counter("isocenter_received_bytes", "Bytes of data sets answered", registry=_REGISTRY)
_ASSOCIATIONS = Counter("isocenter_associations", "Associations, by how they ended", ["ended"], registry=_REGISTRY)
_ASSOCIATION_SECONDS = Histogram(
    "isocenter_association_seconds", "How long associations lasted", registry=_REGISTRY, buckets=(0.1, 1, 10, 60, 600)
)
_STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5)
STORE_SECONDS = Histogram(
    "isocenter_store_seconds", "From the command of a C-STORE to its answer", registry=_REGISTRY, buckets=_STEPS
)
FLUSH_SECONDS = Histogram(
    "isocenter_flush_seconds", "Bringing one instance and its name to the disk", registry=_REGISTRY, buckets=_STEPS
)
HELD = Counter("isocenter_instances_held", "Other bytes under a known SOP Instance UID", registry=_REGISTRY)

_DOOR = CollectorRegistry()
TURNED_AWAY = Counter("isocenter_connections_turned_away", "Connections beyond a limit", registry=_DOOR)
OPEN_CONNECTIONS = Gauge("isocenter_open_connections", "Connections now open", registry=_DOOR)


def count_instance(calling_ae_title: str, status: int, size: int) -> None:
    """One C-STORE was answered."""
    _INSTANCES.labels(calling_ae_title, f"{status:04X}").inc()
    _BYTES.inc(size)


def count_association(ended: str, seconds: float) -> None:
    """One association ended."""
    _ASSOCIATIONS.labels(ended).inc()
    _ASSOCIATION_SECONDS.observe(seconds)


def publish(bind: str, port: int, folder: Path) -> None:
    """Answer Prometheus at http://bind:port/metrics with the counts of this process and of those that share `folder`.

    A port that is taken is logged, and keeps no one from working.
    """
    MultiProcessCollector(_DOOR, path=str(folder))  # type: ignore[no-untyped-call]
    try:
        start_http_server(port, bind, _DOOR)
    except OSError as error:
        structlog.get_logger().error("metrics not published", port=port, reason=error.strerror)
