"""When a Series counts as whole, and when its archive is asked for more."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from service.core.completeness import (
    NO_ARCHIVE,
    ArchiveSays,
    Arrival,
    Evidence,
    Looks,
    Patience,
    Retrieval,
    account,
    evidence,
    judged,
    looks,
    wants_retrieval,
)
from service.core.entities import Instance, Reason, Refusal
from service.core.stacking import split
from tests.instances import series, with_attributes

LAST = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PATIENCE = Patience(gapless=timedelta(seconds=2), otherwise=timedelta(seconds=60))
ASKING = ArchiveSays(asking=True, can_send=True)
SILENT = ArchiveSays(failure="PACS at 10.0.0.5:104 is not reachable", can_send=True)


def arrival(released: bool, seen: Looks, archive: ArchiveSays = NO_ARCHIVE) -> Arrival:
    return Arrival(LAST, released, seen, 38, archive)


def counted(count: int, retrieval: Retrieval | None = None, can_send: bool = True) -> ArchiveSays:
    return ArchiveSays(count, can_send=can_send, retrieval=retrieval)


def after(seconds: float) -> datetime:
    return LAST + timedelta(seconds=seconds)


def moved(seconds: float | None, failure: str = "") -> Retrieval:
    return Retrieval("C-MOVE", None if seconds is None else after(seconds), failure)


@pytest.mark.parametrize(
    ("released", "seen", "archive", "seconds", "expected"),
    [
        pytest.param(True, Looks.GAPLESS, NO_ARCHIVE, 1, None, id="too soon"),
        pytest.param(True, Looks.GAPLESS, NO_ARCHIVE, 2, Evidence.RELEASED_AND_GAPLESS, id="released, no hole"),
        pytest.param(True, Looks.ANNOUNCED, NO_ARCHIVE, 2, Evidence.ANNOUNCED, id="as many as announced"),
        pytest.param(True, Looks.UNSURE, NO_ARCHIVE, 59, None, id="fewer than announced"),
        pytest.param(True, Looks.UNSURE, NO_ARCHIVE, 60, Evidence.SILENCE, id="the announcement was never met"),
        pytest.param(True, Looks.HOLED, NO_ARCHIVE, 30, None, id="a hole may still be filled"),
        pytest.param(True, Looks.HOLED, NO_ARCHIVE, 60, Evidence.SILENCE, id="the hole was never filled"),
        pytest.param(False, Looks.ANNOUNCED, NO_ARCHIVE, 30, None, id="the association is still open"),
        pytest.param(False, Looks.GAPLESS, NO_ARCHIVE, 60, Evidence.SILENCE, id="the sender never released"),
        pytest.param(True, Looks.GAPLESS, counted(38), 0, Evidence.COUNTED, id="count reached"),
        pytest.param(True, Looks.UNSURE, counted(38), 0, Evidence.COUNTED, id="the count outranks the headers"),
        pytest.param(False, Looks.GAPLESS, counted(38), 30, None, id="count reached, association open"),
        pytest.param(True, Looks.HOLED, counted(38), 59, None, id="count reached with a hole: the archive may grow"),
        pytest.param(True, Looks.HOLED, counted(38), 60, Evidence.SILENCE, id="the archive has the same hole"),
        pytest.param(True, Looks.GAPLESS, ASKING, 5, None, id="the archive has not answered yet"),
        pytest.param(True, Looks.GAPLESS, SILENT, 2, Evidence.RELEASED_AND_GAPLESS, id="the archive does not answer"),
        pytest.param(True, Looks.GAPLESS, counted(20), 2, Evidence.RELEASED_AND_GAPLESS, id="the archive is behind"),
        pytest.param(True, Looks.ANNOUNCED, counted(40), 30, None, id="count not reached"),
        pytest.param(True, Looks.GAPLESS, counted(40), 60, None, id="the rest is to be asked for"),
        pytest.param(True, Looks.GAPLESS, counted(40, moved(None)), 500, None, id="the rest is being asked for"),
        pytest.param(True, Looks.GAPLESS, counted(40, moved(70)), 129, None, id="asked, more may still come"),
        pytest.param(True, Looks.GAPLESS, counted(40, moved(70)), 130, Evidence.SILENCE, id="asked, nothing came"),
        pytest.param(True, Looks.HOLED, counted(40, moved(70, "no")), 70, Evidence.SILENCE, id="asked, and refused"),
        pytest.param(True, Looks.GAPLESS, counted(40, None, False), 60, Evidence.SILENCE, id="may not be asked"),
    ],
)
def test_a_series_is_closed_on_evidence(
    released: bool, seen: Looks, archive: ArchiveSays, seconds: int, expected: Evidence | None
) -> None:
    assert evidence(arrival(released, seen, archive), after(seconds), PATIENCE) is expected


@pytest.mark.parametrize(
    ("seen", "archive", "seconds", "expected"),
    [
        pytest.param(Looks.HOLED, counted(40), 59, False, id="too soon"),
        pytest.param(Looks.HOLED, counted(40), 60, True, id="a hole"),
        pytest.param(Looks.HOLED, SILENT, 60, True, id="a hole, and no count"),
        pytest.param(Looks.GAPLESS, counted(40), 60, True, id="an end is missing"),
        pytest.param(Looks.HOLED, counted(38), 60, False, id="the archive has the same hole"),
        pytest.param(Looks.UNSURE, SILENT, 60, False, id="too few slices, and no count"),
        pytest.param(Looks.HOLED, NO_ARCHIVE, 60, False, id="no archive"),
        pytest.param(Looks.HOLED, counted(40, None, False), 60, False, id="retrieve: none"),
        pytest.param(Looks.HOLED, counted(40, moved(None)), 60, False, id="asked already"),
        pytest.param(Looks.HOLED, ASKING, 60, False, id="its count comes first"),
    ],
)
def test_the_archive_is_asked_for_more_once_and_after_the_quiet_time(
    seen: Looks, archive: ArchiveSays, seconds: int, expected: bool
) -> None:
    assert wants_retrieval(arrival(True, seen, archive), after(seconds), PATIENCE) is expected


@pytest.mark.parametrize(
    ("archive", "expected"),
    [
        pytest.param(NO_ARCHIVE, "", id="no archive"),
        pytest.param(counted(40), "the archive has 40, 38 came", id="not asked"),
        pytest.param(
            counted(40, moved(70)), "the archive has 40, 38 came, asked again by C-MOVE: nothing more came", id="asked"
        ),
        pytest.param(
            replace(SILENT, retrieval=moved(60, "it did not answer")),
            "PACS at 10.0.0.5:104 is not reachable, asked again by C-MOVE: it did not answer",
            id="dead",
        ),
    ],
)
def test_a_reason_says_what_the_archive_answered(archive: ArchiveSays, expected: str) -> None:
    assert account(arrival(True, Looks.HOLED, archive)) == expected


def test_a_stack_is_no_volume_while_the_archive_has_more() -> None:
    parts = split(series([2.5 * k for k in range(10)]))
    (part,) = judged(parts, arrival(True, Looks.GAPLESS, counted(40)))
    assert isinstance(part, Refusal)
    assert (part.reason, part.sentence) == (Reason.INCOMPLETE, "the archive has 40, 38 came")
    assert part.stack_id == parts[0].stack_id
    assert judged(parts, arrival(True, Looks.GAPLESS, counted(38))) == parts


def test_a_reason_that_more_slices_would_lift_tells_of_the_archive_and_no_other_does() -> None:
    holed = split(series([2.5 * k for k in range(10) if k != 4]))
    localizer = split(with_attributes(series([0.0]), ImageType="ORIGINAL\\PRIMARY\\LOCALIZER"))
    told = judged((*holed, *localizer), arrival(True, Looks.HOLED, counted(40)))
    assert [isinstance(part, Refusal) and part.sentence.endswith("38 came") for part in told] == [True, False]


HEIGHTS = [2.5 * k for k in range(6)]


def echoes(first: int, second: int) -> list[Instance]:
    one = with_attributes(series(HEIGHTS[:first]), EchoNumbers="1")
    two = with_attributes(series(HEIGHTS[:second]), EchoNumbers="2")
    return [*one, *(replace(each, sop_instance_uid=f"{each.sop_instance_uid}.2") for each in two)]


@pytest.mark.parametrize(
    ("instances", "expected"),
    [
        pytest.param(series(HEIGHTS), Looks.GAPLESS, id="nothing announced"),
        pytest.param(series(HEIGHTS[:4] + HEIGHTS[5:]), Looks.HOLED, id="a hole"),
        pytest.param(series([0.0, 1.0, 5.0, 5.5]), Looks.HOLED, id="gaps that differ"),
        pytest.param(series(HEIGHTS[:2]), Looks.UNSURE, id="two slices"),
        pytest.param(with_attributes(series(HEIGHTS), ImagesInAcquisition="6"), Looks.ANNOUNCED, id="all images"),
        pytest.param(with_attributes(series(HEIGHTS), ImagesInAcquisition="7"), Looks.UNSURE, id="one image missing"),
        pytest.param(with_attributes(series(HEIGHTS), NumberOfSlices="7"), Looks.UNSURE, id="one slice missing"),
        pytest.param(with_attributes(series(HEIGHTS), NumberOfSlices="6"), Looks.ANNOUNCED, id="all slices"),
        pytest.param(
            with_attributes(series(HEIGHTS), NumberOfTemporalPositions="2"), Looks.UNSURE, id="one of two times"
        ),
        pytest.param(
            with_attributes(echoes(6, 6), NumberOfTemporalPositions="2"), Looks.ANNOUNCED, id="both of two times"
        ),
        pytest.param(
            with_attributes(series(HEIGHTS), ConcatenationUID="1.2.8", InConcatenationTotalNumber="7"),
            Looks.UNSURE,
            id="one instance of a concatenation missing",
        ),
        pytest.param(
            [
                *with_attributes(series(HEIGHTS)[:3], AcquisitionNumber="1", ImagesInAcquisition="3"),
                *with_attributes(series(HEIGHTS)[3:], AcquisitionNumber="2", ImagesInAcquisition="4"),
            ],
            Looks.UNSURE,
            id="the second of two acquisitions",
        ),
        pytest.param(with_attributes(series(HEIGHTS), ImagesInAcquisition="many"), Looks.GAPLESS, id="not a number"),
        pytest.param(echoes(6, 6), Looks.GAPLESS, id="two whole echoes"),
        pytest.param(echoes(6, 5), Looks.UNSURE, id="an echo with fewer slices"),
    ],
)
def test_positions_headers_and_equal_parts_tell_whether_more_may_come(
    instances: list[Instance], expected: Looks
) -> None:
    assert looks(split(instances), instances) is expected
