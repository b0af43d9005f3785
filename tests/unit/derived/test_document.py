"""Encapsulated PDFs: what they say, and mutations that their proof has to catch."""

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from pydicom import Dataset

from models.findings import Findings
from service.core.errors import Unproven
from service.derived import document, document_proof
from service.derived.encoding import decode, encode
from service.derived.material import Material
from tests import factories, pictures

LONG = factories.LABELS[0].model_copy(
    update={"name": "Segment VIII of the liver (right anterosuperior), as named by Couinaud; veins \\ not included"}
)
CASES: dict[str, Callable[[], Material]] = {
    "volume": pictures.volume,
    "nothing found": lambda: pictures.volume(findings=factories.findings(array=np.zeros((12, 40, 30), dtype=np.uint8))),
    "long name": lambda: pictures.volume(findings=factories.findings(structures=(LONG, *factories.LABELS[1:]))),
    "name in other letters": lambda: pictures.volume(findings=_in_other_letters()),
    "more than a page": lambda: pictures.volume(findings=_many()),
    "radiograph": pictures.chest,
    "negative radiograph": lambda: pictures.chest(pictures.negative()),
}


def _in_other_letters() -> Findings:
    named = factories.LABELS[0].model_copy(update={"name": "Gro\u00dfhirn \u809d\u81d3"})
    return factories.findings(structures=(named, *factories.LABELS[1:]))


def _many() -> Findings:
    labels = [factories.LABELS[0].model_copy(update={"value": n, "name": f"Vertebra {n}"}) for n in range(1, 91)]
    return factories.findings(structures=labels)


@cache
def _built() -> bytes:
    (dataset,) = document.build(pictures.chest(), {})
    return encode(dataset)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_is_built_is_proven(case: Callable[[], Material]) -> None:
    material = case()

    document_proof.prove(pictures.read_back(document.build(material, {})), material, {})


def test_the_same_material_makes_the_same_bytes() -> None:
    (again,) = document.build(pictures.chest(), {})

    assert encode(again) == _built()


def test_nobody_is_named() -> None:
    pdf = bytes(decode(_built()).EncapsulatedDocument)

    assert not re.search(rb"Phantom|PHANTOM", pdf)
    assert decode(_built()).BurnedInAnnotation == "NO"


def test_it_says_what_made_it() -> None:
    said = " ".join(document_proof.texts(bytes(decode(_built()).EncapsulatedDocument)))

    assert "AI result: abdomen 1.0.0" in said
    assert factories.ALGORITHM.weights_sha256 in said
    assert document.WARNING in said


def test_what_was_looked_for_in_vain_is_said_in_words() -> None:
    nothing = pictures.chest(pictures.negative())

    said = " ".join(document_proof.texts(document.written(nothing)))

    assert "Nothing was found. Looked for, not found: Pneumonia, Pleural effusion." in said


def _replace(old: bytes, new: bytes) -> Callable[[Dataset], object]:
    def change(dataset: Dataset) -> None:
        assert old in dataset.EncapsulatedDocument
        dataset.EncapsulatedDocument = dataset.EncapsulatedDocument.replace(old, new)

    return change


def _one_pixel(dataset: Dataset) -> None:
    pdf = dataset.EncapsulatedDocument
    at = pdf.index(b"stream", pdf.index(b"/Subtype /Image")) + 4000
    dataset.EncapsulatedDocument = pdf[:at] + bytes([pdf[at] ^ 1]) + pdf[at + 1 :]


MUTATIONS: dict[str, tuple[Callable[[Dataset], object], str]] = {
    "other probability": (_replace(b"(87 %)", b"(37 %)"), "probability of Pneumonia"),
    "negative called positive": (_replace(b"(negative:", b"(positive:"), "probability of Pleural effusion"),
    "finding left out": (_replace(b"(Pleural effusion)", b"(                )"), "probability of Pleural effusion"),
    "warning left out": (_replace(b"NOT VERIFIED", b"VERIFIED    "), "warning"),
    "provenance changed": (_replace(b"abab", b"cbab"), "the one that was made"),
    "length": (lambda dataset: setattr(dataset, "EncapsulatedDocumentLength", 1000), "padding of the document"),
    "type": (lambda dataset: setattr(dataset, "MIMETypeOfEncapsulatedDocument", "text/XML"), "MIME type"),
    "source forgotten": (lambda dataset: dataset.SourceInstanceSequence.clear(), "source instances"),
    "other patient": (lambda dataset: setattr(dataset, "PatientID", "SOMEBODY"), "PatientID"),
    "attribute missing": (lambda dataset: dataset.__delattr__("DocumentTitle"), "DocumentTitle"),
}


@pytest.mark.parametrize(("change", "sentence"), MUTATIONS.values(), ids=MUTATIONS.keys())
def test_a_changed_document_is_caught(change: Callable[[Dataset], object], sentence: str) -> None:
    changed = decode(_built())
    change(changed)

    with pytest.raises(Unproven, match=sentence):
        document_proof.prove([changed], pictures.chest(), {})


def test_a_document_of_other_findings_is_caught() -> None:
    findings = factories.findings()
    first = replace(findings.regions[0], voxels=1, volume_ml=7.5)
    other = pictures.volume(findings=replace(findings, regions=(first, *findings.regions[1:])))
    written = pictures.read_back(document.build(other, {}))

    with pytest.raises(Unproven, match="volume of Liver in the document"):
        document_proof.prove(written, pictures.volume(), {})


def test_another_picture_is_caught() -> None:
    shown = pictures.chest()
    turned = replace(shown, image=replace(shown.image, values=shown.image.values[:, ::-1].copy()))  # type: ignore[type-var, union-attr]

    with pytest.raises(Unproven, match="differ from the sheet"):
        document_proof.prove([decode(_built())], turned, {})
