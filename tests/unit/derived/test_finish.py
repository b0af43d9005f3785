"""What every object of this node has in common."""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydicom import Dataset

from service.core.identity import IMPLEMENTATION_CLASS_UID
from service.derived.encoding import decode, encode
from service.derived.finish import device_uid
from service.derived.origin import Origin
from service.derived.standard import absent_attributes
from tests import factories


def _objects(sources: Sequence[Dataset], origin: Origin = factories.ORIGIN) -> dict[str, bytes]:
    made = factories.objects(factories.material(sources, origin=origin))
    return {dataset.Modality: encode(dataset) for datasets in made.values() for dataset in datasets}


@pytest.fixture
def sources() -> list[Dataset]:
    return factories.headers(factories.mr_series())


def test_two_builds_a_second_apart_give_equal_bytes(sources: list[Dataset]) -> None:
    first = _objects(sources)
    time.sleep(1.1)

    assert _objects(sources) == first


def test_another_job_gives_other_instances_and_series(sources: list[Dataset]) -> None:
    names = {
        (data.SOPInstanceUID, data.SeriesInstanceUID)
        for job_id in ("one", "two")
        for data in map(decode, _objects(sources, replace(factories.ORIGIN, job_id=job_id)).values())
    }

    assert len(names) == 4
    assert len({uid for pair in names for uid in pair}) == 8


@pytest.mark.parametrize("kind", ["SEG", "SR"])
def test_an_object_says_that_it_is_the_work_of_an_algorithm_and_of_which(sources: list[Dataset], kind: str) -> None:
    made = decode(_objects(sources)[kind])

    algorithm = made.ContributingEquipmentSequence[1]
    assert made.SeriesDescription == "AI abdomen 1.0.0"
    assert (made.Manufacturer, made.SoftwareVersions) == ("Isocenter", "0.1.0")
    assert (algorithm.ManufacturerModelName, algorithm.SoftwareVersions) == ("abdomen", "1.0.0")
    assert algorithm.PurposeOfReferenceCodeSequence[0].CodeMeaning == "Processing Algorithm"
    assert algorithm.DeviceUID == device_uid(factories.ALGORITHM)
    assert made.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID


def test_a_chain_is_followed_by_the_steps_that_it_asked(sources: list[Dataset]) -> None:
    steps = (
        replace(factories.ALGORITHM, package="coarse"),
        replace(factories.ALGORITHM, package="fine", version="2.0.0"),
    )
    findings = replace(factories.findings(), algorithm=replace(factories.ALGORITHM, steps=steps))
    for (made,) in factories.objects(factories.material(sources, findings)).values():
        _, chain, first, second, _ = decode(encode(made)).ContributingEquipmentSequence
        assert chain.DeviceUID == device_uid(factories.ALGORITHM)
        assert first.ContributionDescription.startswith("step 1 of 2 of abdomen 1.0.0: package coarse 1.0.0; weights ")
        assert second.ContributionDescription.startswith("step 2 of 2 of abdomen 1.0.0: package fine 2.0.0; weights ")


def test_other_weights_are_another_device() -> None:
    assert device_uid(factories.ALGORITHM) != device_uid(replace(factories.ALGORITHM, weights_sha256="cd" * 32))


@pytest.mark.parametrize("kind", ["SEG", "SR"])
@pytest.mark.parametrize(
    ("character_set", "name", "description"),
    [
        ("ISO_IR 100", "Müller^Jürgen", "Schädel"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", "頭部"),
        ("ISO_IR 192", "Łukasz^Żak", "głowa"),
    ],
    ids=["Latin 1", "Japanese", "UTF-8"],
)
def test_patient_and_study_are_copied_as_they_are(
    sources: list[Dataset], kind: str, character_set: str, name: str, description: str
) -> None:
    for source in sources:
        source.PatientName = name
        source.SpecificCharacterSet = character_set
        source.PatientAge, source.PatientWeight, source.StudyDescription = "044Y", "71.5", description
        source.ProcedureCodeSequence = [_code("HEAD", description)]
    encoded = [encode(_with_file_meta(source)) for source in sources]

    made = decode(_objects([decode(image) for image in encoded])[kind])

    assert str(made.PatientName) == name
    assert (made.PatientAge, made.PatientWeight, made.StudyDescription) == ("044Y", 71.5, description)
    assert made.ProcedureCodeSequence[0].CodeMeaning == description


@pytest.mark.parametrize("kind", ["SEG", "SR"])
def test_sources_without_type_2_attributes_still_give_complete_objects(sources: list[Dataset], kind: str) -> None:
    for source in sources:
        for keyword in ("PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyTime", "AccessionNumber"):
            del source[keyword]
        del source.BodyPartExamined, source.SliceThickness, source.ReferringPhysicianName
        source.SeriesNumber, source.Manufacturer, source.StudyDate = None, "", ""

    made = decode(_objects(sources)[kind])

    assert absent_attributes(made) == []
    assert str(made.PatientName) == ""
    assert len(made.ContributingEquipmentSequence) == 2  # equipment without a manufacturer cannot be named


@pytest.mark.parametrize("value", ["WEIBLICH", "U", ""])
def test_a_sex_that_no_edition_lists_is_copied_and_stops_nothing(sources: list[Dataset], value: str) -> None:
    for source in sources:
        source.add_new("PatientSex", "CS", value)

    assert (decode(_objects(sources)["SEG"]).PatientSex or "") == value


def test_a_segmentation_of_a_phantom_is_marked_as_one_too(sources: list[Dataset]) -> None:
    assert decode(_objects(sources)["SEG"]).QualityControlImage == "YES"


def test_image_attributes_are_kept_out_of_the_report(sources: list[Dataset]) -> None:
    made = {kind: decode(encoded) for kind, encoded in _objects(sources).items()}

    assert made["SEG"].BodyPartExamined == "ABDOMEN"
    assert "BodyPartExamined" not in made["SR"]


def test_times_are_those_of_the_input_in_the_zone_that_the_source_declares(sources: list[Dataset]) -> None:
    for source in sources:
        source.TimezoneOffsetFromUTC = "+0200"
    origin = replace(factories.ORIGIN, made_at=datetime(2026, 2, 3, 23, 30, tzinfo=UTC))

    made = decode(_objects(sources, origin)["SR"])

    assert (made.ContentDate, made.ContentTime, made.TimezoneOffsetFromUTC) == ("20260204", "013000.000000", "+0200")


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "99SITE", meaning
    return item


def _with_file_meta(source: Dataset) -> Dataset:
    original = factories.ct_series()[0]
    source.file_meta = original.file_meta
    source.file_meta.MediaStorageSOPClassUID = source.SOPClassUID
    source.file_meta.MediaStorageSOPInstanceUID = source.SOPInstanceUID
    return source
