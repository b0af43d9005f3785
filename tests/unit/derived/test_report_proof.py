"""Mutations of everything that a report says, each of which its proof has to catch."""

from collections.abc import Callable

import pytest
from pydicom import Dataset

from service.core.errors import Unproven
from service.core.profiles import Kind, Profile
from service.derived import measurement_report, report_proof, segmentation
from service.derived.encoding import decode, encode
from service.derived.material import Material
from tests import factories

GRID = factories.grid("axial")
SOURCES = factories.headers(factories.ct_series(GRID))
FINDINGS = factories.rich_findings(GRID)
MATERIAL = factories.material(SOURCES, FINDINGS)
DRAWN = [decode(encode(each)) for each in segmentation.build(MATERIAL, {})]
REPORT = encode(measurement_report.build(MATERIAL, {Kind.SEGMENTATION: DRAWN})[0])

LIVER, SPLEEN, KIDNEY, SCORE, BOX, POINT, IMAGE, EARLIER, NOW = 0, 1, 2, 3, 5, 6, 7, 8, 9
NOW_2, COMPARISON = 11, 12
VOLUME, LONG_AXIS, DIAMETER, ATTENUATION, PROBABILITY = "118565006", "103339001", "81827009", "112031", "122157"
DERIVATION, COMMENT, KEY_IMAGE, SURFACE, PRESENCE = "121401", "121106", "121080", "121231", "121052"


def _items(parent: Dataset, code: str) -> list[Dataset]:
    return [item for item in parent.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == code]


def _group(report: Dataset, index: int) -> Dataset:
    return _items(report, "126010")[0].ContentSequence[index]


def _item(report: Dataset, group: int, code: str, which: int = 0) -> Dataset:
    return _items(_group(report, group), code)[which]


def _valued(group: int, code: str, factor: float, which: int = 0) -> Callable[[Dataset], object]:
    def change(report: Dataset) -> None:
        measured = _item(report, group, code, which).MeasuredValueSequence[0]
        measured.NumericValue = round(float(measured.NumericValue) * factor, 6)

    return change


def _in_unit(group: int, code: str, unit: str) -> Callable[[Dataset], object]:
    def change(report: Dataset) -> None:
        _item(report, group, code).MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue = unit

    return change


def _derived_by(group: int, code: str, derivation: str) -> Callable[[Dataset], object]:
    def change(report: Dataset) -> None:
        _items(_item(report, group, code), DERIVATION)[0].ConceptCodeSequence[0].CodeValue = derivation

    return change


def _saying(group: int, code: str, keyword: str, value: str) -> Callable[[Dataset], object]:
    return lambda report: setattr(_item(report, group, code), keyword, value)


def _without(group: int, code: str) -> Callable[[Dataset], object]:
    def change(report: Dataset) -> None:
        _group(report, group).ContentSequence.remove(_item(report, group, code))

    return change


def _twice_tracked(report: Dataset) -> None:
    _item(report, SPLEEN, "112040").UID = _item(report, LIVER, "112040").UID


def _other_key_image(report: Dataset) -> None:
    _item(report, LIVER, KEY_IMAGE).ReferencedSOPSequence[0].ReferencedSOPInstanceUID = SOURCES[0].SOPInstanceUID


def _exchanged_measurements(report: Dataset) -> None:
    liver, spleen = (_item(report, group, VOLUME) for group in (LIVER, SPLEEN))
    liver.MeasuredValueSequence, spleen.MeasuredValueSequence = (
        spleen.MeasuredValueSequence,
        liver.MeasuredValueSequence,
    )


def _moved(group: int, by_mm: float) -> Callable[[Dataset], object]:
    def change(report: Dataset) -> None:
        surface = _item(report, group, SURFACE)
        surface.GraphicData = [float(mm) + by_mm for mm in surface.GraphicData]

    return change


def _repeated_face(report: Dataset) -> None:
    first, second = _items(_group(report, BOX), SURFACE)[:2]
    second.GraphicData = first.GraphicData


def _crossed_face(report: Dataset) -> None:
    surface = _item(report, BOX, SURFACE)
    surface.GraphicData = [*surface.GraphicData[:6], *surface.GraphicData[3:6], *surface.GraphicData[9:]]


def _called_positive(report: Dataset) -> None:
    _item(report, SCORE, PRESENCE).ConceptCodeSequence[0].CodeValue = "52101004"


def _certain(report: Dataset) -> None:
    around = _items(_item(report, IMAGE, ATTENUATION), "371886008")[0]
    around.MeasuredValueSequence[0].NumericValue = 1.0


def _uncertain_in_another_unit(report: Dataset) -> None:
    around = _items(_item(report, IMAGE, ATTENUATION), "371885007")[0]
    around.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue = "1"


def _exchanged_changes(report: Dataset) -> None:
    groups = _items(report, "126010")[0].ContentSequence
    groups[EARLIER], groups[NOW] = groups[NOW], groups[EARLIER]


