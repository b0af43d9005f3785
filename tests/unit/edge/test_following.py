"""Which lesions are matched with those of an earlier result, and what is said where they cannot be."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pydicom import Dataset

from models.findings import Findings
from models.volume import Grid
from service.assemble import record_of
from service.core.comparison import structure_key, volumes
from service.core.jobs import Job, State
from service.core.priors import Followed, Following, Prior, Result
from service.core.stacking import split
from service.derived.subject import subject_of
from service.derived.synthetic import Subject, ct_series
from service.edge.following import APART, LEFT, NEVER_HERE, UNREADABLE, follow
from service.edge.part10 import read_instance
from service.edge.records import keep_findings, keep_following, keep_part, read_following
from service.edge.spool import InstanceName, Spool
from tests import factories
from tests.arriving import receive

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
GRID = factories.grid(shape=(24, 40, 36), spacing_mm=(4.0, 4.0, 4.0))
FINDINGS = factories.layered(GRID)
LESION = structure_key(factories.LAYERED[2])


def series(seed: str, grid: Grid = GRID) -> list[Dataset]:
    return ct_series(factories.smooth_volume(grid), Subject(seed=seed))


def arrived(spool: Spool, images: Sequence[Dataset], stack_id: str) -> None:
    paths = [spool.incoming(InstanceName(each.SeriesInstanceUID, each.SOPInstanceUID)) for each in images]
    for image in images:
        assert receive(spool, image).status == 0x0000
    (stack,) = split(map(read_instance, paths))
    keep_part(spool, replace(record_of(stack, NOON), stack_id=stack_id))


def later_job(findings: Findings = FINDINGS) -> Job:
    """A job on the stack `now`, planned to be compared with the job `earlier` on the stack `then`."""
    subject = replace(subject_of(series("then")[0]), study_date=date(2025, 3, 1))
    prior = Prior(Result("earlier", "then", subject, "liver", "1.0.0", volumes(findings)))
    job = Job("later", "now", "1.2.3", "1.2", "liver", "1.0.0", "rule", ("pacs",), State.INFERRING, 0, NOON)
    return replace(job, prior=prior)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "spool")
    for stack_id in ("then", "now"):
        arrived(spool, series(stack_id), stack_id)
    keep_findings(spool, "earlier", FINDINGS)
    return spool


def test_the_lesions_of_an_unchanged_image_are_all_found_again(spool: Spool) -> None:
    following = follow(spool, later_job(), FINDINGS)

    assert following == Following(tuple(Followed(LESION, (number,), (number,), True) for number in (1, 2)))


def test_what_was_matched_is_read_back_as_it_was(spool: Spool) -> None:
    following = Following((Followed(LESION, (1, 2), (), False),), "in part")
    assert read_following(spool, "later") is None

    keep_following(spool, "later", following)

    assert read_following(spool, "later") == following


def test_nothing_is_matched_where_there_are_no_lesions_or_no_prior(spool: Spool) -> None:
    without = factories.findings(GRID)

    assert follow(spool, later_job(without), without) is None
    assert follow(spool, replace(later_job(), prior=None), FINDINGS) is None
    assert follow(spool, replace(later_job(), prior=Prior(None, "whose it is")), FINDINGS) is None


def test_images_that_never_were_on_this_node_are_told(spool: Spool) -> None:
    job = later_job()
    assert job.prior
    assert job.prior.result
    elsewhere = replace(job, prior=Prior(replace(job.prior.result, report="1.2.9")))

    assert follow(spool, elsewhere, FINDINGS) == Following((), NEVER_HERE)


def test_findings_that_have_left_the_spool_are_told(spool: Spool) -> None:
    spool.discard(spool.work("earlier"))

    assert follow(spool, later_job(), FINDINGS) == Following((), LEFT)


def test_images_that_have_left_the_spool_are_told(spool: Spool) -> None:
    first = series("then")[0]
    spool.remove(InstanceName(first.SeriesInstanceUID, first.SOPInstanceUID))

    assert follow(spool, later_job(), FINDINGS) == Following((), LEFT)


def test_a_damaged_image_of_the_earlier_study_is_told_and_fails_nothing(spool: Spool) -> None:
    first = series("then")[0]
    path = spool.incoming(InstanceName(first.SeriesInstanceUID, first.SOPInstanceUID))
    path.write_bytes(path.read_bytes()[:-400])

    assert follow(spool, later_job(), FINDINGS) == Following((), UNREADABLE)


def test_images_that_do_not_lie_on_each_other_are_told(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "other")
    arrived(spool, series("then"), "then")
    arrived(spool, factories.ct_series(GRID, seed="now"), "now")  # noise
    keep_findings(spool, "earlier", FINDINGS)

    assert follow(spool, later_job(), FINDINGS) == Following((), APART)
