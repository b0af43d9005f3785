"""A model that hangs, crashes or raises ends its job's step, and nothing else."""

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.core.errors import Broken, TryAgain, Unsuitable
from service.core.jobs import MOST_ATTEMPTS, Job, State
from service.edge.ledger import Ledger, SeriesRow, StackRow, opened
from service.edge.spool import Spool
from service.edge.tables import jobs
from service.roles.worker import Step, Worker, children

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def hangs(job: Job) -> None:
    del job
    time.sleep(60)


def crashes(job: Job) -> None:
    del job
    os._exit(11)


def declines(job: Job) -> None:
    raise Unsuitable(f"{job.model} is not for a knee")


def fails(job: Job) -> None:
    raise Broken(f"{job.model} has no weights")


def errs(job: Job) -> None:
    raise ZeroDivisionError(job.model)


def runs_out_of_memory(job: Job) -> None:
    raise MemoryError(job.model)


def finds_the_disk_full(job: Job) -> None:
    del job
    Path("/dev/full").write_text("a byte", encoding="ascii")


def succeeds(job: Job) -> None:
    del job


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with opened(f"sqlite:///{tmp_path / 'ledger.sqlite3'}") as ledger:
        ledger.close_series(
            SeriesRow("1.2.3", "1.2", "CT", "", 3, "set", NOW, "evidence"),
            [StackRow("s", "1.2.3", 3, "", "axial", "")],
            NOW,
        )
        ledger.decide("s", "runs", [_job("first", NOW), _job("second", NOW + timedelta(seconds=1))])
        yield ledger


def _job(job_id: str, created_at: datetime) -> Job:
    return Job(job_id, "s", "1.2.3", "1.2", "liver", "1.0.0", "rule", ("pacs",), State.QUEUED, 0, created_at)


def turn(ledger: Ledger, spool: Path, stage: Callable[[Job], None], deadline_seconds: float = 30.0) -> dict[str, str]:
    """One step of the first job, then one that succeeds of the second; job -> state and reason."""
    with children() as pool:
        for each in (stage, succeeds):
            step = Step(State.QUEUED, each, deadline_seconds)
            assert Worker(ledger, Spool(spool), [step], pool, lambda: True).turn()
    return {row["job_id"]: f"{row['state']}: {row['reason']}" for row in ledger.rows(jobs)}


@pytest.mark.parametrize(
    ("stage", "ending"),
    [
        pytest.param(hangs, "QUEUED: the step took longer than 2 s and was ended", id="hang"),
        pytest.param(crashes, "QUEUED: the model's process died (exit code 11)", id="crash"),
        pytest.param(runs_out_of_memory, "QUEUED: MemoryError at ", id="out of memory"),
        pytest.param(finds_the_disk_full, "QUEUED: OSError ENOSPC at ", id="full disk"),
        pytest.param(declines, "DECLINED: liver is not for a knee", id="not for this model"),
        pytest.param(fails, "FAILED: liver has no weights", id="broken"),
        pytest.param(errs, "FAILED: ZeroDivisionError at ", id="unknown error: its place, and not its words"),
    ],
)
def test_a_bad_step_ends_as_it_should_and_the_next_job_is_done(
    ledger: Ledger, tmp_path: Path, stage: Callable[[Job], None], ending: str
) -> None:
    ended = turn(ledger, tmp_path, stage, deadline_seconds=2.0 if stage is hangs else 30.0)
    assert ended["first"].startswith(ending)

    assert ended["second"] == "INFERRED: "


def test_a_step_that_always_crashes_is_given_up_and_shown(ledger: Ledger, tmp_path: Path) -> None:
    job = ledger.claim(State.QUEUED, "w", NOW, NOW)
    assert job is not None
    ledger.retry(job, "w", NOW, NOW, "crash", counts=True)
    job = ledger.claim(State.QUEUED, "w", NOW, NOW)
    assert job is not None
    ledger.retry(job, "w", NOW, NOW, "crash", counts=True)
    assert turn(ledger, tmp_path, crashes)["first"] == "FAILED: the model's process died (exit code 11)"


def test_a_full_disk_is_waited_for_however_long_it_takes(ledger: Ledger, tmp_path: Path) -> None:
    for _ in range(MOST_ATTEMPTS - 1):
        job = ledger.claim(State.QUEUED, "w", NOW, NOW)
        assert job is not None
        ledger.retry(job, "w", NOW, NOW, "crash", counts=True)
    assert turn(ledger, tmp_path, finds_the_disk_full)["first"].startswith("QUEUED: OSError ENOSPC at ")


def test_a_worker_that_is_stopped_gives_its_job_back_uncounted(ledger: Ledger, tmp_path: Path) -> None:
    with children() as pool:
        Worker(ledger, Spool(tmp_path), [Step(State.QUEUED, hangs, 60.0)], pool, lambda: False).turn()
    again = ledger.claim(State.QUEUED, "other", datetime.now(UTC), datetime.now(UTC))
    assert again is not None
    assert again.attempts == 0


def test_a_worker_without_work_says_so(tmp_path: Path, ledger: Ledger) -> None:
    with children() as pool:
        assert not Worker(ledger, Spool(tmp_path), [Step(State.INFERRED, succeeds, 1.0)], pool, lambda: True).turn()


def test_try_again_of_a_stage_is_a_retry(ledger: Ledger, tmp_path: Path) -> None:
    assert turn(ledger, tmp_path, disk_is_full)["first"] == "QUEUED: the disk is full"


def disk_is_full(job: Job) -> None:
    raise TryAgain("the disk is full")
