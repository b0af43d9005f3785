"""What is said when a model did not run, and what is held back because it says something else."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
from PIL import ImageFont
from pydicom import Dataset

from service.core.errors import Unproven
from service.core.jobs import Job, State
from service.core.refusals import Notice, SayWhyNot
from service.derived import not_analysed, page
from service.derived.encoding import decode, encode
from service.derived.notice_proof import prove_notice_picture, prove_notice_report
from tests import factories

NOTICE = Notice("Liver on CT", "hole: 1 of 12 slices missing", "Send it again.", SayWhyNot.BOTH)
JOB = Job("j", "s", "1.2.3", "1.2", "liver", "1.0.0", "r", ("pacs",), State.INFERRED, 0, datetime(2026, 1, 1), NOTICE)


@pytest.fixture
def sources() -> list[Dataset]:
    return factories.headers(factories.ct_series(missing=[5]))


def said(sources: list[Dataset]) -> tuple[not_analysed.Line, ...]:
    return not_analysed.lines(sources, JOB, NOTICE, factories.ORIGIN)


def texts(sources: list[Dataset]) -> list[str]:
    return [line.text for line in said(sources)]


def made(sources: list[Dataset]) -> dict[str, bytes]:
    builders = {"SR": not_analysed.build_report, "OT": not_analysed.build_picture}
    return {kind: encode(build(sources, said(sources), NOTICE, factories.ORIGIN)) for kind, build in builders.items()}


def prove(kind: str, encoded: bytes, sources: list[Dataset]) -> None:
    if kind == "SR":
        prove_notice_report(decode(encoded), sources, texts(sources))
    else:
        prove_notice_picture(decode(encoded), sources, not_analysed.drawn(said(sources)))


def test_it_says_in_words_which_model_which_series_why_and_what_to_do(sources: list[Dataset]) -> None:
    assert texts(sources) == [
        "Liver on CT (liver 1.0.0) has not run.",
        "Computed phantom, number 1, 11 images",
        "hole: 1 of 12 slices missing",
        "Send it again.",
        "No finding is implied: neither that something was found, nor that all is normal.",
        "Isocenter 0.1.0, of images received 2026-02-03 04:05",
    ]


def test_a_series_without_description_and_number_is_still_named(sources: list[Dataset]) -> None:
    for source in sources:
        source.SeriesDescription, source.SeriesNumber = "", None
    assert texts(sources[:1])[1] == "without a description, no number, 1 image"


def test_building_twice_gives_the_same_bytes(sources: list[Dataset]) -> None:
    assert made(sources) == made(sources)


@pytest.mark.parametrize("kind", ["SR", "OT"])
def test_an_object_is_no_algorithms_result_and_has_a_series_of_its_own(sources: list[Dataset], kind: str) -> None:
    objects = {name: decode(encoded) for name, encoded in made(sources).items()}

    assert objects[kind].SeriesDescription == "AI not analysed: Liver on CT"
    assert [item.ManufacturerModelName for item in objects[kind].ContributingEquipmentSequence] == ["Phantom"]
    assert objects["SR"].SeriesInstanceUID != objects["OT"].SeriesInstanceUID
    assert (objects["SR"].SeriesNumber, objects["OT"].SeriesNumber) == (9003, 9004)
    assert objects["SR"].ConceptNameCodeSequence[0].CodeMeaning == "NOT ANALYSED"


@pytest.mark.parametrize("kind", ["SR", "OT"])
def test_what_was_made_is_proven(sources: list[Dataset], kind: str) -> None:
    prove(kind, made(sources)[kind], sources)


def _another_patient(dataset: Dataset) -> None:
    dataset.PatientID = "PHANTOM-OTHER"


def _another_word(dataset: Dataset) -> None:
    dataset.ContentSequence[5].TextValue = "all is normal"


def _another_image(dataset: Dataset) -> None:
    evidence = dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    evidence.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.3"


def _another_pixel(dataset: Dataset) -> None:
    dataset.PixelData = dataset.PixelData[:-1] + b"\xff"


def _another_source(dataset: Dataset) -> None:
    dataset.ReferencedImageSequence[0].ReferencedSOPInstanceUID = "1.2.3"


@pytest.mark.parametrize(
    ("kind", "change", "check"),
    [
        pytest.param("SR", _another_patient, "PatientID", id="patient of the report"),
        pytest.param("OT", _another_patient, "PatientID", id="patient of the picture"),
        pytest.param("SR", _another_word, "texts", id="text"),
        pytest.param("SR", _another_image, "evidence", id="evidence"),
        pytest.param("OT", _another_pixel, "pixels", id="pixel"),
        pytest.param("OT", _another_source, "source image", id="source"),
    ],
)
def test_an_object_that_says_something_else_is_held_back(
    sources: list[Dataset], kind: str, change: Callable[[Dataset], None], check: str
) -> None:
    changed = decode(made(sources)[kind])
    change(changed)
    with pytest.raises(Unproven, match=check):
        prove(kind, encode(changed), sources)


@pytest.mark.parametrize("kind", ["SR", "OT"])
def test_images_of_two_patients_give_no_object(sources: list[Dataset], kind: str) -> None:
    sources[-1].PatientID = "PHANTOM-OTHER"
    with pytest.raises(Unproven, match="PatientID"):
        prove(kind, made(sources)[kind], sources)


@pytest.mark.parametrize("text", ["word " * 80, "x" * 300, "Schädel 頭部 " * 20], ids=["words", "one word", "scripts"])
def test_a_long_text_is_shown_whole_within_the_page(text: str) -> None:
    rows = page.wrap(text, 700)
    assert "".join(rows).replace(" ", "") == text.replace(" ", "")
    assert max(ImageFont.load_default(26).getlength(row) for row in rows) <= 700


def test_the_page_grows_with_its_text(sources: list[Dataset]) -> None:
    long = replace(said(sources)[2], text="hole and more " * 150)
    assert not_analysed.drawn([long, *said(sources)]).shape[0] > not_analysed.drawn(said(sources)).shape[0] + 700
    assert np.unique(not_analysed.drawn([long])[-40:]).size == 1  # an empty margin below the last line
