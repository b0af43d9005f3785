"""The whole line in one go: a node, an archive, a study over real C-STORE, and what came back."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from rich.console import Console
from rich.markup import escape

from models.phantom import Phantom, abdomen
from models.registry import find
from service.commands.archive import AE_TITLE, Archive, free_port, standing_in
from service.commands.results import show
from service.core.errors import Broken, IsocenterError, TryAgain
from service.core.jobs import State
from service.derived.encoding import encode
from service.derived.synthetic import ct_series
from service.edge.ledger import Ledger, opened
from service.edge.part10 import is_dicom
from service.edge.spool import Spool
from service.edge.storage_scu import Remote, echo, store
from service.edge.tables import jobs, stacks
from service.settings import Settings, load

SEED = 30007  # one that the model was not trained on
SHAPE, SPACING_MM = (72, 128, 128), (3.0, 3.0, 3.0)
_CALLING = "DEMO"
_MARK = ".isocenter-demo"
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
    output = Path(sys.argv[1]).resolve()
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
    port = free_port()
    with standing_in(work / "archive", node_port=port) as archive:
        settings = _configure(work / "config", archive, port)
        with _node(settings, work / "node.log"):
            console.print(f"node up on port {settings.node.receiving.port}, results go to {archive.name}")
            _send(settings, study)
            _follow(settings)
        return show(console, settings, archive, study.truth, output)


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


def _configure(folder: Path, archive: Archive, port: int) -> Settings:
    """A configuration for this demo alone: any image goes to every model whose intake takes it."""
    folder.mkdir(parents=True)
    peers = [{"ae_title": title, "host": "127.0.0.1"} for title in (_CALLING, AE_TITLE)]
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
        "node.yaml": {"receiving": {"port": port, "peers": peers, "refuse_below_free": 0.01}},
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


if __name__ == "__main__":
    main()
