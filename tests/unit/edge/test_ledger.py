"""Decisions that survive, and transitions that only their holder can make."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from service.core.errors import Broken, TryAgain
from service.core.jobs import MOST_LAPSES, Event, Job, State
from service.core.outbox import DeliveryState, Reference, judge
from service.core.priors import MeasuredVolume, Prior, Result, Subject
from service.core.proof import found
from service.core.refusals import Notice, SayWhyNot
from service.edge.ledger import Ledger, SeriesRow, StackRow, opened
from service.edge.questions import EndedSeries
from service.edge.tables import deliveries, events, jobs, metadata, stacks

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SOON = NOW + timedelta(seconds=30)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ledger.sqlite3'}"


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    with opened(url) as ledger:
        yield ledger


def series_row(instance_set: str = "set", uid: str = "1.2.3") -> SeriesRow:
    return SeriesRow(uid, "1.2", "CT", "abdomen", 10, instance_set, NOW, "evidence")


def stack_row(stack_id: str = "stack", uid: str = "1.2.3", reason: str = "") -> StackRow:
    return StackRow(stack_id, uid, 10, "", "" if reason else "axial", reason)


def a_job(job_id: str = "job", stack_id: str = "stack", destinations: tuple[str, ...] = ("pacs",)) -> Job:
    return Job(job_id, stack_id, "1.2.3", "1.2", "liver", "1.0.0", "rule", destinations, State.QUEUED, 0, NOW)


NOTICE = Notice("Liver", "hole: a slice is missing", "send it again", SayWhyNot.BOTH)


def a_notice() -> Job:
    return replace(a_job(), state=State.INFERRED, notice=NOTICE)


def queue(ledger: Ledger, job: Job) -> None:
    ledger.close_series(series_row(), [stack_row(job.stack_id)], NOW)
    ledger.decide(job.stack_id, "rule: runs liver", [job])


def reference(sop_instance_uid: str) -> Reference:
    return Reference("1.2.840.10008.5.1.4.1.1.66.4", sop_instance_uid, "1.2", "1.2.4")


def start(ledger: Ledger, worker: str = "w", state: State = State.QUEUED) -> Job:
    job = ledger.claim(state, worker, NOW, SOON)
    assert job is not None
    return job


def state_of(ledger: Ledger) -> str:
    (row,) = ledger.rows(jobs)
    return str(row["state"])


def reported(ledger: Ledger, job: Job, *uids: str) -> None:
    queue(ledger, job)
    ledger.settle(start(ledger), "w", Event.DONE, NOW)
    objects = [reference(uid) for uid in uids]
    ledger.report(start(ledger, state=State.INFERRED), "w", dict.fromkeys(job.destinations, objects), NOW)


def test_the_migrations_make_exactly_the_tables_that_the_code_uses(ledger: Ledger, url: str) -> None:
    del ledger
    with create_engine(url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_ledger_survives_a_power_cut_by_its_settings(ledger: Ledger, tmp_path: Path) -> None:
    assert ledger.rows(jobs) == []
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    with ledger._engine.begin() as ours:
        assert ours.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_a_job_is_queued_once_however_often_its_stack_is_routed(ledger: Ledger) -> None:
    queue(ledger, a_job())
    ledger.forget_decisions()
    assert ledger.undecided() == {"stack": "1.2.3"}
    ledger.decide("stack", "again", [a_job()])
    assert len(ledger.rows(jobs)) == 1


def test_a_refused_stack_is_never_routed_as_a_volume(ledger: Ledger) -> None:
    ledger.close_series(series_row(), [stack_row(reason="hole: one slice missing")], NOW)
    assert ledger.undecided() == {}
    assert ledger.undecided_refusals() == {"stack": "1.2.3"}


def test_a_job_is_claimed_by_one_worker(ledger: Ledger) -> None:
    queue(ledger, a_job())
    assert start(ledger).state is State.INFERRING
    assert ledger.claim(State.QUEUED, "other", NOW, SOON) is None


def test_only_the_holder_of_the_lease_settles_a_job(ledger: Ledger) -> None:
    queue(ledger, a_job())
    job = start(ledger)
    with pytest.raises(TryAgain, match="lease"):
        ledger.settle(job, "other", Event.DONE, NOW)
    assert state_of(ledger) == State.INFERRING


def test_an_expired_lease_gives_the_job_back_without_counting_a_try(ledger: Ledger) -> None:
    queue(ledger, a_job())
    job = start(ledger)
    assert ledger.renew(job, "w", SOON)
    assert ledger.expire_leases(SOON - timedelta(seconds=1)) == []
    assert ledger.expire_leases(SOON + timedelta(seconds=1)) == ["job"]
    assert not ledger.renew(job, "w", SOON + timedelta(minutes=1))
    again = ledger.claim(State.QUEUED, "other", SOON + timedelta(minutes=1), SOON + timedelta(minutes=2))
    assert again is not None
    assert again.attempts == 0


def test_a_retry_is_due_when_its_time_has_come_and_is_counted(ledger: Ledger) -> None:
    queue(ledger, a_job())
    ledger.retry(start(ledger), "w", NOW, SOON, "disk", counts=True)
    assert ledger.claim(State.QUEUED, "w", NOW, SOON) is None
    again = ledger.claim(State.QUEUED, "w", SOON, SOON)
    assert again is not None
    assert again.attempts == 1


def test_every_change_leaves_an_event(ledger: Ledger) -> None:
    queue(ledger, a_job())
    ledger.settle(start(ledger), "w", Event.DECLINE, NOW, "a knee")
    seen = [(row["event"], row["after"], row["reason"]) for row in ledger.rows(events) if row["subject"] == "job"]
    assert seen == [("QUEUE", "", "rule rule"), ("START", "INFERRING", ""), ("DECLINE", "DECLINED", "a knee")]


def test_a_late_instance_supersedes_the_stack_and_declines_what_waits(ledger: Ledger) -> None:
    queue(ledger, a_job())
    ledger.close_series(series_row("larger set"), [stack_row("new stack")], NOW)
    assert {row["stack_id"]: row["standing"] for row in ledger.rows(stacks)} == {
        "stack": "SUPERSEDED",
        "new stack": "STANDS",
    }
    assert state_of(ledger) == State.DECLINED
    assert ledger.undecided() == {"new stack": "1.2.3"}


def test_a_stack_that_its_model_declined_is_routed_again_to_say_why_not(ledger: Ledger) -> None:
    queue(ledger, a_job())
    assert ledger.models_at_work("1.2.3") == {"liver"}
    ledger.settle(start(ledger), "w", Event.DECLINE, NOW, "a knee")
    assert ledger.undecided() == {"stack": "1.2.3"}
    assert ledger.declined("stack") == {"job": "a knee"}
    assert ledger.models_at_work("1.2.3") == set()


def test_a_notice_survives_the_ledger_and_is_no_model_at_work(ledger: Ledger) -> None:
    queue(ledger, a_notice())
    assert start(ledger, state=State.INFERRED).notice == NOTICE
    assert ledger.models_at_work("1.2.3") == set()


def test_a_notice_that_is_not_sent_yet_is_withdrawn_when_a_late_instance_comes(ledger: Ledger) -> None:
    queue(ledger, a_notice())
    ledger.report(start(ledger, state=State.INFERRED), "w", {"pacs": [reference("1.1")]}, NOW)
    ledger.close_series(series_row("larger set"), [stack_row("new stack")], NOW)
    assert state_of(ledger) == State.DECLINED
    assert ledger.start_deliveries("pacs", NOW, SOON, 10) == []


def test_a_result_that_is_not_sent_yet_is_sent_though_a_late_instance_comes(ledger: Ledger) -> None:
    reported(ledger, a_job(), "1.1")
    ledger.close_series(series_row("larger set"), [stack_row("new stack")], NOW)
    assert state_of(ledger) == State.REPORTED
    assert len(ledger.start_deliveries("pacs", NOW, SOON, 10)) == 1


def test_a_closed_series_is_remembered_with_its_instances(ledger: Ledger) -> None:
    ledger.close_series(series_row("set"), [stack_row()], NOW)
    assert ledger.closed_series() == {"1.2.3": "set"}


def test_a_job_is_delivered_when_every_object_is_at_every_destination(ledger: Ledger) -> None:
    reported(ledger, a_job(destinations=("pacs", "research")), "1.1", "1.2")
    for destination in ("pacs", "research"):
        for delivery in ledger.start_deliveries(destination, NOW, SOON, 10):
            assert state_of(ledger) == State.REPORTED
            ledger.settle_delivery(delivery, judge(0x0000, 0), "peer", NOW, NOW)
        due = ledger.due_proofs(destination, NOW, 10)
        ledger.keep_looks([(each, found("it has it")) for each in due], "peer", NOW)
    assert state_of(ledger) == State.DELIVERED
    assert {row["state"] for row in ledger.rows(deliveries)} == {DeliveryState.COMMITTED}


def test_a_delivery_in_the_hands_of_a_dead_sender_is_sent_again(ledger: Ledger) -> None:
    reported(ledger, a_job(), "1.1")
    assert len(ledger.start_deliveries("pacs", NOW, SOON, 10)) == 1
    assert ledger.start_deliveries("pacs", NOW, SOON, 10) == []
    ledger.expire_leases(SOON + timedelta(seconds=1))
    assert len(ledger.start_deliveries("pacs", SOON + timedelta(seconds=1), SOON, 10)) == 1


def test_a_new_dispatcher_sends_at_once_what_the_last_one_was_sending(ledger: Ledger) -> None:
    reported(ledger, a_job(), "1.1")
    assert len(ledger.start_deliveries("pacs", NOW, SOON, 10)) == 1
    ledger.give_deliveries_back(NOW)
    assert len(ledger.start_deliveries("pacs", NOW, SOON, 10)) == 1


def test_a_dead_delivery_stays_until_a_person_requeues_its_job(ledger: Ledger) -> None:
    reported(ledger, a_job(), "1.1")
    (delivery,) = ledger.start_deliveries("pacs", NOW, SOON, 10)
    ledger.settle_delivery(delivery, judge(0xC000, 1), "peer", NOW, NOW)
    assert ledger.start_deliveries("pacs", SOON, SOON, 10) == []
    assert ledger.dead_deliveries("job") == ["1.1"]
    assert ledger.retry_deliveries(NOW, job_id="job") == 1
    assert len(ledger.start_deliveries("pacs", NOW, SOON, 10)) == 1
    assert [row["state"] for row in ledger.rows(deliveries)] == [DeliveryState.SENDING]


def test_a_failed_job_is_queued_again_with_a_fresh_count(ledger: Ledger) -> None:
    queue(ledger, a_job())
    ledger.settle(start(ledger), "w", Event.FAIL, NOW, "weights")
    assert ledger.requeue("job", NOW) is State.QUEUED
    assert start(ledger).attempts == 0


def test_requeueing_what_is_not_there_names_it(ledger: Ledger) -> None:
    with pytest.raises(Broken, match="there is no job nothing"):
        ledger.requeue("nothing", NOW)


@pytest.mark.parametrize(
    ("ending", "expected"),
    [
        pytest.param(Event.DECLINE, [EndedSeries("1.2.3", "set", ("job",), ("stack",))], id="declined"),
        pytest.param(Event.FAIL, [], id="failed: a person has to look"),
    ],
)
def test_only_series_whose_work_has_ended_may_leave_the_spool(
    ledger: Ledger, ending: Event, expected: list[EndedSeries]
) -> None:
    queue(ledger, a_job())
    assert ledger.ended_series(SOON) == []
    ledger.settle(start(ledger), "w", ending, NOW, "reason")
    assert ledger.ended_series(SOON) == []
    ledger.decide("stack", "rule: reason", [])
    assert ledger.ended_series(SOON) == expected
    assert ledger.ended_series(NOW) == []


@pytest.mark.parametrize("reason", ["", "hole: a slice is missing"], ids=["volume", "refusal"])
def test_a_series_that_is_not_routed_yet_never_leaves_the_spool(ledger: Ledger, reason: str) -> None:
    ledger.close_series(series_row(), [stack_row(reason=reason)], NOW)
    assert ledger.ended_series(SOON) == []


def test_a_series_that_has_left_the_spool_is_not_routed_again(ledger: Ledger) -> None:
    queue(ledger, a_job())
    ledger.forget_files("1.2.3")
    ledger.forget_decisions()
    assert ledger.undecided() == {}
    assert ledger.volumes() == {}
    assert ledger.ended_series(SOON) == []


def test_what_was_made_of_a_superseded_stack_is_not_delivered(ledger: Ledger) -> None:
    queue(ledger, a_job())
    running = start(ledger)
    ledger.close_series(series_row("larger set"), [stack_row("new stack")], NOW)
    ledger.settle(running, "w", Event.DONE, NOW)
    assert state_of(ledger) == State.DECLINED


def test_a_job_that_takes_its_worker_down_each_time_is_given_up(ledger: Ledger) -> None:
    queue(ledger, a_job())
    moment = NOW
    for _ in range(MOST_LAPSES):
        moment += timedelta(hours=1)
        assert ledger.claim(State.QUEUED, "w", moment, moment) is not None
        ledger.expire_leases(moment + timedelta(seconds=1))
    (row,) = ledger.rows(jobs)
    assert (row["state"], row["reason"]) == (State.FAILED, "its worker died 5 times while it ran")


def test_a_reported_job_whose_objects_are_gone_can_be_started_again(ledger: Ledger) -> None:
    reported(ledger, a_job(), "1.1")
    assert ledger.requeue("job", NOW) is State.QUEUED


def test_states_are_counted_over_all_rows(ledger: Ledger) -> None:
    ledger.close_series(series_row(), [stack_row()], NOW)
    ledger.decide("stack", "runs", [a_job(f"job {number}") for number in range(1200)])
    assert ledger.counts(jobs) == {"QUEUED": 1200}


def test_events_of_one_series_are_not_those_of_another_whose_uid_begins_alike(ledger: Ledger) -> None:
    ledger.close_series(series_row(uid="1.2.3"), [], NOW)
    ledger.close_series(series_row(uid="1.2.34"), [], NOW)
    assert len(ledger.events_of("1.2.3")) == 1


def measured(job_id: str = "job", patient: str = "patient", stack_id: str = "stack") -> Result:
    subject = Subject(patient, "identity", date(2026, 3, 1), "1.2", "1.2.3", "")
    volumes = (MeasuredVolume("SCT:10200004", 0, 1500.0, "cm3"),)
    return Result(job_id, stack_id, subject, "liver", "1.0.0", volumes)


def test_a_result_is_found_by_patient_and_model_once_its_job_is_reported(ledger: Ledger) -> None:
    queue(ledger, a_job())
    ledger.settle(start(ledger), "w", Event.DONE, NOW)
    job = start(ledger, state=State.INFERRED)
    assert ledger.results_of("patient", "liver") == []

    ledger.report(job, "w", {"pacs": [reference("1.2.5")]}, NOW, measured())

    assert ledger.results_of("patient", "liver") == [measured()]
    assert ledger.results_of("patient", "spleen") == ledger.results_of("another", "liver") == []


def test_what_a_report_says_of_a_job_of_this_node_is_no_second_result(ledger: Ledger) -> None:
    queue(ledger, a_job())
    ledger.settle(start(ledger), "w", Event.DONE, NOW)
    ledger.keep_recalled([replace(measured(), report="1.2.9")], NOW)

    ledger.report(start(ledger, state=State.INFERRED), "w", {"pacs": [reference("1.2.5")]}, NOW, measured())

    assert ledger.keep_recalled([replace(measured(), report="1.2.9")], NOW) == 0
    assert ledger.results_of("patient", "liver") == [measured()]


def test_a_result_that_a_late_instance_superseded_is_no_prior(ledger: Ledger) -> None:
    queue(ledger, a_job())
    ledger.settle(start(ledger), "w", Event.DONE, NOW)
    ledger.report(start(ledger, state=State.INFERRED), "w", {"pacs": [reference("1.2.5")]}, NOW, measured())

    ledger.close_series(series_row("larger set"), [stack_row("stack with it")], NOW)

    assert ledger.results_of("patient", "liver") == []


def test_what_a_job_is_compared_with_stays_as_it_was_planned(ledger: Ledger) -> None:
    prior = Prior(measured("earlier"))
    queue(ledger, replace(a_job(), prior=prior))

    ledger.decide("stack", "again", [replace(a_job(), prior=Prior(None, "another"))])

    assert start(ledger).prior == ledger.job("job").prior == prior
