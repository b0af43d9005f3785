"""Findings as a TID 1500 report."""

from collections.abc import Callable, Sequence
from datetime import date

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import EnhancedSRStorage

from models.findings import Findings
from models.measurement import Likelihoods, measured
from models.sections import Measure
from service.core.entities import FrameReference
from service.core.profiles import USUAL, Kind, Profile
from service.derived import content_tree
from service.derived.catalogue import proven
from service.derived.encoding import decode, encode
from tests import factories

Series = Callable[..., list[Dataset]]


@pytest.fixture
def sources() -> list[Dataset]:
    return factories.headers(factories.ct_series())


def _report(sources: Sequence[Dataset], findings: Findings, profile: Profile = USUAL) -> tuple[Dataset | None, Dataset]:
    made = factories.objects(factories.material(sources, findings, profile=profile))
    return next(iter(made.get(Kind.SEGMENTATION, [])), None), decode(encode(made[Kind.REPORT][0]))


def test_a_found_structure_has_its_volume_and_its_segment(sources: list[Dataset]) -> None:
    drawn, report = _report(sources, factories.findings())

    assert drawn is not None
    liver = content_tree.groups(report)[0]
    voxels = int(np.count_nonzero(factories.labels() == 1))
    (volume,) = liver.numbers
    assert volume.value == pytest.approx(voxels * 0.0025)
    assert volume.unit == content_tree.CUBIC_CENTIMETRE
    assert liver.segment == (drawn.SOPInstanceUID, 1)
    assert liver.source_series_uid == sources[0].SeriesInstanceUID
    assert liver.tracking_uid == drawn.SegmentSequence[0].TrackingUID
    assert liver.presence is None


def test_a_structure_that_was_not_found_is_stated_to_be_absent(sources: list[Dataset]) -> None:
    _, report = _report(sources, factories.findings())

    kidney = content_tree.groups(report)[2]
    assert kidney.finding == ("9846003", "SCT")
    assert kidney.presence == content_tree.ABSENT
    assert (kidney.numbers, kidney.segment, kidney.key_image) == ((), None, None)


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


def test_a_region_has_what_was_measured_of_it_and_where_it_lies(sources: list[Dataset]) -> None:
    _, report = _report(sources, factories.rich_findings())

    liver = content_tree.groups(report)[0]
    assert [(number.name, number.unit, number.derivation) for number in liver.numbers] == [
        (("118565006", "SCT"), ("cm3", "UCUM"), None),
        (("103339001", "SCT"), ("mm", "UCUM"), None),
        (("81827009", "SCT"), ("mm", "UCUM"), ("56851009", "SCT")),
        (("112031", "DCM"), ("[hnsf'U]", "UCUM"), ("373098007", "SCT")),
        (("112031", "DCM"), ("[hnsf'U]", "UCUM"), ("386136009", "SCT")),
        (("122157", "DCM"), ("%", "UCUM"), ("373098007", "SCT")),
    ]
    assert liver.numbers[-1].value == pytest.approx(80.0)
    assert liver.comment == "in the Abdomen"
    assert liver.algorithm == ("abdomen", "1.0.0")


def test_the_image_named_for_a_region_is_the_one_on_which_it_is_largest(sources: list[Dataset]) -> None:
    _, report = _report(sources, factories.findings())

    areas = np.count_nonzero(factories.labels() == 1, axis=(1, 2))
    largest = sources[int(np.argmax(areas))]
    assert content_tree.groups(report)[0].key_image == FrameReference(largest.SOPInstanceUID)


def test_the_key_image_of_a_multi_frame_source_is_a_frame(sources: list[Dataset]) -> None:
    for number, source in enumerate(sources, start=1):
        source.SOPInstanceUID, source.ReferencedFrameNumber = sources[0].SOPInstanceUID, number
    _, report = _report(sources, factories.findings())

    areas = np.count_nonzero(factories.labels() == 1, axis=(1, 2))
    due = FrameReference(sources[0].SOPInstanceUID, int(np.argmax(areas)) + 1)
    assert content_tree.groups(report)[0].key_image == due


def test_everything_that_is_found_has_a_group_of_its_own(sources: list[Dataset]) -> None:
    _, report = _report(sources, factories.rich_findings())

    names = [group.tracking_id for group in content_tree.groups(report)[3:]]
    assert names == [
        "abdomen Nodule, score 1",
        "abdomen Nodule, score 2",
        "abdomen Nodule, box 1",
        "abdomen Nodule, point 1",
        "abdomen image",
        "abdomen Liver, earlier 1",
        "abdomen Liver, now 1",
        "abdomen Nodule, earlier 2",
        "abdomen Nodule, now 2",
        "abdomen comparison",
    ]


def test_a_score_says_present_from_its_operating_point_on(sources: list[Dataset]) -> None:
    _, report = _report(sources, factories.rich_findings())

    below, above = content_tree.groups(report)[3:5]
    assert (below.presence, above.presence) == (content_tree.ABSENT, content_tree.PRESENT)
    assert [score.numbers[0].value for score in (below, above)] == pytest.approx([30.0, 80.0])


def test_a_box_is_the_surface_of_six_faces_in_the_images_frame_of_reference(sources: list[Dataset]) -> None:
    _, report = _report(sources, factories.rich_findings())

    box = content_tree.groups(report)[5]
    corners = np.array([surface.at_mm for surface in box.surfaces]).reshape(-1, 3)
    assert [surface.kind for surface in box.surfaces] == ["POLYGON"] * 6
    assert {surface.frame_of_reference_uid for surface in box.surfaces} == {sources[0].FrameOfReferenceUID}
    assert len(np.unique(corners, axis=0)) == 8
    assert np.array_equal([corners.min(axis=0), corners.max(axis=0)], [(-20, 0, 5), (10, 20, 30)])


