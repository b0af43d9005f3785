"""Stage 2: a Series that is whole becomes stacks, each a volume or a named reason why not."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType

import structlog

from models.volume import Grid
from service.core.arriving import ArrivingSeries
from service.core.completeness import (
    Arrival,
    Evidence,
    Looks,
    Patience,
    evidence,
    judged,
    may_be_whole,
    wants_retrieval,
)
from service.core.entities import Projection, Refusal, Stack, StackRecord, consensus
from service.core.errors import Broken, TryAgain, Unsuitable, whereabouts
from service.core.geometry import plane_name
from service.core.identity import instance_set
from service.core.observations import Observation
from service.core.priors import Result
from service.core.refusals import RefusalRecord
from service.core.stacking import Part
from service.derived.earlier_report import may_hold_result, result_of
from service.edge.archives import Archive
from service.edge.clinical_report import may_hold_observations, read_observations
from service.edge.inquiries import Inquiries
from service.edge.ledger import Ledger, SeriesRow, StackRow
from service.edge.part10 import read_header, read_instance
from service.edge.records import keep_part
from service.edge.spool import InstanceName, Spool

NO_ARCHIVES: Mapping[str, Archive] = MappingProxyType({})  # by the calling AE title of the peer they are behind


class Assembler:
    """Watches incoming/ and closes every Series that is whole. Its memory is a cache of what lies there."""

    def __init__(
        self, spool: Spool, ledger: Ledger, patience: Patience, archives: Mapping[str, Archive] = NO_ARCHIVES
    ) -> None:
        self._spool = spool
        self._ledger = ledger
        self._patience = patience
        self._closed: dict[str, str] = {}
        self._seen_at = 0
        self._look_again = True
        self._arriving: dict[str, ArrivingSeries] = defaultdict(ArrivingSeries)
        self._inquiries = Inquiries(archives)
        self._log = structlog.get_logger()

    def tick(self, now: datetime) -> None:
        """Read what is new, and close what is whole; a Series that fails holds up no other."""
        self._look_if_changed()
        for uid in list(self._arriving):
            try:
                self._close_if_whole(uid, now)
            except Exception as error:  # the next tick tries again
                self._log.error("series not closed", series=uid, reason=whereabouts(error))

    def recover(self) -> None:
        """Open again every Series of which a stack's record is gone, so that it is made again."""
        for stack_id, uid in self._ledger.volumes().items():
            if not self._spool.stack(stack_id).exists():
                self._ledger.reopen_series(uid)

    def _look_if_changed(self) -> None:
        """Look when incoming/ changed, and once more after that: its time of change is coarse."""
        changed_at = self._spool.incoming_changed_at()
        if changed_at == self._seen_at and not self._look_again and not self._ledger.has_reopened():
            return
        self._look_again = True
        complete = self._look()
        self._look_again = not complete or changed_at != self._seen_at
        self._seen_at = changed_at

    def _look(self) -> bool:
        """False when something could not be read just now."""
        self._closed = self._ledger.closed_series()
        readings = [self._look_at(uid, names) for uid, names in _by_series(self._spool.arrivals()).items()]
        return all(readings)

    def _look_at(self, uid: str, names: set[InstanceName]) -> bool:
        if self._is_closed(uid, names):
            self._forget(uid)
            return True
        return self._read(self._arriving[uid], names)

    def _is_closed(self, uid: str, names: set[InstanceName]) -> bool:
        return self._closed.get(uid) == instance_set(name.sop_instance_uid for name in names)

    def _read(self, series: ArrivingSeries, names: Iterable[InstanceName]) -> bool:
        """False when an instance could not be read just now."""
        complete = True
        for name in sorted(name for name in names if name.sop_instance_uid not in series.instances):
            try:
                series.add(read_instance(self._spool.incoming(name)), self._spool.arrived_at(name))
            except Broken as error:
                self._spool.hold_unreadable(name)
                self._log.error("instance held", sop_instance=name.sop_instance_uid, reason=str(error))
            except (TryAgain, OSError) as error:
                complete = False
                self._log.warning("instance not read", sop_instance=name.sop_instance_uid, reason=type(error).__name__)
        return complete

    def _close_if_whole(self, uid: str, now: datetime) -> None:
        series = self._arriving[uid]
        if not series.instances:
            return
        series.unreadable = self._spool.unreadable(uid) - set(series.instances)
        arrival = self._arrival(uid, series, now)
        found = evidence(arrival, now, self._patience)
        if found:
            self._close(uid, series, judged(series.parts(), arrival), found, now)
        elif wants_retrieval(arrival, now, self._patience):
            self._inquiries.retrieve(uid, arrival.came)

    def _close(self, uid: str, series: ArrivingSeries, parts: Sequence[Part], found: Evidence, now: datetime) -> None:
        for part in parts:
            keep_part(self._spool, record_of(part, series.last_at))
        rows = [_stack_row(uid, part) for part in parts]
        self._ledger.close_series(_series_row(uid, series, found), rows, now)
        self._observe(uid, series, now)
        self._recall(uid, series, now)
        self._closed[uid] = instance_set(series.instances)
        self._log.info("series closed", series=uid, instances=len(series.instances), evidence=found, parts=len(rows))
        self._forget(uid)

    def _observe(self, uid: str, series: ArrivingSeries, now: datetime) -> None:
        """Keep what reports in the Series say of their patient; one that cannot be read says nothing."""
        made: list[Observation] = []
        for instance in filter(may_hold_observations, series.instances.values()):
            path = self._spool.incoming(InstanceName(uid, instance.sop_instance_uid))
            try:
                made += read_observations(path, instance.patient)
            except (Broken, TryAgain) as error:
                self._log.warning("report not read", sop_instance=instance.sop_instance_uid, reason=str(error))
        if made:
            self._log.info("observed", series=uid, observations=self._ledger.observe(made, now))

    def _recall(self, uid: str, series: ArrivingSeries, now: datetime) -> None:
        """Keep what our own reports in the Series measured: they come from another node, or from before this one."""
        found: list[Result] = []
        for instance in filter(may_hold_result, series.instances.values()):
            try:
                found.append(result_of(read_header(self._spool.incoming(InstanceName(uid, instance.sop_instance_uid)))))
            except Unsuitable:
                continue
            except (Broken, TryAgain) as error:
                self._log.warning("report not read", sop_instance=instance.sop_instance_uid, reason=str(error))
        if found:
            self._log.info("recalled", series=uid, results=self._ledger.keep_recalled(found, now))

    def _forget(self, uid: str) -> None:
        self._arriving.pop(uid, None)
        self._inquiries.forget(uid)

    def _arrival(self, uid: str, series: ArrivingSeries, now: datetime) -> Arrival:
        unknown = filter(None, series.unreleased)
        series.released |= {association for association in unknown if self._spool.was_released(association)}
        arrival = Arrival(series.last_at, not series.unreleased, Looks.UNSURE, came=len(series.instances))
        if not may_be_whole(arrival, now, self._patience):
            return arrival
        return replace(arrival, looks=series.looks(), archive=self._inquiries.says(uid, series, now))


