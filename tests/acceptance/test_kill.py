"""kill -9 of each role at each stage: nothing acknowledged is lost, each job ends once, each result arrives once."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from service.commands.archive import Orthanc
from service.core.errors import TryAgain
from service.derived.encoding import encode
from service.edge.ledger import opened
from service.edge.storage_scu import store
from service.edge.tables import events, jobs
from service.settings import Settings
from tests import factories
from tests.node import ROLES, Node, all_ended, answers, configure, rule, running, until

GRID = factories.grid(shape=(60, 32, 32), spacing_mm=(3.0, 3.0, 3.0))
RULES = [rule("tiny", modality="CT")]


@dataclass(frozen=True, slots=True)
class Moment:
    """When to kill whom: after the n-th event of a kind, or while instances arrive."""

    role: str
    event: str
    after: str


MOMENTS = {
    "receiver, while instances arrive": Moment("receiver", "", ""),
    "dispatcher, when the Series is closed": Moment("dispatcher", "CLOSE", ""),
    "dispatcher, when the job is queued": Moment("dispatcher", "QUEUE", ""),
    "worker, while the model runs": Moment("worker", "START", "INFERRING"),
    "worker, when findings are there": Moment("worker", "DONE", "INFERRED"),
    "worker, while it reports": Moment("worker", "START", "REPORTING"),
    "dispatcher, while it delivers": Moment("dispatcher", "DONE", "REPORTED"),
}
SELDOM = (  # half a minute each
    "worker, when findings are there",
    "worker, while it reports",
    "dispatcher, when the Series is closed",
    "dispatcher, when the job is queued",
)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, pacs: Orthanc, packages_folder: Path) -> Iterator[Node]:
    with running(settings_in(tmp_path_factory.mktemp("node"), pacs, packages_folder)) as node:
        yield node


def settings_in(folder: Path, pacs: Orthanc, packages_folder: Path) -> Settings:
    return configure(folder, pacs.port, RULES, inferring={"packages": [str(packages_folder)]})


@pytest.fixture
def series(request: pytest.FixtureRequest, tmp_path: Path) -> list[Path]:
    """A study of its own for each moment, as files."""
    paths = []
    for number, image in enumerate(factories.ct_series(GRID, seed=str(request.node.name))):
        paths.append(tmp_path / f"{number:03d}.dcm")
        paths[-1].write_bytes(encode(image))
    return paths


def send_until_all_are_acknowledged(node: Node, files: list[Path]) -> None:
    """What a modality does: what was not acknowledged is sent again."""
    left = list(files)

    def everything_is_acknowledged() -> bool:
        try:
            for path, status in store(node.remote, left):
                if status == 0x0000:
                    left.remove(path)
        except TryAgain:
            return False
        return not left

    until(everything_is_acknowledged, "every instance is acknowledged", seconds=90)


def killer(node: Node, moment: Moment, known: int) -> Callable[[], None]:
    """Waits for the moment, then kills."""
    incoming = node.settings.spool / "incoming"
    here = len(list(incoming.iterdir()))

    def wait_and_kill() -> None:
        if not moment.event:
            until(lambda: len(list(incoming.iterdir())) >= here + 3, "instances arrive", seconds=30, pause=0.001)
        else:
            until(lambda: _happened(node, moment, known), f"{moment.event} {moment.after}")
        node.kill(moment.role)

    return wait_and_kill


def _happened(node: Node, moment: Moment, known: int) -> bool:
    with opened(node.settings.ledger_url) as ledger:
        rows = ledger.rows(events)[known:]
    return any((row["event"], row["after"]) == (moment.event, moment.after) for row in rows)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.exhaustive] if name in SELDOM else []) for name in MOMENTS]
)
def test_a_killed_role_loses_nothing_and_repeats_nothing(
    name: str, node: Node, pacs: Orthanc, series: list[Path]
) -> None:
    moment = MOMENTS[name]
    until(lambda: answers(node.remote) and all(node.pids(role) for role in ROLES), "all roles run")
    with opened(node.settings.ledger_url) as ledger:
        known = len(ledger.rows(events))
    pids = set(node.pids(moment.role))
    assassin = threading.Thread(target=killer(node, moment, known))
    assassin.start()
    send_until_all_are_acknowledged(node, series)
    assassin.join()
    assert pids.isdisjoint(node.pids(moment.role))
    until(lambda: _is_done(node, series), "the job has ended", seconds=180)
    _assert_complete(node, pacs, series)


def _is_done(node: Node, series: list[Path]) -> bool:
    """True when a job on all of the Series has ended; a slow machine may have begun one on a part of it before."""
    states = [job["state"] for job in _jobs_on(node, series)]
    return "DELIVERED" in states and all(state in {"DELIVERED", "DECLINED", "FAILED"} for state in states)


def _jobs_on(node: Node, series: list[Path]) -> list[dict[str, Any]]:
    return [job for job in node.jobs() if job["series_instance_uid"] in _series_uid(series)]


def _assert_complete(node: Node, pacs: Orthanc, series: list[Path]) -> None:
    *superseded, job = sorted(_jobs_on(node, series), key=lambda job: str(job["state"]) == "DELIVERED")
    assert job["state"] == "DELIVERED"
    assert all(each["reason"] == "a later arrival changed the stack: a new job has it" for each in superseded)
    kept = {path.name.split("_")[1].removesuffix(".dcm") for path in (node.settings.spool / "incoming").iterdir()}
    assert {str(header.SOPInstanceUID) for header in _headers(series)} <= kept
    sent = sorted(path.stem for path in (node.settings.spool / "outbox" / job["job_id"]).glob("*.dcm"))
    held = [dataset for dataset in pacs.datasets() if dataset.StudyInstanceUID == _headers(series)[0].StudyInstanceUID]
    assert sorted(str(dataset.SOPInstanceUID) for dataset in held) == sent
    assert sorted(str(dataset.Modality) for dataset in held) == ["SEG", "SR"]
    assert not list((node.settings.spool / "held").iterdir())


def _headers(series: list[Path]) -> list[Dataset]:
    return [dcmread(path, stop_before_pixels=True) for path in series]


def _series_uid(series: list[Path]) -> set[str]:
    return {str(header.SeriesInstanceUID) for header in _headers(series)}


def bring_to_the_model(node: Node, series: list[Path]) -> None:
    send_until_all_are_acknowledged(node, series)
    until(lambda: [job["state"] for job in node.jobs()] == ["INFERRING"], "the model runs")


def assert_a_new_node_completes(settings: Settings, pacs: Orthanc, series: list[Path]) -> None:
    with running(settings) as node:
        until(lambda: all_ended(node, 1), "the job has ended", seconds=180)
        _assert_complete(node, pacs, series)


@pytest.mark.exhaustive  # a minute
def test_a_killed_node_goes_on_where_it_was(
    tmp_path: Path, pacs: Orthanc, series: list[Path], packages_folder: Path
) -> None:
    settings = settings_in(tmp_path / "config", pacs, packages_folder)
    with running(settings) as first:
        bring_to_the_model(first, series)
        orphans = [pid for role in ROLES for pid in first.pids(role)]
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in orphans), "its roles have ended by themselves")
    assert_a_new_node_completes(settings, pacs, series)


@pytest.mark.exhaustive  # a minute
def test_a_stopped_node_leaves_no_work_in_the_air(
    tmp_path: Path, pacs: Orthanc, series: list[Path], packages_folder: Path
) -> None:
    settings = settings_in(tmp_path / "config", pacs, packages_folder)
    with running(settings) as first:
        bring_to_the_model(first, series)
        began = time.monotonic()
        first.process.terminate()
        assert first.process.wait(30) == 0
        assert time.monotonic() - began < 25
    with opened(settings.ledger_url) as ledger:
        assert set(ledger.counts(jobs)) <= {"QUEUED", "INFERRED", "REPORTED", "DELIVERED"}
    assert_a_new_node_completes(settings, pacs, series)
