"""What a millimetre is on a projection, and which image is one."""

from dataclasses import replace

import pytest

from models.intake import RadiographFacts
from service.core.entities import Frame, Instance, PixelSpacing, Projection, Reason, Refusal
from service.core.stacking import split
from tests.instances import instance

DX, CR, SECONDARY_CAPTURE = (f"1.2.840.10008.5.1.4.1.1.{root}" for root in ("1.1", "1", "7"))


def image(sop_class_uid: str = DX, number: int = 1, *, said: dict[str, str]) -> Instance:
    """A chest radiograph of 200 rows and 180 columns."""
    attributes = {"Modality": "DX", "Rows": "200", "Columns": "180", "ImageType": "ORIGINAL\\PRIMARY", **said}
    bare = replace(instance(number, 0.0), sop_class_uid=sop_class_uid, frames=(Frame(1, None, {}),))
    return replace(bare, attributes=attributes)


def only(each: Instance) -> Projection:
    (part,) = split([each])
    assert isinstance(part, Projection)
    return part


@pytest.mark.parametrize(
    ("attributes", "between_rows_mm", "source", "calibrated"),
    [
        pytest.param({"PixelSpacing": "0.2\\0.3"}, 0.2, "of unknown origin", False, id="pixel spacing alone"),
        pytest.param(
            {"PixelSpacing": "0.15\\0.15", "PixelSpacingCalibrationType": "FIDUCIAL", "ImagerPixelSpacing": "0.2\\0.2"},
            0.15,
            "calibrated by fiducial",
            True,
            id="calibrated with a fiducial",
        ),
        pytest.param(
            {"PixelSpacing": "0.2\\0.2", "ImagerPixelSpacing": "0.20000\\0.2"},
            0.2,
            "at the detector",
            False,
            id="pixel spacing is that of the detector",
        ),
        pytest.param(
            {"PixelSpacing": "0.17\\0.17", "ImagerPixelSpacing": "0.2\\0.2"},
            0.17,
            "calibrated, it is not said how",
            True,
            id="pixel spacing differs from that of the detector",
        ),
        pytest.param({"ImagerPixelSpacing": "0.2\\0.2"}, 0.2, "at the detector", False, id="detector alone"),
        pytest.param(
            {"ImagerPixelSpacing": "0.2\\0.2", "EstimatedRadiographicMagnificationFactor": "1.25"},
            0.16,
            "at the detector, divided by a magnification of 1.25",
            False,
            id="detector and magnification",
        ),
        pytest.param({"NominalScannedPixelSpacing": "0.1\\0.1"}, 0.1, "of the scanned film", False, id="film"),
    ],
)
def test_the_best_of_three_spacings_is_taken_and_named(
    attributes: dict[str, str], between_rows_mm: float, source: str, calibrated: bool
) -> None:
    scale = only(image(said=attributes)).scale
    assert scale is not None
    assert scale.spacing.between_rows_mm == pytest.approx(between_rows_mm)
    assert (scale.source, scale.calibrated) == (source, calibrated)


def test_rows_come_before_columns() -> None:
    scale = only(image(said={"PixelSpacing": "0.2\\0.3"})).scale
    assert scale is not None
    assert scale.spacing == PixelSpacing(between_rows_mm=0.2, between_columns_mm=0.3)


@pytest.mark.parametrize("text", ["", "0.2", "0\\0.2", "a\\b", "nan\\0.2", "-1\\1"])
def test_a_spacing_that_is_none_is_not_invented(text: str) -> None:
    assert only(image(said={"PixelSpacing": text})).scale is None


@pytest.mark.parametrize(
    ("said", "view"),
    [
        pytest.param({"ViewPosition": "AP", "PatientPosition": "PA"}, "AP", id="where it belongs"),
        pytest.param({"PatientPosition": "PA"}, "PA", id="where some converters put it"),
        pytest.param({"PatientPosition": "HFS"}, "", id="a patient who lies on the back"),
        pytest.param({"PatientPosition": "XX"}, "", id="no position at all"),
    ],
)
def test_a_view_is_found_where_it_is_said(said: dict[str, str], view: str) -> None:
    assert only(image(said=said)).facts.view == view


def test_the_facts_of_a_radiograph_are_those_of_its_header() -> None:
    facts = only(image(said={"BodyPartExamined": "CHEST", "PatientAge": "004Y"})).facts
    assert facts == RadiographFacts(view="", body_part="CHEST", age_years=4.0, rows=200, columns=180)


def test_every_image_of_a_series_is_an_input_of_its_own() -> None:
    frontal = image(number=1, said={"ViewPosition": "PA"})
    lateral = image(number=2, said={"ViewPosition": "LL", "ImageLaterality": "L"})
    parts = split([frontal, lateral])
    seen = [(part.facts.view, part.laterality) for part in parts if isinstance(part, Projection)]
    assert seen == [("PA", ""), ("LL", "L")]
    assert len({part.stack_id for part in parts}) == 2


@pytest.mark.parametrize(
    ("sop_class_uid", "modality", "is_one"),
    [
        pytest.param(CR, "CR", True, id="computed radiography"),
        pytest.param(SECONDARY_CAPTURE, "DX", True, id="captured radiograph"),
        pytest.param(SECONDARY_CAPTURE, "CT", False, id="captured CT"),
        pytest.param("1.2.840.10008.5.1.4.1.1.2", "CT", False, id="CT without a place"),
    ],
)
def test_only_radiographs_need_no_place_in_the_patient(sop_class_uid: str, modality: str, is_one: bool) -> None:
    (part,) = split([image(sop_class_uid, said={"Modality": modality})])
    assert isinstance(part, Projection) is is_one
    assert is_one or (isinstance(part, Refusal) and part.reason is Reason.NO_GEOMETRY)
