"""What came back from a demo: what became of each Series, volumes and Dice against the truth, and a picture."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from models.findings import Findings
from models.phantom import Phantom
from models.sections import Label
from models.uneven import spread
from service.commands.archive import Archive
from service.commands.render import render
from service.core.entities import FrameReference
from service.core.jobs import State
from service.derived.frames import frames
from service.edge.ledger import Ledger, opened
from service.edge.records import read_findings, read_stack
from service.edge.spool import Spool
from service.edge.tables import jobs, series, stacks
from service.settings import Settings

Mask = NDArray[np.bool_]  # (slice, row, column)
Labels = NDArray[np.uint8]
Drawn = dict[Label, Mask]


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
            console.print(volume_table(findings, _returned(archive, findings, spool, row), truth))
            for picture in render(spool.root, ledger.job(row["job_id"]), output):
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


def volume_table(findings: Findings, returned: Drawn, truth: Phantom | None) -> Table:
    """One row for each structure, with what it includes; its lesions together, and how many they are."""
    table = Table()
    for heading in ("structure", "found", "truth", "Dice"):
        table.add_column(heading, justify="left" if heading == "structure" else "right")
    voxel_ml = findings.grid.voxel_volume_ml
    for label, drawn in returned.items():
        cells = [_row_name(findings, label), f"{np.count_nonzero(drawn) * voxel_ml:.1f} ml", "not known", ""]
        if truth:
            real = np.isin(truth.label_map.labels, (label.value, *label.includes))
            cells[2:] = [f"{np.count_nonzero(real) * voxel_ml:.1f} ml", f"{_dice(drawn, real):.3f}"]
        table.add_row(*cells)
    return table


def _row_name(findings: Findings, label: Label) -> str:
    lesions = sum(region.label == label for region in findings.found)
    return f"{label.name} ({lesions})" if label.lesions and lesions else label.name


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


def _returned(archive: Archive, findings: Findings, spool: Spool, row: Mapping[str, object]) -> Drawn:
    """The voxels of each structure as the archive's Segmentations say it."""
    stack = read_stack(spool, str(row["stack_id"]))
    planes = {
        region.label: np.zeros((len(stack.frames), *findings.grid.shape[1:]), dtype=np.uint8)
        for region in findings.regions
    }
    for dataset in archive.datasets():
        if dataset.SOPClassUID == SegmentationStorage and _series_of(dataset) == stack.series_instance_uid:
            draw(dataset, findings, stack.frames, planes)
    slices = findings.grid.shape[0]
    return {label: spread(drawn, findings.places, slices) > 0 for label, drawn in planes.items()}


def _series_of(segmentation: Dataset) -> str:
    return str(segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID)


def draw(
    segmentation: Dataset, findings: Findings, sources: Sequence[FrameReference], planes: Mapping[Label, Labels]
) -> None:
    """Add the segments to the source planes of their structures, (plane, row, column).

    Frames on other images are those of another stack of the Series; segment 0 is the background of a LABELMAP.
    """
    label_of = dict(enumerate((region.label for region in findings.found), start=1))
    place_of = {source: place for place, source in enumerate(sources)}
    for frame in frames(segmentation):
        if frame.segment_number in label_of and frame.source in place_of:
            planes[label_of[frame.segment_number]][place_of[frame.source]][frame.pixels] = 1


def _dice(found: Mask, truth: Mask) -> float:
    both, total = np.count_nonzero(found & truth), np.count_nonzero(found) + np.count_nonzero(truth)
    return 2 * both / total if total else 1.0
