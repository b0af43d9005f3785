"""Who is told that a model did not run, and who is not."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from models.registry import Package
from service import route
from service.assemble import Assembler
from service.core.completeness import Patience
from service.core.jobs import Event, State
from service.core.refusals import SayWhyNot
from service.core.routing import Rule
from service.edge.ledger import Ledger
from service.edge.spool import Spool
from service.edge.tables import jobs, stacks
from service.route import Router
from tests import factories
from tests.arriving import receive
from tests.unit.models.packages import manifest

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = datetime.now(UTC) + timedelta(hours=1)  # files carry the disk's own time
GRID = factories.grid(shape=(8, 8, 8))
BOTH = SayWhyNot.BOTH


def rule(say: SayWhyNot = BOTH, destinations: Sequence[str] = ("pacs",), **when: object) -> Rule:
    return Rule.model_validate(
        {"name": "r", "model": "tiny", "destinations": destinations, "when": when, "say_why_not": say}
    )


def router(*rules: Rule, **changes: Any) -> Router:
    return Router(rules, {"tiny": Package(Path("tiny"), manifest(**changes))})


def close(spool: Spool, ledger: Ledger, images: Sequence[Dataset]) -> None:
    """What a Series is after all of its images came."""
    for image in images:
        assert receive(spool, image).status == 0x0000
    Assembler(spool, ledger, Patience(timedelta(0), timedelta(0))).tick(LATER)


def told(spool: Spool, ledger: Ledger, routing: Router) -> list[tuple[str, str]]:
    """The notices after routing: state, and why."""
    route.tick(spool, ledger, routing, NOW)
    return [(row["state"], row["notice"].why) for row in ledger.rows(jobs) if row["notice"]]


def marked(images: Sequence[Dataset], **values: object) -> list[Dataset]:
    for image in images:
        for keyword, value in values.items():
            setattr(image, keyword, value)
    return list(images)


def with_hole(seed: str = "hole") -> list[Dataset]:
    return factories.ct_series(GRID, seed=seed, missing=[4])


def whole_and_hole() -> list[Dataset]:
    """One Series of two stacks, told apart by their size."""
    whole = factories.ct_series(GRID, seed="whole")
    study, series = whole[0].StudyInstanceUID, whole[0].SeriesInstanceUID
    return whole + marked(with_hole(), StudyInstanceUID=study, SeriesInstanceUID=series, Rows=4, Columns=16)


def test_a_series_with_a_hole_that_a_rule_wanted_is_told_of(spool: Spool, ledger: Ledger) -> None:
    close(spool, ledger, with_hole())
    ((state, why),) = told(spool, ledger, router(rule(modality="CT")))
    assert state == State.INFERRED
    assert why.startswith("hole: 1 of 8 slices missing; the first gap is after slice 4")
    (row,) = ledger.rows(stacks)
    assert row["decision"] == "not analysed; told to pacs"


@pytest.mark.parametrize(
    "wanted",
    [
        pytest.param(rule(SayWhyNot.NONE, modality="CT"), id="the rule says nothing"),
        pytest.param(rule(modality="MR"), id="another modality"),
        pytest.param(rule(body_part="KNEE"), id="another body part"),
    ],
)
def test_a_series_with_a_hole_that_no_rule_wanted_is_not_told_of(spool: Spool, ledger: Ledger, wanted: Rule) -> None:
    close(spool, ledger, with_hole())
    assert told(spool, ledger, router(wanted)) == []
    assert [row["decision"] for row in ledger.rows(stacks)] == ["not analysed"]


def test_conditions_on_geometry_are_ignored_where_there_is_none(spool: Spool, ledger: Ledger) -> None:
    close(spool, ledger, with_hole())
    assert len(told(spool, ledger, router(rule(plane="coronal", slices={"minimum": 100})))) == 1


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, id="localizer"),
        pytest.param({"ManufacturerModelName": "Isocenter"}, id="made by this node"),
    ],
)
def test_what_nobody_expects_an_answer_for_is_not_told_of(
    spool: Spool, ledger: Ledger, values: dict[str, object]
) -> None:
    close(spool, ledger, marked(with_hole(), **values))
    assert told(spool, ledger, router(rule())) == []


def test_two_patients_in_one_series_are_not_told_of(spool: Spool, ledger: Ledger) -> None:
    images = with_hole()
    close(spool, ledger, [*images[:3], *marked(images[3:], PatientID="PHANTOM-OTHER")])
    assert told(spool, ledger, router(rule())) == []


def test_a_rule_that_runs_on_another_stack_of_the_series_tells_of_none(spool: Spool, ledger: Ledger) -> None:
    close(spool, ledger, whole_and_hole())
    assert len(ledger.rows(stacks)) == 2
    assert told(spool, ledger, router(rule())) == []
    assert [row["state"] for row in ledger.rows(jobs)] == [State.QUEUED]


def test_a_stack_that_the_manifest_refuses_is_told_of(spool: Spool, ledger: Ledger) -> None:
    close(spool, ledger, factories.ct_series(GRID))
    ((_, why),) = told(spool, ledger, router(rule(), intake={"modalities": ["MR"]}))
    assert why == "the modality is CT; the model was validated on MR"


def test_a_stack_that_the_worker_declined_is_told_of_with_its_reason(spool: Spool, ledger: Ledger) -> None:
    close(spool, ledger, factories.ct_series(GRID))
    assert told(spool, ledger, router(rule())) == []
    job = ledger.claim(State.QUEUED, "w", NOW, LATER)
    assert job is not None
    ledger.settle(job, "w", Event.DECLINE, NOW, "the image is empty: every value is 0")
    assert told(spool, ledger, router(rule())) == [("INFERRED", "the image is empty: every value is 0")]
    assert [row["decision"] for row in ledger.rows(stacks)] == ["r: the image is empty: every value is 0; told to pacs"]


def test_two_rules_for_one_model_make_one_notice_for_all_destinations(spool: Spool, ledger: Ledger) -> None:
    close(spool, ledger, with_hole())
    rules = (rule(SayWhyNot.REPORT), rule(SayWhyNot.PICTURE, ["research"]))
    assert len(told(spool, ledger, router(*rules))) == 1
    notice = ledger.claim(State.INFERRED, "w", NOW, LATER)
    assert notice is not None
    assert notice.destinations == ("pacs", "research")
    assert notice.notice is not None
    assert notice.notice.say is BOTH


def test_routing_again_makes_no_second_notice(spool: Spool, ledger: Ledger) -> None:
    close(spool, ledger, with_hole())
    once = told(spool, ledger, router(rule()))
    ledger.forget_decisions()
    assert told(spool, ledger, router(rule())) == once


def test_a_refusal_whose_record_is_gone_is_assembled_and_told_of_again(spool: Spool, ledger: Ledger) -> None:
    close(spool, ledger, with_hole())
    (row,) = ledger.rows(stacks)
    spool.stack(row["stack_id"]).unlink()
    assert told(spool, ledger, router(rule())) == []
    close(spool, ledger, [])
    assert len(told(spool, ledger, router(rule()))) == 1


def test_the_late_slice_takes_back_the_notice_and_queues_the_model(spool: Spool, ledger: Ledger) -> None:
    images = factories.ct_series(GRID)
    close(spool, ledger, [*images[:4], *images[5:]])
    assert len(told(spool, ledger, router(rule()))) == 1
    close(spool, ledger, [images[4]])
    assert [state for state, _ in told(spool, ledger, router(rule()))] == [State.DECLINED]
    assert {row["state"] for row in ledger.rows(jobs)} == {State.DECLINED, State.QUEUED}


def test_a_notice_waits_for_a_sibling_that_cannot_be_judged_now(spool: Spool, ledger: Ledger) -> None:
    close(spool, ledger, whole_and_hole())
    ((stack_id, _),) = ledger.undecided().items()
    spool.stack(stack_id).unlink()
    assert told(spool, ledger, router(rule())) == []
    close(spool, ledger, [])
    assert told(spool, ledger, router(rule())) == []
    assert [row["state"] for row in ledger.rows(jobs)] == [State.QUEUED]
