"""What has changed between two results: how much, by how many percent, in which time, and which lesions."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from models.findings import Change, Findings
from service.core.comparison import (
    CUBIC_CENTIMETRE_PER_YEAR,
    GONE,
    LARGER,
    NEW,
    OUTSIDE,
    SMALLER,
    UNCHANGED,
    VOLUME_DIFFERENCE,
    VOLUME_DIFFERENCE_PER_YEAR,
    VOLUME_DIFFERENCE_PERCENT,
    compared,
    differences,
    structure_key,
    volumes,
)
from service.core.priors import Followed, Following, MeasuredVolume, Prior, Result, Subject
from tests import factories

THEN, NOW = date(2025, 3, 1), date(2026, 3, 1)  # 365 days
LIVER, SPLEEN, LESION = (structure_key(label) for label in factories.LAYERED)


def result(volumes_of: Sequence[MeasuredVolume], version: str = "1.0.0") -> Result:
    subject = Subject("p", "i", THEN, "1.2.3", "1.2.3.4", "")
    return Result("job", "stack", subject, "abdomen", version, tuple(volumes_of))


def since(findings: Findings, earlier: Result, following: Following | None = None) -> list[Change]:
    return list(compared(findings, Prior(earlier), "1.0.0", NOW, following).changes)


def scaled(findings: Findings, factor: float) -> list[MeasuredVolume]:
    return [replace(each, volume=each.volume * factor) for each in volumes(findings)]


def test_a_change_is_told_in_ml_in_percent_and_per_year_between_study_dates() -> None:
    findings = factories.findings()

    liver, spleen = since(findings, result(scaled(findings, 0.5)))

    now_ml = findings.regions[0].volume_ml
    assert (liver.before.value, liver.after.value) == (now_ml / 2, now_ml)
    assert (liver.measured_before_on, liver.earlier_series_uid) == (THEN, "1.2.3.4")
    assert [each.name for each in liver.differences] == [
        VOLUME_DIFFERENCE,
        VOLUME_DIFFERENCE_PERCENT,
        VOLUME_DIFFERENCE_PER_YEAR,
    ]
    assert [each.value for each in liver.differences] == pytest.approx([now_ml / 2, 100, now_ml / 2 * 365.25 / 365])
    assert liver.differences[2].unit == CUBIC_CENTIMETRE_PER_YEAR
    assert spleen.term.name == "Spleen"  # and no kidney: neither study has one


def test_nothing_grows_in_percent() -> None:
    assert [each.name for each in differences(0.0, 2.0, 365)] == [VOLUME_DIFFERENCE, VOLUME_DIFFERENCE_PER_YEAR]


def test_what_is_gone_lost_all_of_it() -> None:
    assert [each.value for each in differences(2.0, 0.0, 365)][:2] == [-2.0, -100.0]


def test_a_few_days_are_no_year() -> None:
    assert [each.name for each in differences(1.0, 2.0, 29)] == [VOLUME_DIFFERENCE, VOLUME_DIFFERENCE_PERCENT]
    assert len(differences(1.0, 2.0, 30)) == 3


def test_another_version_of_the_model_is_told_with_every_change() -> None:
    findings = factories.findings()

    changes = since(findings, result(scaled(findings, 0.5), version="0.9.0"))

    assert {each.remark for each in changes} == {"Earlier by version 0.9.0 of the model, now by 1.0.0."}


MISSING = {
    "the earlier version knew no liver": [MeasuredVolume(SPLEEN, 0, 0.1, "cm3")],
    "the unit is not there": [MeasuredVolume(LIVER, 0, 0.1, ""), MeasuredVolume(SPLEEN, 0, 0.1, "cm3")],
    "the unit is another one": [MeasuredVolume(LIVER, 0, 0.1, "mm3"), MeasuredVolume(SPLEEN, 0, 0.1, "cm3")],
}


@pytest.mark.parametrize("measured", MISSING.values(), ids=MISSING.keys())
def test_a_structure_without_a_volume_then_is_not_compared_and_the_others_are(measured: list[MeasuredVolume]) -> None:
    assert [each.term.name for each in since(factories.findings(), result(measured))] == ["Spleen"]


def test_without_a_prior_the_findings_stay_as_they_are() -> None:
    findings = factories.findings()

    assert compared(findings, None, "1.0.0", NOW) is findings


def test_the_reason_why_nothing_is_compared_is_told() -> None:
    told = compared(factories.findings(), Prior(None, "whose it is"), "1.0.0", NOW)

    assert (told.changes, told.not_compared) == ((), "whose it is")


def lesion(volume: float, number: int = 1) -> MeasuredVolume:
    return MeasuredVolume(LESION, number, volume, "cm3")


ML = [region.volume_ml for region in factories.layered().regions if region.lesion]  # of both lesions
FATES = {
    "new": (Followed(LESION, (1,), (), True), [lesion(5.0, 3)], "Liver lesion 1", NEW),
    "gone": (Followed(LESION, (), (3,), True), [lesion(5.0, 3)], "Liver lesion 3 of the earlier study", GONE),
    "larger": (Followed(LESION, (1,), (1,), True), [lesion(ML[0] * 0.7)], "Liver lesion 1", LARGER),
    "smaller": (Followed(LESION, (2,), (1,), True), [lesion(ML[1] * 1.4)], "Liver lesion 2", SMALLER),
    "as large": (Followed(LESION, (1,), (1,), True), [lesion(ML[0] * 1.2)], "Liver lesion 1", UNCHANGED),
}


@pytest.mark.parametrize(("group", "before", "name", "size"), FATES.values(), ids=FATES.keys())
def test_each_lesion_has_a_fate(group: Followed, before: list[MeasuredVolume], name: str, size: object) -> None:
    *_, change = since(factories.layered(), result(before), Following((group,)))

    assert (change.term.name, change.size) == (name, size)


def test_lesions_that_became_one_are_compared_together_and_said_to_be_several() -> None:
    before = [lesion(ML[0] / 2, 1), lesion(ML[0] / 2, 2)]

    *_, change = since(factories.layered(), result(before), Following((Followed(LESION, (1,), (1, 2), True),)))

    assert change.before.value == pytest.approx(ML[0])
    assert change.size == UNCHANGED
    assert change.remark == "Lesions now: 1; in the same place earlier: 2."


def test_what_one_of_the_images_does_not_show_is_neither_new_nor_gone() -> None:
    *_, change = since(factories.layered(), result([lesion(5.0)]), Following((Followed(LESION, (1,), (), False),)))

    assert (change.size, change.remark) == (None, OUTSIDE)


def test_lesions_that_are_not_matched_are_compared_all_together_with_the_reason() -> None:
    (change,) = since(factories.layered(), result([lesion(5.0)]), Following((), "the images have left"))

    assert change.after.value == pytest.approx(sum(ML))
    assert change.remark == "The lesions are not matched one by one: the images have left."


def test_what_neither_study_has_is_not_compared() -> None:
    nothing = factories.findings(array=np.zeros(factories.grid().shape, dtype=np.uint8))

    assert since(nothing, result(volumes(nothing))) == []
