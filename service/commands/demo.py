"""The whole line in one go: a node, an archive, a study over real C-STORE, and what came back."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import yaml
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from models.findings import Findings
from models.phantom import Phantom, abdomen
from models.registry import find
from models.volume import LabelMap
from service.commands.archive import AE_TITLE, Archive, free_port, standing_in
from service.core.errors import Broken, IsocenterError, TryAgain
from service.core.jobs import State
from service.derived.encoding import encode
from service.derived.frames import frames
from service.derived.picture import Window, png, sheet, window_of
from service.derived.synthetic import ct_series
from service.edge.ledger import Ledger, opened
from service.edge.part10 import is_dicom
from service.edge.pixels import read_volume
from service.edge.records import read_findings, read_stack, stack_paths
from service.edge.spool import Spool
from service.edge.storage_scu import Remote, echo, store
from service.edge.tables import jobs, series, stacks
from service.settings import Settings, load

SEED = 7
SHAPE, SPACING_MM = (72, 128, 128), (3.0, 3.0, 3.0)
_CALLING = "DEMO"
_MARK = ".isocenter-demo"
_WINDOW = {"CT": Window(-160.0, 240.0)}
_START_SECONDS, _WORK_SECONDS, _STOP_SECONDS = 60.0, 600.0, 30.0
_ENDED = {State.DELIVERED, State.DECLINED, State.FAILED}

console = Console(width=None if sys.stdout.isatty() else 140)


@dataclass(frozen=True, slots=True)
class Study:
    """What is sent: files, and the truth about them where it is known."""

    files: tuple[Path, ...]
    truth: Phantom | None


def main() -> None:
    """`python -m service.commands.demo <output folder> [<DICOM folder>]`; exit code 1 when nothing was delivered."""
    output = Path(sys.argv[1]).absolute()
    try:
        _clear(output / "node")
        delivered = run(output, Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    except IsocenterError as error:
        console.print(f"[red]{error}[/red]")
        sys.exit(1)
    sys.exit(0 if delivered else 1)


def _clear(work: Path) -> None:
    """Remove what an earlier demo left; never a folder that no demo made."""
    if work.exists() and not (work / _MARK).exists():
        raise Broken(f"{work} was not made by a demo: name another folder with --output")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    (work / _MARK).touch()


def run(output: Path, images: Path | None) -> bool:
    """Send a study through a node of its own; True when a job's results reached the archive."""
    work = output / "node"
    study = _own_study(images) if images else _synthetic_study(work / "sent")
    with standing_in(work / "archive") as archive:
        settings = _configure(work / "config", archive)
        with _node(settings, work / "node.log"):
            console.print(f"node up on port {settings.node.receiving.port}, results go to {archive.name}")
            _send(settings, study)
            _follow(settings)
        return _show(settings, archive, study, output)


def _own_study(images: Path) -> Study:
    files = tuple(path for path in sorted(images.rglob("*")) if path.is_file() and is_dicom(path))
    if not files:
        raise Broken(f"there is no DICOM file in {images}")
    return Study(files, None)


def _synthetic_study(folder: Path) -> Study:
    console.print("making a synthetic abdomen")
    truth = abdomen(SEED, SHAPE, SPACING_MM)
    folder.mkdir(parents=True)
    files = []
    for image in ct_series(truth.volume):
        files.append(folder / f"{image.InstanceNumber:04d}.dcm")
        files[-1].write_bytes(encode(image))
    return Study(tuple(files), truth)


def _configure(folder: Path, archive: Archive) -> Settings:
    """A configuration for this demo alone: any image goes to every model whose intake takes it."""
    folder.mkdir(parents=True)
    peers = [{"ae_title": _CALLING, "host": "127.0.0.1"}]
    rules = [
        {
            "name": name,
            "model": name,
            "destinations": ["archive"],
            "when": {"modality": list(package.manifest.intake.modalities)},
        }
        for name, package in find().items()
    ]
    written: Mapping[str, object] = {
        "node.yaml": {"receiving": {"port": free_port(), "peers": peers, "refuse_below_free": 0.01}},
        "destinations.yaml": {
            "destinations": [{"name": "archive", "ae_title": AE_TITLE, "host": "127.0.0.1", "port": archive.port}]
        },
        "rules.yaml": {"rules": rules},
    }
    for name, content in written.items():
        (folder / name).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return load(folder)


