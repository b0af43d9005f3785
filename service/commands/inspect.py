"""What an administrator asks of a node: its state, its jobs, and why a Series was or was not analysed."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from service.assemble import describe, record_of
from service.core.entities import Instance, Refusal
from service.core.errors import Broken, TryAgain
from service.core.jobs import State
from service.core.observations import Observation
from service.core.stacking import split
from service.edge.ledger import Ledger, opened
from service.edge.part10 import read_instance
from service.edge.spool import Spool
from service.edge.tables import deliveries, jobs, series
from service.roles.ruling import router_for
from service.route import Decision, Router
from service.settings import Settings

Rows = list[dict[str, Any]]

_JOB_COLUMNS = ("job_id", "series_instance_uid", "model", "version", "state", "reason", "created_at", "changed_at")


@dataclass(frozen=True, slots=True)
class Status:
    """A node at a glance; each part is rows of plain values."""

    series: Rows
    jobs: Mapping[str, int]
    deliveries: Mapping[str, int]
    free_share: float


def status(settings: Settings) -> Status:
    """Every Series with what became of it, jobs by state, deliveries by state."""
    with opened(settings.ledger_url) as ledger:
        return Status(
            series=list(_series_rows(ledger)),
            jobs=ledger.counts(jobs),
            deliveries=ledger.counts(deliveries),
            free_share=Spool(settings.spool).free_share(),
        )


def job_rows(settings: Settings) -> Rows:
    """Every job with its deliveries."""
    with opened(settings.ledger_url) as ledger:
        by_job: dict[str, list[str]] = defaultdict(list)
        for row in ledger.rows(deliveries):
            words = f"{row['destination']}: {row['state']} after {row['tries']} tries {row['seen']}".strip()
            by_job[row["job_id"]].append(words)
        return [
            {name: row[name] for name in _JOB_COLUMNS}
            | {
                "not_analysed": row["notice"].why if row["notice"] else "",
                "deliveries": sorted(set(by_job[row["job_id"]])),
            }
            for row in ledger.rows(jobs)
        ]


def event_rows(settings: Settings, subject: str) -> Rows:
    """What happened to a job, a Series or a delivery, oldest first."""
    with opened(settings.ledger_url) as ledger:
        return ledger.events_of(subject)


def requeue(settings: Settings, job_id: str, now: datetime) -> State:
    """Have a job's dead deliveries tried again where their files are there, else start the job again.

    Raises Broken when there is nothing to start.
    """
    outbox = Spool(settings.spool).outbox(job_id)
    with opened(settings.ledger_url) as ledger:
        dead = ledger.dead_deliveries(job_id)
        if dead and all((outbox / f"{uid}.dcm").is_file() for uid in dead):
            ledger.retry_deliveries(now, job_id=job_id)
            return State.REPORTED
        return ledger.requeue(job_id, now)


def _series_rows(ledger: Ledger) -> Iterator[dict[str, Any]]:
    closed = ledger.rows(series)
    by_series: dict[str, Rows] = defaultdict(list)
    for row in ledger.stacks_of([row["series_instance_uid"] for row in closed]):
        by_series[row["series_instance_uid"]].append(row)
    for row in closed:
        for part in by_series[row["series_instance_uid"]]:
            yield {
                "series": row["series_instance_uid"],
                "modality": row["modality"],
                "description": row["description"],
                "instances": part["instances"],
                "closed_on": row["evidence"],
                "geometry": " ".join(filter(None, (part["geometry"], part["split_by"]))) or part["reason"],
                "decision": part["decision"] or ("waits for routing" if part["geometry"] else "not analysed"),
            }


@dataclass(frozen=True, slots=True)
class Explanation:
    """One part of a Series: what it is, and each rule's answer."""

    series_instance_uid: str
    description: str
    instances: int
    what: str
    decisions: tuple[Decision, ...]


def explain(settings: Settings, path: Path) -> Iterator[Explanation]:
    """Every part of every Series among the DICOM files below `path`, judged as the node would judge it.

    Raises Broken when there is no DICOM file.
    """
    by_series: dict[str, dict[str, Instance]] = defaultdict(dict)
    for file in sorted(p for p in ([path] if path.is_file() else path.rglob("*")) if p.is_file()):
        try:
            instance = read_instance(file)
        except (Broken, TryAgain):
            continue  # a folder may hold anything beside images
        by_series[instance.series_instance_uid][instance.sop_instance_uid] = instance
    if not by_series:
        raise Broken(f"there is no DICOM file in {path}")
    router = router_for(settings)
    for instances in by_series.values():
        yield from _explain(router, list(instances.values()), settings.ledger_url)


def _explain(router: Router, instances: Sequence[Instance], ledger_url: str) -> Iterator[Explanation]:
    known: tuple[Observation, ...] = ()
    if router.wants_observations:
        with opened(ledger_url) as ledger:
            known = ledger.observations_for(instances[0].patient, instances[0].study_instance_uid)
    for part in split(instances):
        first = part.instances[0]
        uid, description = first.series_instance_uid, first.value("SeriesDescription")
        what = f"{part.reason}: {part.sentence}" if isinstance(part, Refusal) else describe(part)
        decisions = router.decide(part.slices, record_of(part, received_at=datetime.fromtimestamp(0, UTC)), known=known)
        yield Explanation(uid, description, len(part.instances), what, decisions)
