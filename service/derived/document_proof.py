"""The proof of an encapsulated PDF: its text says every finding with its number, and its picture is the sheet."""

import re
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from models.findings import Findings
from service.core.errors import Unproven
from service.derived.checks import close, prove_file, prove_identity, prove_required_attributes, prove_volumes, same
from service.derived.companion import burned_in, references
from service.derived.document import WARNING, printable, written
from service.derived.material import Made, Material
from service.derived.montage import first_sheet
from service.derived.wording import marks

_BETWEEN = "\x1f"  # texts that the PDF shows one after the other
_TEXT = re.compile(rb"\(((?:\\.|[^\\()])*)\) Tj")
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_NUMBER = r"([0-9.]+)"
_SHARE = 0.006  # of a number below 10, or a twentieth of any other: what its digits leave out
_STREAM = re.compile(rb"(.*?)\nstream\n", re.DOTALL)


def prove(objects: Sequence[Dataset], material: Material, made: Made) -> None:
    """Raise Unproven unless the one document holds the PDF that was made, and that says what was found."""
    del made
    (document,) = objects
    sources, findings = material.sources, material.findings
    prove_volumes(findings)
    prove_file(document, EncapsulatedPDFStorage)
    prove_identity(document, sources)
    prove_required_attributes(document)
    same("Burned In Annotation", document.BurnedInAnnotation, burned_in(sources))
    same("MIME type", document.MIMETypeOfEncapsulatedDocument, "application/pdf")
    instances = {source.SOPInstanceUID for source in sources}
    same("source instances", {each.sop_instance_uid for each in references(document.SourceInstanceSequence)}, instances)
    pdf = bytes(document.EncapsulatedDocument)[: int(document.EncapsulatedDocumentLength)]
    same("padding of the document", len(document.EncapsulatedDocument) - len(pdf), len(pdf) % 2)
    streams = list(_streams(pdf))
    _prove_words(texts(pdf), findings)
    _prove_picture(streams, np.asarray(first_sheet(material).image))
    same("whether the PDF is the one that was made", pdf == written(material), True)


def texts(pdf: bytes) -> list[str]:
    """What the pages of an uncompressed PDF show, in its order."""
    pages = (content for header, content in _streams(pdf) if b"/Subtype" not in header)
    return [_ESCAPED.sub(rb"\1", text).decode("latin-1") for page in pages for text in _TEXT.findall(page)]


def _streams(pdf: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Dictionary and content of every object that has a stream, by the table of objects (ISO 32000-1, 7.5.4)."""
    table = re.search(rb"\nxref\n0 (\d+)\n", pdf)
    if table is None:
        raise Unproven("PDF: the object has no table of objects, it should have one")
    for number in range(1, int(table[1])):
        row = pdf[table.end() + 20 * number : table.end() + 20 * number + 20]
        start = int(row[:10])
        header = _STREAM.match(pdf, start)
        if header is not None and b"endobj" not in header[1]:
            length = re.search(rb"/Length (\d+)", header[1])
            yield header[1], pdf[header.end() : header.end() + int(length[1] if length else 0)]


def _prove_words(said: Sequence[str], findings: Findings) -> None:
    """Every structure stands before its own number, every score before its probability, and the warning is there."""
    same("warning", WARNING in said, True)
    text = _BETWEEN.join(said)
    for region in findings.regions:
        if not region.voxels:
            _found(text, region.name, "not found")
            continue
        amounts = np.array([float(number) for number in re.findall(_cell(region.name) + _NUMBER + " ml", text)])
        tolerance = 0.051 if region.volume_ml >= 10 else _SHARE
        close(f"volume of {region.name} in the document in ml", amounts, np.array([region.volume_ml]), tolerance)
    for score in findings.scores:
        judged = "positive" if score.is_positive else "negative"
        percent = f"[<>]?{_NUMBER} %{_BETWEEN}{judged}"
        amounts = np.array([float(number) for number in re.findall(_cell(score.term.name) + percent, text)])
        close(f"probability of {score.term.name} in the document", amounts, np.array([100 * score.probability]), 1.0)
    for mark in marks(findings):
        probability = "" if mark.probability is None else "[<>]?[0-9]+ %"
        _found(text, mark.term.name, probability)


def _found(text: str, name: str, amount: str) -> None:
    same(f"whether {name} stands there as {amount}", bool(re.search(_cell(name) + amount, text)), True)


def _cell(name: str) -> str:
    """A pattern for a name at the beginning of a row, in however many lines, before the next cell."""
    letters = (f"[ {_BETWEEN}]" if letter == " " else re.escape(letter) for letter in printable(name))
    return f"(?:^|{_BETWEEN})" + f"{_BETWEEN}?".join(letters) + _BETWEEN


def _prove_picture(streams: Sequence[tuple[bytes, bytes]], sheet: NDArray[np.uint8]) -> None:
    """The one picture in the PDF, (row, column, 3), is the sheet."""
    pictures = [(header, content) for header, content in streams if b"/Subtype /Image" in header]
    same("pictures in the PDF", len(pictures), 1)
    ((header, content),) = pictures
    rows, columns = sheet.shape[:2]
    size = [re.search(rb"/" + side + rb" (\d+)", header) for side in (b"Height", b"Width")]
    same("size of the picture", [int(each[1]) if each else 0 for each in size], [rows, columns])
    lines = np.frombuffer(zlib.decompress(content), np.uint8).reshape(rows, -1)
    pixels = lines[:, 1:].reshape(rows, columns, 3)  # each line begins with the number of its filter, none
    same("filters of the picture", int(lines[:, 0].max()), 0)
    same("pixels of the picture that differ from the sheet", int(np.count_nonzero((pixels != sheet).any(axis=2))), 0)