@contextmanager
def _node(settings: Settings, log: Path) -> Iterator[None]:
    """The node as a user starts it, stopped by SIGTERM at the end."""
    command = [sys.executable, "-m", "service", "serve", "--config", str(settings.folder)]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=os.environ)
    try:
        _await_node(settings, log)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_node(settings: Settings, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            return echo(_remote(settings))
        except TryAgain:
            time.sleep(0.2)
    raise Broken(f"the node did not start: see {log}")


def _remote(settings: Settings) -> Remote:
    receiving = settings.node.receiving
    return Remote(_CALLING, receiving.ae_title, "127.0.0.1", receiving.port)


def _send(settings: Settings, study: Study) -> None:
    began = time.monotonic()
    answers = [status for _, status in store(_remote(settings), study.files)]
    kept = answers.count(0x0000)
    console.print(f"{kept} of {len(answers)} instances sent and kept in {time.monotonic() - began:.1f} s")
    if not kept:
        raise Broken("the node kept nothing")


def _follow(settings: Settings) -> None:
    """Print every change as it happens, until every Series is routed and every job has ended."""
    deadline = time.monotonic() + _WORK_SECONDS
    told = 0  # the last event
    with opened(settings.ledger_url) as ledger:
        while time.monotonic() < deadline:
            for event in ledger.events_after(told):
                console.print(_sentence(event))
                told = event["event_id"]
            if _is_over(ledger, Spool(settings.spool)):
                return
            time.sleep(0.3)
    raise Broken(f"not everything ended within {_WORK_SECONDS:g} s")


def _sentence(event: Mapping[str, object]) -> str:
    subject = str(event["subject"]).rsplit("/", 1)
    where = f" to {subject[1]}" if len(subject) > 1 else ""
    after = f" -> {event['after']}" if event["after"] else ""
    reason = escape(str(event["reason"]))
    return f"  {event['at']:%H:%M:%S}  {subject[0][:12]}  {event['event']}{where}{after}  [dim]{reason}[/dim]"


def _is_over(ledger: Ledger, spool: Spool) -> bool:
    arrived = {name.series_instance_uid for name in spool.arrivals()}
    routed = all(row["decision"] or row["reason"] for row in ledger.rows(stacks))
    return (
        arrived <= set(ledger.closed_series()) and routed and all(row["state"] in _ENDED for row in ledger.rows(jobs))
    )


def _show(settings: Settings, archive: Archive, study: Study, output: Path) -> bool:
    """The tables and pictures; True when a job was delivered."""
    spool = Spool(settings.spool)
    with opened(settings.ledger_url) as ledger:
        console.print(_series_table(ledger))
        done = [row for row in ledger.rows(jobs) if row["state"] == State.DELIVERED]
        for row in done:
            findings = read_findings(spool, row["job_id"])
            console.print(_job_table(ledger, row, findings, _returned(archive, findings, spool, row), study.truth))
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
        outcome = row["decision"] or f"not analysed: {row['reason']}"
        cells = (f"...{uid[-12:]}", described[uid], str(row["instances"]), row["geometry"] or "none", outcome)
        table.add_row(*map(escape, cells))
    return table


def _job_table(
    ledger: Ledger, row: Mapping[str, object], findings: Findings, returned: LabelMap, truth: Phantom | None
) -> Table:
    seconds = ", ".join(f"{stage} {value:.1f} s" for stage, value in _stage_seconds(ledger, str(row["job_id"])).items())
    table = Table(title=f"job {str(row['job_id'])[:12]}: {row['model']} {row['version']} ({seconds})")
    for heading in ("structure", "found", "truth", "Dice"):
        table.add_column(heading, justify="left" if heading == "structure" else "right")
    for volume in findings.volumes:
        label = volume.label.value
        cells = [volume.label.name, f"{returned.volume_ml(label):.1f} ml", "not known", ""]
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
            return _label_map(dataset, findings, stack.sop_instance_uids)
    return LabelMap(stack.grid, np.zeros(stack.grid.shape, dtype=np.uint8))


def _series_of(segmentation: Dataset) -> str:
    return str(segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID)


def _label_map(segmentation: Dataset, findings: Findings, sources: Sequence[str]) -> LabelMap:
    labels = np.zeros(findings.label_map.grid.shape, dtype=np.uint8)
    value_of = dict(enumerate((v.label.value for v in findings.volumes if v.voxels), start=1))
    for frame in frames(segmentation):
        labels[sources.index(frame.source_uid)][frame.pixels] = value_of[frame.segment_number]
    return LabelMap(findings.label_map.grid, labels)


def _dice(found: LabelMap, truth: LabelMap, label: int) -> float:
    ours, theirs = found.labels == label, truth.labels == label
    both, total = int((ours & theirs).sum()), int(ours.sum() + theirs.sum())
    return 2 * both / total if total else 1.0


def _picture(spool: Spool, stack_id: str, findings: Findings) -> bytes:
    stack = read_stack(spool, stack_id)
    volume = read_volume(stack_paths(spool, stack), stack.grid)
    return png(sheet(volume, findings, _WINDOW.get(stack.modality, window_of(volume))))


if __name__ == "__main__":
    main()