MUTATIONS = {
    "difference doubled": (_valued(NOW_2, "VOLDIFF", 2), "VOLDIFF"),
    "difference per year left out": (_without(NOW_2, "VOLDIFFYEAR"), "number of measurements of Nodule"),
    "what became of a lesion left out": (_without(NOW_2, "442714003"), "measurement group of Nodule"),
    "other version left out": (_without(NOW_2, "121106"), "measurement group of Nodule"),
    "reason for no comparison left out": (_without(COMPARISON, "121106"), "measurement group of the image"),
    "doubled volume": (_valued(LIVER, VOLUME, 2), "of Liver in the report"),
    "volumes exchanged": (_exchanged_measurements, "of Liver in the report"),
    "volume in another unit": (_in_unit(SPLEEN, VOLUME, "mm3"), "mm3"),
    "longer axis": (_valued(LIVER, LONG_AXIS, 1.01), "103339001"),
    "shorter diameter": (_valued(SPLEEN, DIAMETER, 0.99), "81827009"),
    "diameter in cm": (_in_unit(LIVER, DIAMETER, "cm"), "of Liver in the report"),
    "diameter that is no maximum": (_derived_by(LIVER, DIAMETER, "373098007"), "of Liver in the report"),
    "diameter left out": (_without(LIVER, DIAMETER), "number of measurements of Liver"),
    "attenuation of another sign": (_valued(LIVER, ATTENUATION, -1), "112031"),
    "deviation halved": (_valued(LIVER, ATTENUATION, 0.5, 1), "112031"),
    "mean called deviation": (_derived_by(LIVER, ATTENUATION, "386136009"), "of Liver in the report"),
    "other probability": (_valued(LIVER, PROBABILITY, 0.9), "122157"),
    "probability as a share": (_in_unit(LIVER, PROBABILITY, "1"), "of Liver in the report"),
    "other place in words": (_saying(LIVER, COMMENT, "TextValue", "in the Spleen"), "group of Liver"),
    "other key image": (_other_key_image, "group of Liver"),
    "no key image": (_without(LIVER, KEY_IMAGE), "group of Liver"),
    "other tracking UID": (_saying(LIVER, "112040", "UID", "2.25.1"), "group of Liver"),
    "tracking UID of another": (_twice_tracked, "tracking UIDs"),
    "other tracking identifier": (_saying(LIVER, "112039", "TextValue", "abdomen"), "group of Liver"),
    "other algorithm": (_saying(SPLEEN, "111003", "TextValue", "1.0.1"), "group of Spleen"),
    "other series": (_saying(LIVER, "121232", "UID", "2.25.4"), "group of Liver"),
    "absence not stated": (_without(KIDNEY, PRESENCE), "group of Right kidney"),
    "score below its operating point called present": (_called_positive, "group of Nodule"),
    "other score": (_valued(SCORE, PROBABILITY, 1.1), "of Nodule in the report"),
    "moved face": (_moved(BOX, 0.5), "box of Nodule"),
    "one face twice": (_repeated_face, "faces of the box of Nodule"),
    "face that is no rectangle": (_crossed_face, "corners of a face"),
    "box without a face": (_without(BOX, SURFACE), "group of Nodule"),
    "moved point": (_moved(POINT, 0.1), "place of Nodule"),
    "other frame of reference": (
        _saying(POINT, SURFACE, "ReferencedFrameOfReferenceUID", "2.25.5"),
        "group of Nodule",
    ),
    "less uncertain": (_certain, "of the image in the report"),
    "uncertainty in another unit": (_uncertain_in_another_unit, "units of the uncertainty"),
    "earlier and now exchanged": (_exchanged_changes, "group of Liver"),
    "other earlier day": (_saying(EARLIER, "111060", "Date", "20250305"), "group of Liver"),
    "other earlier series": (_saying(EARLIER, "112002", "UID", "1.2.4"), "group of Liver"),
    "other earlier value": (_valued(EARLIER, DIAMETER, 1.2), "of Liver in the report"),
}


def _prove(report: Dataset, material: Material = MATERIAL) -> None:
    report_proof.prove([decode(encode(report))], material, {Kind.SEGMENTATION: DRAWN})


@pytest.mark.parametrize(("change", "sentence"), MUTATIONS.values(), ids=MUTATIONS.keys())
def test_a_changed_report_is_caught(change: Callable[[Dataset], object], sentence: str) -> None:
    report = decode(REPORT)
    change(report)

    with pytest.raises(Unproven, match=sentence):
        _prove(report)


def test_the_report_itself_is_proven() -> None:
    _prove(decode(REPORT))


def test_a_report_of_another_class_than_the_destination_takes_is_caught() -> None:
    with pytest.raises(Unproven, match="SOPClassUID"):
        _prove(decode(REPORT), factories.material(SOURCES, FINDINGS, profile=Profile(report="enhanced")))