def _by_series(names: Iterable[InstanceName]) -> dict[str, set[InstanceName]]:
    by_series: dict[str, set[InstanceName]] = defaultdict(set)
    for name in names:
        by_series[name.series_instance_uid].add(name)
    return by_series


def record_of(part: Part, received_at: datetime) -> StackRecord | RefusalRecord:
    """A stack, a radiograph or a refusal as it is left in the spool."""
    first = part.instances[0]
    frames = tuple(each.reference for each in part.slices)
    if isinstance(part, Refusal):
        return RefusalRecord(
            stack_id=part.stack_id,
            series_instance_uid=first.series_instance_uid,
            study_instance_uid=first.study_instance_uid,
            frames=frames,
            reason=part.reason,
            sentence=part.sentence,
            received_at=received_at,
        )
    return StackRecord(
        stack_id=part.stack_id,
        series_instance_uid=first.series_instance_uid,
        study_instance_uid=first.study_instance_uid,
        frames=frames,
        grid=part.grid if isinstance(part, Stack) else None,
        radiograph=part.facts if isinstance(part, Projection) else None,
        places=part.places if isinstance(part, Stack) else (),
        split_by=part.split_by,
        modality=first.value("Modality"),
        phantom=all(instance.phantom for instance in part.instances),
        lossy=part.lossy,
        received_at=received_at,
        body_parts=tuple(stated for stated in consensus(part.slices, "BodyPartExamined") if stated),
    )


def _series_row(uid: str, series: ArrivingSeries, found: Evidence) -> SeriesRow:
    first = min(series.instances.values(), key=lambda instance: instance.sop_instance_uid)
    return SeriesRow(
        series_instance_uid=uid,
        study_instance_uid=first.study_instance_uid,
        modality=first.value("Modality"),
        description=first.value("SeriesDescription"),
        instances=len(series.instances),
        instance_set=instance_set(series.instances),
        last_at=series.last_at,
        evidence=found,
        patient=first.patient,
    )


def _stack_row(uid: str, part: Part) -> StackRow:
    if isinstance(part, Refusal):
        return StackRow(part.stack_id, uid, len(part.slices), "", "", f"{part.reason}: {part.sentence}")
    return StackRow(part.stack_id, uid, len(part.slices), part.split_by, describe(part), "")


def describe(stack: Stack | Projection) -> str:
    """Geometry in words, the units of the values (0054,1001), and whether compression lost something."""
    units = [f"values in {unit}" for unit in consensus(stack.slices, "Units") if unit]
    lossy = ["lossy compressed"] if stack.lossy else []
    words = _of_radiograph(stack) if isinstance(stack, Projection) else [_of_grid(stack.grid), *stack.remarks]
    return "; ".join((words[0], *units, *lossy, *words[1:]))


def _of_grid(grid: Grid) -> str:
    size = " x ".join(str(count) for count in grid.shape)
    spacing = " x ".join(f"{step:.4g}" for step in grid.voxel_size_mm)
    return f"{plane_name(grid)}, {size} voxels of {spacing} mm"


def _of_radiograph(image: Projection) -> list[str]:
    words = [f"radiograph, {image.facts.rows} x {image.facts.columns} pixels"]
    if image.scale:
        spacing = image.scale.spacing
        words[0] += f" of {spacing.between_rows_mm:.4g} x {spacing.between_columns_mm:.4g} mm ({image.scale.source})"
    else:
        words.append("it does not say how large a pixel is")
    view = image.facts.view
    words.extend(filter(None, (view and f"view {view}", image.laterality and f"side {image.laterality}")))
    return words
