"""Findings as an Encapsulated PDF (PS3.3 A.45.1): a page of picture, table and provenance for people."""

from collections.abc import Sequence
from dataclasses import dataclass

from fpdf import FPDF
from fpdf.enums import TableBordersLayout, XPos, YPos
from fpdf.fonts import FontFace
from pydicom import Dataset
from pydicom.uid import EncapsulatedPDFStorage

from models.findings import Findings
from service.core.profiles import Kind
from service.derived import wording
from service.derived.companion import begun, burned_in, referenced
from service.derived.finish import MANUFACTURER, finish, provenance, steps
from service.derived.material import Made, Material
from service.derived.montage import first_sheet
from service.derived.wording import Line

WARNING = "AI RESULT - NOT VERIFIED - NOT FOR DIAGNOSIS"
HEADINGS = ("Finding", "Result", "More")
_FONT, _MARGIN_MM, _ROW_MM, _HIGHEST_MM = "helvetica", 15, 4.6, 120
_AMBER, _FAINT, _BLACK = (240, 180, 41), (90, 90, 90), (0, 0, 0)
_LIGHT, _WHITE = (232, 232, 232), (255, 255, 255)
_COLUMNS = (34, 18, 48)  # percent


@dataclass(frozen=True, slots=True)
class Page:
    """The words of the document, in their order."""

    title: str
    about: tuple[str, ...]
    table: tuple[Line, ...]
    said: str
    provenance: tuple[str, ...]


def build(material: Material, made: Made) -> list[Dataset]:
    """One document. It names an algorithm and images by their UIDs, and no patient."""
    del made
    pdf = written(material)
    document = begun(material, Kind.DOCUMENT, EncapsulatedPDFStorage)
    document.ConversionType = "WSD"
    document.AcquisitionDateTime = ""
    document.BurnedInAnnotation = burned_in(material.sources)
    document.SourceInstanceSequence = [_whole(item) for item in referenced(material.sources)]
    document.DocumentTitle = page(material).title
    document.ConceptNameCodeSequence = []  # no code says "result of an algorithm that nobody has verified"
    document.MIMETypeOfEncapsulatedDocument = "application/pdf"
    document.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    document.EncapsulatedDocumentLength = len(pdf)
    return [finish(document, material.sources[0], material.findings.algorithm, material.origin)]


def page(material: Material) -> Page:
    """What the document says."""
    findings, origin, source = material.findings, material.origin, material.sources[0]
    instances = len({str(each.SOPInstanceUID) for each in material.sources})
    return Page(
        title=f"AI result: {findings.algorithm.name} {findings.algorithm.version}",
        about=(
            f"Series {source.SeriesInstanceUID}",
            f"{source.get('Modality')}, {instances} image{'s' if instances > 1 else ''}, "
            f"received {origin.made_at:%Y-%m-%d %H:%M}",
        ),
        table=tuple(wording.lines(findings)),
        said=" ".join(filter(None, (_nothing(findings), wording.absent(findings), *findings.remarks))),
        provenance=(*provenance(findings.algorithm, origin).split("; "), *steps(findings.algorithm)),
    )


def written(material: Material) -> bytes:
    """The PDF: the same bytes for the same material. Its text stands in it uncompressed, in Latin-1."""
    said = page(material)
    pdf = FPDF(format="A4")
    pdf.set_compression(False)  # what it says can be read from its bytes
    pdf.set_creation_date(material.origin.made_at)
    pdf.set_title(printable(said.title))
    pdf.set_author(MANUFACTURER)
    pdf.set_producer(f"{MANUFACTURER} {printable(material.origin.software_version)}")
    pdf.set_margin(_MARGIN_MM)
    pdf.add_page()
    _heading(pdf, said)
    picture = first_sheet(material).image
    width_mm = min(pdf.epw, _HIGHEST_MM * picture.width / picture.height)
    pdf.image(picture, x=(pdf.w - width_mm) / 2, w=width_mm)
    pdf.ln(3)
    _table(pdf, said.table)
    _paragraphs(pdf, [said.said] if said.said else [], 9, _BLACK)
    _paragraphs(pdf, said.provenance, 7, _FAINT)
    return bytes(pdf.output())


def printable(text: str) -> str:
    """The text in the letters that every PDF reader has without fonts of ours (Latin-1); others become '?'."""
    return text.encode("latin-1", "replace").decode("latin-1")


def _heading(pdf: FPDF, said: Page) -> None:
    pdf.set_font(_FONT, "B", 11)
    pdf.set_fill_color(*_AMBER)
    pdf.cell(0, 8, WARNING, fill=True, align="C", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.ln(2)
    pdf.set_font(_FONT, "B", 15)
    pdf.multi_cell(0, 7, printable(said.title), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    _paragraphs(pdf, said.about, 8, _FAINT)


def _table(pdf: FPDF, lines: Sequence[Line]) -> None:
    pdf.set_font(_FONT, "", 9)
    pdf.set_text_color(*_BLACK)
    bold = FontFace(emphasis="BOLD", fill_color=_LIGHT)
    pdf.set_fill_color(*_WHITE)
    with pdf.table(
        col_widths=_COLUMNS,
        line_height=_ROW_MM,
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        headings_style=bold,
        text_align=("LEFT", "RIGHT", "LEFT"),
        padding=(0.4, 1.5),
    ) as table:
        for row in (HEADINGS, *((line.name, line.amount, line.more) for line in lines)):
            table.row([printable(cell) for cell in row])


def _paragraphs(pdf: FPDF, texts: Sequence[str], size: int, colour: tuple[int, int, int]) -> None:
    pdf.set_font(_FONT, "", size)
    pdf.set_text_color(*colour)
    for text in texts:
        pdf.multi_cell(0, size * 0.5, printable(text), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.ln(2)


def _nothing(findings: Findings) -> str:
    return "" if wording.is_anything(findings) else "Nothing was found."


def _whole(item: Dataset) -> Dataset:
    """A reference to an instance without the numbers of its frames, which this sequence has no place for."""
    item.pop("ReferencedFrameNumber", None)
    return item
