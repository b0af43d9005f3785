"""Stage 2: a Series that is whole becomes stacks, each a volume or a named reason why not."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import chain

import structlog

from service.core.completeness import Arrival, Evidence, Patience, evidence
from service.core.entities import Instance, Reason, Refusal, Stack, StackRecord, consensus, whole
from service.core.errors import Broken, TryAgain, whereabouts
from service.core.geometry import FEWEST_SLICES, plane_name
from service.core.identity import instance_set
from service.core.stacking import Part, split
from service.edge.ledger import Ledger, SeriesRow, StackRow
from service.edge.part10 import read_instance
from service.edge.records import keep_stack
from service.edge.spool import InstanceName, Spool

_MAY_STILL_FILL = {Reason.HOLE, Reason.IRREGULAR_SPACING, Reason.TOO_FEW_SLICES}


def _may_still_fill(part: Part) -> bool:
    """True when slices may be missing, as far as positions tell."""
    return len(part.slices) < FEWEST_SLICES if isinstance(part, Stack) else part.reason in _MAY_STILL_FILL


class ArrivingSeries:
    """The instances of one Series that is not closed as it now stands."""

    def __init__(self) -> None:
        self.names: set[InstanceName] = set()
        self.instances: dict[str, Instance] = {}
        self.last_at = datetime.min.replace(tzinfo=UTC)
        self.unreadable: set[str] = set()
        self._parts: tuple[Part, ...] = ()

    def add(self, name: InstanceName, instance: Instance, arrived_at: datetime) -> None:
        """One more instance."""
        self.names.add(name)
        self.instances[name.sop_instance_uid] = instance
        self.last_at = max(self.last_at, arrived_at)
        self._parts = ()

    def parts(self) -> tuple[Part, ...]:
        """The stacks and refusals of what is here, worked out once per arrival."""
        instances = tuple(self.instances.values())
        if self.unreadable:
            sentence = f"{len(self.unreadable)} more cannot be read and lie in held/: send them again"
            return (_refused(instances, Reason.UNREADABLE, sentence),)
        self._parts = self._parts or _split(instances)
        return self._parts


class Assembler:
    """Watches incoming/ and closes every Series that is whole. Its memory is a cache of what lies there."""

    def __init__(self, spool: Spool, ledger: Ledger, patience: Patience) -> None:
        self._spool = spool
        self._ledger = ledger
        self._patience = patience
        self._closed: dict[str, str] = {}
        self._seen_at = 0
        self._look_again = True
        self._arriving: dict[str, ArrivingSeries] = defaultdict(ArrivingSeries)
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
            self._arriving.pop(uid, None)
            return True
        return self._read(self._arriving[uid], names)

    def _is_closed(self, uid: str, names: set[InstanceName]) -> bool:
        return self._closed.get(uid) == instance_set(name.sop_instance_uid for name in names)

    def _read(self, series: ArrivingSeries, names: Iterable[InstanceName]) -> bool:
        """False when an instance could not be read just now."""
        complete = True
        for name in sorted(set(names) - series.names):
            try:
                series.add(name, read_instance(self._spool.incoming(name)), self._spool.arrived_at(name))
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
        found = evidence(self._arrival(series), now, self._patience)
        if found is None:
            return
        for part in series.parts():
            if isinstance(part, Stack):
                keep_stack(self._spool, record_of(part, series.last_at))
        rows = [_stack_row(uid, part) for part in series.parts()]
        self._ledger.close_series(_series_row(uid, series, found), rows, now)
        self._closed[uid] = instance_set(series.instances)
        self._log.info("series closed", series=uid, instances=len(series.instances), evidence=found, parts=len(rows))
        del self._arriving[uid]

    def _arrival(self, series: ArrivingSeries) -> Arrival:
        associations = {instance.association for instance in series.instances.values()}
        released = all(association and self._spool.was_released(association) for association in associations)
        gapless = released and not any(map(_may_still_fill, series.parts()))
        return Arrival(series.last_at, released, gapless)


def _split(instances: tuple[Instance, ...]) -> tuple[Part, ...]:
    try:
        return split(instances)
    except Exception as error:  # one Series that we cannot take apart must not hold up the others
        sentence = f"an error of this node, to be reported: {whereabouts(error)}"
        return (_refused(instances, Reason.ASSEMBLING_FAILED, sentence),)


def _refused(instances: Iterable[Instance], reason: Reason, sentence: str) -> Refusal:
    return Refusal(tuple(chain.from_iterable(map(whole, instances))), reason, sentence)


def _by_series(names: Iterable[InstanceName]) -> dict[str, set[InstanceName]]:
    by_series: dict[str, set[InstanceName]] = defaultdict(set)
    for name in names:
        by_series[name.series_instance_uid].add(name)
    return by_series


def record_of(stack: Stack, received_at: datetime) -> StackRecord:
    """A stack as it is left in the spool."""
    first = stack.instances[0]
    return StackRecord(
        stack_id=stack.stack_id,
        series_instance_uid=first.series_instance_uid,
        study_instance_uid=first.study_instance_uid,
        frames=tuple(each.reference for each in stack.slices),
        grid=stack.grid,
        split_by=stack.split_by,
        modality=first.value("Modality"),
        phantom=all(instance.phantom for instance in stack.instances),
        lossy=stack.lossy,
        received_at=received_at,
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
    )


def _stack_row(uid: str, part: Part) -> StackRow:
    if isinstance(part, Stack):
        return StackRow(part.stack_id, uid, len(part.slices), part.split_by, describe(part), "")
    return StackRow(part.stack_id, uid, len(part.slices), "", "", f"{part.reason}: {part.sentence}")


def describe(stack: Stack) -> str:
    """A stack's geometry in words, the units of its values (0054,1001), and whether compression lost something."""
    size = " x ".join(str(count) for count in stack.grid.shape)
    spacing = " x ".join(f"{step:.4g}" for step in stack.grid.voxel_size_mm)
    units = [f"values in {unit}" for unit in consensus(stack.slices, "Units") if unit]
    lossy = ["lossy compressed"] if stack.lossy else []
    return "; ".join((f"{plane_name(stack.grid)}, {size} voxels of {spacing} mm", *units, *lossy, *stack.remarks))
