"""What came back from a demo: what became of each Series, volumes and Dice against the truth, and a picture."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from models.findings import Findings
from models.phantom import Phantom
from models.uneven import spread
from models.volume import LabelMap
from service.commands.archive import Archive
from service.core.entities import FrameReference
from service.core.jobs import State
from service.derived.frames import frames
from service.derived.picture import Window, png, sheet, window_of
from service.edge.ledger import Ledger, opened
from service.edge.pixels import read_volume
from service.edge.records import read_findings, read_stack, stack_frames
from service.edge.spool import Spool
from service.edge.tables import jobs, series, stacks
from service.settings import Settings

_WINDOW = {"CT": Window(-160.0, 240.0)}


def show(console: Console, settings: Settings, archive: Archive, truth: Phantom | None, output: Path) -> bool:
    """The tables and pictures; True when a job was delivered."""
    spool = Spool(settings.spool)
    with opened(settings.ledger_url) as ledger:
        console.print(_series_table(ledger))
        done = [row for row in ledger.rows(jobs) if row["state"] == State.DELIVERED and not row["notice"]]
        for row in done:
            findings = read_findings(spool, row["job_id"])
            stages = _stage_seconds(ledger, row["job_id"]).items()
            seconds = ", ".join(f"{stage} {value:.1f} s" for stage, value in stages)
            console.print(f"job {row['job_id'][:12]}, {row['model']} {row['version']}: {seconds}")
            console.print(_volume_table(findings, _returned(archive, findings, spool, row), truth))
            picture = output / f"{row['model']}_{row['job_id'][:8]}.png"
            picture.write_bytes(_picture(spool, row["stack_id"], findings))
            console.print(f"overlay: {picture}")
    console.print(f"log: {output / 'node' / 'node.log'}")
    return bool(done)


def _series_table(ledger: Ledger) -> Table:
    table = Table("series", "description", "instances", "stack", "what became of it", title="Series")
    described = {row["series_instance_uid"]: row["description"] for row in ledger.rows(series)}
    for row in ledger.rows(stacks):
        uid = row["series_instance_uid"]
        outcome = f"not analysed: {row['reason']}" if row["reason"] else row["decision"]
        cells = (f"...{uid[-12:]}", described[uid], str(row["instances"]), row["geometry"] or "none", outcome)
        table.add_row(*map(escape, cells))
    return table


def _volume_table(findings: Findings, returned: LabelMap, truth: Phantom | None) -> Table:
    table = Table()
    for heading in ("structure", "found", "truth", "Dice"):
        table.add_column(heading, justify="left" if heading == "structure" else "right")
    for region in findings.regions:
        label = region.label.value
        cells = [region.name, f"{returned.volume_ml(label):.1f} ml", "not known", ""]
        if truth:
            cells[2:] = [f"{truth.label_map.volume_ml(label):.1f} ml", f"{_dice(returned, truth.label_map, label):.3f}"]
        table.add_row(*cells)
    return table


def _stage_seconds(ledger: Ledger, job_id: str) -> dict[str, float]:
    """From one event of the job to the next, named after what went on meanwhile."""
    names = {"START": "waiting", "DONE": "", "DELIVER": "delivering"}
    seconds: dict[str, float] = {}
    before: datetime | None = None
    for event in (event for event in ledger.events_of(job_id) if event["subject"] == job_id):
        if before and event["event"] in names:
            name = names[event["event"]] or str(event["before"]).lower()
            seconds[name] = seconds.get(name, 0.0) + (event["at"] - before).total_seconds()
        before = event["at"]
    return seconds


def _returned(archive: Archive, findings: Findings, spool: Spool, row: Mapping[str, object]) -> LabelMap:
    """The label map as the archive's Segmentation says it."""
    stack = read_stack(spool, str(row["stack_id"]))
    for dataset in archive.datasets():
        if dataset.SOPClassUID == SegmentationStorage and _series_of(dataset) == stack.series_instance_uid:
            return _label_map(dataset, findings, stack.frames)
    grid = findings.grid
    return LabelMap(grid, np.zeros(grid.shape, dtype=np.uint8))


def _series_of(segmentation: Dataset) -> str:
    return str(segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID)


def _label_map(segmentation: Dataset, findings: Findings, sources: Sequence[FrameReference]) -> LabelMap:
    grid = findings.grid
    labels = np.zeros((len(sources), *grid.shape[1:]), dtype=np.uint8)
    value_of = dict(enumerate((0, *(region.label.value for region in findings.found))))
    for frame in frames(segmentation):
        labels[sources.index(frame.source)][frame.pixels] = value_of[frame.segment_number]
    return LabelMap(grid, spread(labels, findings.places, grid.shape[0]))


def _dice(found: LabelMap, truth: LabelMap, label: int) -> float:
    ours, theirs = found.labels == label, truth.labels == label
    both, total = int((ours & theirs).sum()), int(ours.sum() + theirs.sum())
    return 2 * both / total if total else 1.0


def _picture(spool: Spool, stack_id: str, findings: Findings) -> bytes:
    stack = read_stack(spool, stack_id)
    volume = read_volume(stack_frames(spool, stack), findings.grid, findings.places)
    return png(sheet(volume, findings, _WINDOW.get(stack.modality, window_of(volume))))