def test_an_uncertainty_is_given_both_ways_in_the_unit_of_the_value(sources: list[Dataset]) -> None:
    _, report = _report(sources, factories.rich_findings())

    (number,) = content_tree.groups(report)[7].numbers
    assert number.uncertainties == ((5.0, ("[hnsf'U]", "UCUM")), (5.0, ("[hnsf'U]", "UCUM")))


def test_a_change_says_when_and_in_which_series_the_earlier_value_was_measured(sources: list[Dataset]) -> None:
    _, report = _report(sources, factories.rich_findings())

    before, after = content_tree.groups(report)[8:10]
    assert (before.time_point, before.earlier, before.numbers[0].value) == ("earlier", (date(2025, 3, 4), "1.2.3"), 10)
    assert (after.time_point, after.earlier, after.numbers[0].value) == ("now", None, 12)


def test_a_change_says_how_much_it_is_what_became_of_it_and_what_to_know_of_it(sources: list[Dataset]) -> None:
    _, report = _report(sources, factories.rich_findings())

    before, after = content_tree.groups(report)[10:12]
    assert [(each.name, each.unit) for each in after.numbers] == [
        (("118565006", "SCT"), ("cm3", "UCUM")),
        (("VOLDIFF", "99ISOCENTER"), ("cm3", "UCUM")),
        (("VOLDIFFPCT", "99ISOCENTER"), ("%", "UCUM")),
        (("VOLDIFFYEAR", "99ISOCENTER"), ("cm3/a", "UCUM")),
    ]
    assert [each.value for each in after.numbers] == pytest.approx([2.25, 0.75, 50.0, 0.75 * 365.25 / 400], rel=1e-5)
    assert (before.size, after.size) == (None, ("15454001", "SCT"))
    assert after.comment == "Earlier by version 0.9.0 of the model, now by 1.0.0."
    assert [each.CodingSchemeDesignator for each in report.CodingSchemeIdentificationSequence] == ["99ISOCENTER"]


def test_why_nothing_is_compared_is_said_in_a_group_of_its_own(sources: list[Dataset]) -> None:
    _, report = _report(sources, factories.rich_findings())

    *_, last = content_tree.groups(report)
    assert (last.finding, last.comment) == (None, "not compared with what came before")


def test_findings_that_say_nothing_are_reported_as_nothing_found(sources: list[Dataset]) -> None:
    (encoded,) = proven(factories.material(sources, Findings(factories.ALGORITHM))).values()

    (group,) = content_tree.groups(decode(encoded))
    assert (group.comment, group.algorithm) == ("Nothing was found.", ("abdomen", "1.0.0"))


def test_an_enhanced_report_holds_no_coordinates_in_space_but_words(sources: list[Dataset]) -> None:
    _, report = _report(sources, factories.rich_findings(), Profile(report="enhanced"))

    box, point = content_tree.groups(report)[5:7]
    assert report.SOPClassUID == EnhancedSRStorage
    assert (box.surfaces, point.surfaces) == ((), ())
    assert box.comment == "Between the corners (-20.0, 0.0, 5.0) and (10.0, 20.0, 30.0) mm in the patient (LPS)."
    assert point.comment == "At (1.0, 2.0, 3.0) mm in the patient (LPS)."


def test_a_destination_without_segmentations_gets_the_measurements_without_segments(sources: list[Dataset]) -> None:
    material = factories.material(sources, profile=Profile(objects=(Kind.REPORT,)))

    (encoded,) = proven(material).values()

    liver = content_tree.groups(decode(encoded))[0]
    assert liver.segment is None
    assert len(liver.numbers) == 1


def test_a_report_of_twenty_lesions_and_all_their_measurements_is_below_100_kilobytes() -> None:
    grid = factories.grid(shape=(100, 40, 30))
    array = np.zeros(grid.shape, dtype=np.uint8)
    for lesion in range(20):
        array[4 * lesion : 4 * lesion + 2, 5:12, 5:15] = 1
    lesion_label = factories.LABELS[0].model_copy(update={"lesions": True, "measure": tuple(Measure)})
    findings = factories.findings(grid, array, (lesion_label,))
    likelihoods = Likelihoods(grid, np.full((2, *grid.shape), 0.9, dtype=np.float32))
    findings = measured(findings, factories.volume(grid), likelihoods)

    report = list(proven(factories.material(factories.headers(factories.ct_series(grid)), findings)).values())[-1]

    assert len(content_tree.groups(decode(report))) == 20
    assert len(report) < 100_000


NAMES = {"Latin 1": ("Müller^Jürgen", "ISO_IR 100"), "not Latin 1": ("Łukasz^Żak", "ISO_IR 192")}


@pytest.mark.parametrize(("name", "character_set"), NAMES.values(), ids=NAMES.keys())
def test_a_destination_of_latin_1_gets_it_unless_a_letter_would_be_lost(
    sources: list[Dataset], name: str, character_set: str
) -> None:
    for source in sources:
        source.PatientName, source.SpecificCharacterSet = name, "ISO_IR 192"

    objects = proven(factories.material(sources, profile=Profile(character_set="ISO_IR 100"))).values()

    made = [decode(encoded) for encoded in objects]
    assert [(str(each.PatientName), each.SpecificCharacterSet) for each in made] == [(name, character_set)] * 2
