"""Findings as a TID 1500 report."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from pydicom import Dataset

from models.findings import Findings
from service.core.profiles import Kind
from service.derived import content_tree
from service.derived.encoding import decode, encode
from tests import factories

Series = Callable[..., list[Dataset]]


@pytest.fixture
def sources() -> list[Dataset]:
    return factories.headers(factories.ct_series())


def _report(sources: Sequence[Dataset], findings: Findings) -> tuple[Dataset | None, Dataset]:
    made = factories.objects(factories.material(sources, findings))
    return next(iter(made.get(Kind.SEGMENTATION, [])), None), decode(encode(made[Kind.REPORT][0]))


def test_a_found_structure_has_its_volume_and_its_segment(sources: list[Dataset]) -> None:
    drawn, report = _report(sources, factories.findings())

    assert drawn is not None
    liver = content_tree.groups(report)[0]
    voxels = int(np.count_nonzero(factories.labels() == 1))
    assert liver.volume == pytest.approx(voxels * 0.0025)
    assert liver.unit == content_tree.CUBIC_CENTIMETRE
    assert liver.segment == (drawn.SOPInstanceUID, 1)
    assert liver.source_series_uid == sources[0].SeriesInstanceUID
    assert liver.tracking_uid == drawn.SegmentSequence[0].TrackingUID
    assert liver.presence is None


def test_a_structure_that_was_not_found_is_stated_to_be_absent(sources: list[Dataset]) -> None:
    _, report = _report(sources, factories.findings())

    kidney = content_tree.groups(report)[2]
    assert kidney.finding == ("9846003", "SCT")
    assert kidney.presence == content_tree.ABSENT
    assert (kidney.volume, kidney.segment) == (None, None)


def test_a_report_without_any_finding_states_every_structure_to_be_absent(
    sources: list[Dataset],
) -> None:
    nothing = factories.findings(array=np.zeros(factories.grid().shape, dtype=np.uint8))

    drawn, report = _report(sources, nothing)

    assert drawn is None
    assert [group.presence for group in content_tree.groups(report)] == [content_tree.ABSENT] * 3
    assert content_tree.evidence(report) == {source.SOPInstanceUID for source in sources}


def test_the_report_is_a_complete_preliminary_unverified_tid_1500(sources: list[Dataset]) -> None:
    _, report = _report(sources, factories.findings())

    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert content_tree.term(report) == content_tree.TITLE
    assert (report.CompletionFlag, report.PreliminaryFlag, report.VerificationFlag) == (
        "COMPLETE",
        "PRELIMINARY",
        "UNVERIFIED",
    )


@pytest.mark.parametrize(
    ("series", "procedure"),
    [(factories.ct_series, "25045-6"), (factories.mr_series, "25056-3")],
    ids=["CT", "MR"],
)
def test_the_procedure_reported_is_the_imaging_procedure_of_the_modality(
    series: Callable[..., list[Dataset]], procedure: str
) -> None:
    _, report = _report(factories.headers(series()), factories.findings())

    reported = [item for item in report.ContentSequence if content_tree.term(item) == ("121058", "DCM")]
    assert [content_tree.term(item, "ConceptCodeSequence") for item in reported] == [(procedure, "LN")]


def test_a_modality_without_a_procedure_of_its_own_is_reported_as_imaging(sources: list[Dataset]) -> None:
    for source in sources:
        source.Modality = "OT"

    _, report = _report(sources, factories.findings())

    reported = next(item for item in report.ContentSequence if content_tree.term(item) == ("121058", "DCM"))
    assert content_tree.term(reported, "ConceptCodeSequence") == ("363679005", "SCT")


def test_tracking_names_are_unique_within_the_report(sources: list[Dataset]) -> None:
    _, report = _report(sources, factories.findings())

    assert len({group.tracking_uid for group in content_tree.groups(report)}) == 3
