"""Findings of a radiograph as a TID 1500 report, and mutations of every kind that the proof has to catch."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage, EnhancedSRStorage

from models.findings import Box, Findings, Point, Score
from service.core.errors import Unproven
from service.core.profiles import Kind, Profile
from service.derived import content_tree, heat_map, radiograph_report, radiograph_report_proof
from service.derived.catalogue import proven
from service.derived.encoding import decode, encode
from service.derived.statements import Number, Reference, Shape, Statement, groups
from tests import factories

SOURCES = factories.headers([factories.dx_image()])
FINDINGS = factories.radiograph_findings(SOURCES[0])
IMAGE = Reference(str(SOURCES[0].SOPInstanceUID))

PROBABILITY, PRESENCE = ("122157", "DCM"), ("121052", "DCM")
PRESENT, ABSENT = ("52101004", "SCT"), ("272519000", "SCT")
PERCENT = ("%", "UCUM")
REGION, PURPOSE, REGION_SOURCE = ("111030", "DCM"), ("130400", "DCM"), ("260753009", "SCT")

Objects = tuple[Dataset, Dataset]


def written(
    findings: Findings = FINDINGS, sources: Sequence[Dataset] = SOURCES, form: Profile | None = None
) -> Objects:
    """The heat maps and the report, as read back from their bytes."""
    made_of = factories.material(sources, findings, profile=form or Profile())
    (drawn,) = heat_map.build(made_of, {})
    drawn = decode(encode(drawn))
    (report,) = radiograph_report.build(made_of, {Kind.HEAT_MAP: [drawn]})
    return drawn, decode(encode(report))


def prove(objects: Objects, findings: Findings = FINDINGS, sources: Sequence[Dataset] = SOURCES) -> None:
    drawn, report = objects
    radiograph_report_proof.prove([report], factories.material(sources, findings), {Kind.HEAT_MAP: [drawn]})


def stated(report: Dataset, group: int, name: tuple[str, str]) -> list[Statement]:
    return [each for each in groups(report)[group] if each.name == name]


@pytest.mark.parametrize("image", [factories.dx_image, factories.cr_image], ids=["DX", "CR"])
def test_what_is_built_is_proven(image: Callable[[], Dataset]) -> None:
    sources = factories.headers([image()])
    objects = proven(factories.material(sources, factories.radiograph_findings(sources[0]))).values()
    assert [decode(encoded).Modality for encoded in objects] == ["SEG", "SR"]


@pytest.mark.parametrize(("group", "percent", "presence"), [(0, 91.25, PRESENT), (1, 10.0, ABSENT)])
def test_a_score_is_stated_in_percent_and_as_present_or_absent(
    group: int, percent: float, presence: tuple[str, str]
) -> None:
    _, report = written()
    assert [each.value for each in stated(report, group, PROBABILITY)] == [Number(percent, PERCENT)]
    assert [each.value for each in stated(report, group, PRESENCE)] == [presence]


def test_a_score_at_the_operating_point_is_present_and_the_point_is_stated() -> None:
    findings = replace(FINDINGS, scores=(Score(factories.PNEUMONIA, 0.4, 0.4),))
    _, report = written(findings)
    assert [each.value for each in stated(report, 0, PRESENCE)] == [PRESENT]
    said = stated(report, 0, ("111002", "DCM"))
    assert [each.value for each in said] == ["operating point: present from a probability of 40 % on"]


def test_a_box_is_a_closed_line_of_columns_and_rows_on_the_image() -> None:
    findings = replace(FINDINGS, boxes=(Box(factories.PNEUMONIA, (3.0, 5.5), (20.25, 30.0)),))
    _, report = written(findings)
    corners = (5.5, 3.0, 30.0, 3.0, 30.0, 20.25, 5.5, 20.25, 5.5, 3.0)
    expected = Statement(REGION, Shape("POLYLINE", corners), (Statement(REGION_SOURCE, IMAGE),))
    assert stated(report, 2, REGION) == [expected]
    assert [each.value for each in stated(report, 2, PURPOSE)] == [("75958009", "SCT")]


def test_a_point_is_a_column_and_a_row() -> None:
    findings = replace(FINDINGS, points=(Point(factories.EFFUSION, (7.0, 9.5)),))
    _, report = written(findings)
    assert [each.value for each in stated(report, 3, REGION)] == [Shape("POINT", (9.5, 7.0))]


def test_a_measurement_has_its_unit_and_its_deviation() -> None:
    _, report = written()
    (ratio,) = stated(report, 6, ("59074-5", "LN"))
    assert ratio.value == Number(0.487123, ("1", "UCUM"))
    assert {each.name for each in ratio.below} == {("371886008", "SCT"), ("371885007", "SCT")}
    assert {each.value for each in ratio.below} == {Number(0.0213, ("1", "UCUM"))}


def test_a_change_is_a_group_for_then_with_its_day_and_series_and_one_for_now() -> None:
    _, report = written()
    area = ("42798000", "SCT")
    assert [each.value for each in stated(report, 7, area)] == [Number(1234.5, ("mm2", "UCUM"))]
    assert [each.value for each in stated(report, 7, ("111060", "DCM"))] == ["20250102"]
    assert [each.value for each in stated(report, 7, ("112002", "DCM"))] == ["1.2.3.4"]
    assert [each.value for each in stated(report, 8, area)] == [Number(987.0, ("mm2", "UCUM"))]


def test_a_heat_map_is_found_from_the_report_under_one_tracking_name() -> None:
    drawn, report = written()
    for number, segment in enumerate(drawn.SegmentSequence, start=1):
        (said,) = stated(report, 3 + number, ("121214", "DCM"))
        assert said.value == Reference(str(drawn.SOPInstanceUID), None, number)
        assert [each.value for each in stated(report, 3 + number, ("112040", "DCM"))] == [segment.TrackingUID]


def test_a_finding_that_shares_its_code_says_where_it_is() -> None:
    _, report = written()
    (site,) = stated(report, 1, ("363698007", "SCT"))
    assert site.below == (Statement(("106233006", "SCT"), ("7771000", "SCT")),)


def test_a_frame_of_a_multi_frame_image_is_named_by_its_number() -> None:
    source = factories.headers(SOURCES)[0]
    source.ReferencedFrameNumber = 2
    objects = written(sources=[source])
    prove(objects, sources=[source])
    assert stated(objects[1], 2, REGION)[0].below == (Statement(REGION_SOURCE, replace(IMAGE, frame_number=2)),)


@pytest.mark.parametrize(
    ("form", "sop_class_uid"),
    [("comprehensive 3d", Comprehensive3DSRStorage), ("enhanced", EnhancedSRStorage)],
)
def test_the_destination_chooses_the_kind_of_report(form: str, sop_class_uid: str) -> None:
    profile = Profile.model_validate({"report": form})
    drawn, report = written(form=profile)
    made_of = factories.material(SOURCES, FINDINGS, profile=profile)
    radiograph_report_proof.prove([report], made_of, {Kind.HEAT_MAP: [drawn]})
    assert report.SOPClassUID == sop_class_uid


def test_a_report_of_one_score_that_is_negative_says_that_it_is_absent() -> None:
    nothing = Findings(factories.ALGORITHM, scores=(Score(factories.PNEUMONIA, 0.0, 0.5),))
    (encoded,) = proven(factories.material(SOURCES, nothing)).values()
    assert [each.value for each in stated(decode(encoded), 0, PRESENCE)] == [ABSENT]


def test_findings_of_nothing_say_that_nothing_was_found() -> None:
    (encoded,) = proven(factories.material(SOURCES, Findings(factories.ALGORITHM))).values()
    assert [each.value for each in stated(decode(encoded), 0, ("121106", "DCM"))] == ["Nothing was found."]


def test_the_report_is_of_the_images_procedure_and_has_the_same_bytes_when_made_again() -> None:
    _, report = written()
    _, again = written()
    reported = [item for item in report.ContentSequence if content_tree.term(item) == ("121058", "DCM")]
    assert [content_tree.term(item, "ConceptCodeSequence") for item in reported] == [("43468-8", "LN")]
    assert encode(report) == encode(again)


def test_tracking_names_are_unique_though_a_term_is_long() -> None:
    long = factories.PNEUMONIA.model_copy(update={"name": "Pneumonia " * 20})
    findings = replace(FINDINGS, scores=tuple(Score(long, 0.5, 0.5) for _ in range(12)))
    _, report = written(findings)
    names = [stated(report, number, ("112039", "DCM"))[0].value for number in range(len(groups(report)))]
    assert len(set(names)) == len(names)


def _groups(report: Dataset) -> list[Dataset]:
    (measured,) = (item for item in report.ContentSequence if content_tree.term(item) == ("126010", "DCM"))
    return measured.ContentSequence  # type: ignore[no-any-return]


def _item(report: Dataset, group: int, name: tuple[str, str]) -> Dataset:
    return next(item for item in _groups(report)[group].ContentSequence if content_tree.term(item) == name)


def _call_the_absent_present(report: Dataset) -> None:
    _item(report, 1, PRESENCE).ConceptCodeSequence[0].CodeValue = PRESENT[0]


def _silence_the_absent(report: Dataset) -> None:
    group = _groups(report)[1]
    group.ContentSequence = [item for item in group.ContentSequence if content_tree.term(item) != PRESENCE]


def _another_probability(report: Dataset) -> None:
    _item(report, 0, PROBABILITY).MeasuredValueSequence[0].NumericValue = 91.3


def _another_operating_point(report: Dataset) -> None:
    _item(report, 0, ("111002", "DCM")).TextValue = "operating point: present from a probability of 30 % on"


def _mirror_the_box(report: Dataset) -> None:
    item = _item(report, 2, REGION)
    item.GraphicData = [40.0 - at if index % 2 == 0 else at for index, at in enumerate(item.GraphicData)]


def _exchange_rows_and_columns(report: Dataset) -> None:
    item = _item(report, 2, REGION)
    item.GraphicData = [item.GraphicData[index ^ 1] for index in range(len(item.GraphicData))]


def _move_the_point(report: Dataset) -> None:
    item = _item(report, 3, REGION)
    item.GraphicData = [item.GraphicData[0] + 0.01, item.GraphicData[1]]


def _box_on_another_image(report: Dataset) -> None:
    _item(report, 2, REGION).ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "2.25.6"


def _another_segment(report: Dataset) -> None:
    _item(report, 4, ("121214", "DCM")).ReferencedSOPSequence[0].ReferencedSegmentNumber = 2


def _another_unit(report: Dataset) -> None:
    measured = _item(report, 2, ("42798000", "SCT")).MeasuredValueSequence[0]
    measured.MeasurementUnitsCodeSequence[0].CodeValue = "cm2"


def _another_day(report: Dataset) -> None:
    _item(report, 7, ("111060", "DCM")).Date = "20240102"


def _another_finding(report: Dataset) -> None:
    _item(report, 0, ("121071", "DCM")).ConceptCodeSequence[0].CodeValue = "1"


def _drop_a_group(report: Dataset) -> None:
    del _groups(report)[1]


def _one_tracking_uid_twice(report: Dataset) -> None:
    _item(report, 1, ("112040", "DCM")).UID = _item(report, 0, ("112040", "DCM")).UID


CHANGES: dict[str, tuple[Callable[[Dataset], object], str]] = {
    "absent called present": (_call_the_absent_present, ", score 2.*121052"),
    "absent not stated": (_silence_the_absent, "what abdomen .*, score 2"),
    "other probability": (_another_probability, ", score 1.*122157"),
    "other operating point": (_another_operating_point, ", score 1.*111002"),
    "mirrored box": (_mirror_the_box, ", box 1.*111030"),
    "rows and columns exchanged": (_exchange_rows_and_columns, ", box 1.*111030"),
    "point moved by a hundredth": (_move_the_point, ", point 1.*111030"),
    "box on another image": (_box_on_another_image, r", box 1.*2\.25\.6"),
    "other heat map": (_another_segment, ", heat map 1.*121214"),
    "other unit": (_another_unit, ", box 1.*42798000"),
    "other day": (_another_day, ", earlier 1.*20240102"),
    "other finding": (_another_finding, ", score 1.*121071"),
    "group dropped": (_drop_a_group, "number of measurement groups"),
    "groups exchanged": (lambda report: _groups(report).reverse(), "what abdomen .*, score 1"),
    "one tracking UID twice": (_one_tracking_uid_twice, ", score 2.*112040"),
    "other patient": (lambda report: setattr(report, "PatientID", "SOMEBODY"), "PatientID"),
    "other study": (lambda report: setattr(report, "StudyInstanceUID", "2.25.8"), "StudyInstanceUID"),
    "verified by nobody": (lambda report: setattr(report, "VerificationFlag", "VERIFIED"), "flags"),
    "evidence forgotten": (
        lambda report: report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence.pop(),
        "evidence",
    ),
}


@pytest.mark.parametrize(("change", "sentence"), CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_report_is_caught(change: Callable[[Dataset], object], sentence: str) -> None:
    drawn, report = written()
    change(report)
    with pytest.raises(Unproven, match=sentence):
        prove((drawn, report))


@pytest.mark.parametrize(
    ("findings", "sentence"),
    [
        pytest.param(
            replace(FINDINGS, boxes=(Box(factories.PNEUMONIA, (0.0, 0.0), (40.0, 48.0)),)),
            "whether the box",
            id="a box that reaches out of the image",
        ),
        pytest.param(
            replace(FINDINGS, boxes=(Box(factories.PNEUMONIA, (9.0, 3.0), (4.0, 8.0)),)),
            "whether the box",
            id="a box whose corners are exchanged",
        ),
        pytest.param(
            replace(FINDINGS, points=(Point(factories.PNEUMONIA, (47.0, 47.0)),)),
            "whether the point",
            id="a point beside the image",
        ),
        pytest.param(
            replace(FINDINGS, scores=(Score(factories.PNEUMONIA, 91.0, 0.5),)),
            "whether 91.0 is a probability",
            id="a score in percent",
        ),
    ],
)
def test_findings_that_cannot_be_are_caught(findings: Findings, sentence: str) -> None:
    with pytest.raises(Unproven, match=sentence):
        prove(written(findings), findings)


def test_what_a_site_has_set_aside_stands_beside_every_score_and_is_proven() -> None:
    said = replace(FINDINGS, remarks=("Set aside by this site: the patient's age is not known.",))
    objects = written(said)
    for group in range(len(FINDINGS.scores)):
        assert [each.value for each in stated(objects[1], group, ("121106", "DCM"))] == list(said.remarks)
    prove(objects, said)
    with pytest.raises(Unproven, match=r"what .* states"):
        prove(written(), said)
