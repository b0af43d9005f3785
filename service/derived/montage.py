"""Findings of a volume as sheets: three planes through the largest, then one more through each that they miss."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset

from models.findings import Findings, Region
from models.volume import Grid, Radiograph, Vector, Volume
from service.core.geometry import plane_name
from service.derived.drawing import (
    BANNER,
    BLACK,
    CAPTION,
    FAINT,
    HEADER,
    MARGIN,
    letters,
    scale_bar,
    sheet,
    shortened,
    write,
)
from service.derived.legend import Legend
from service.derived.material import Material
from service.derived.picture import Section, fitting_mm, focus, middle, section
from service.derived.planes import VIEWS, Plane
from service.derived.radiograph_sheet import radiograph_sheets
from service.derived.sheets import Panel, Sheet, beside
from service.derived.windows import Window, ct_window, window_of

MOST_MORE = 8  # sheets after the first
_SMALL, _LARGE = 512, 720  # sides of a panel: three in a row, and one beside the legend
_LEGEND_WIDTH, _LEGEND_COLUMNS = 420, 4


@dataclass(frozen=True, slots=True, eq=False)
class _Study:
    """A volume and how it is looked at."""

    volume: Volume
    findings: Findings
    window: Window
    sources: Sequence[Dataset]
    beside: str

    def through(self, plane: Plane, through_mm: Vector, size: int) -> Section:
        """The plane through a point, as large as fits."""
        pixel_mm = fitting_mm(self.volume.grid, plane, size)
        return section(self.volume, self.findings, self.window, plane, through_mm, pixel_mm)


def sheets(material: Material) -> list[Sheet]:
    """The pictures that people get, most important first. Raises ValueError when the image's values are not there."""
    return list(_drawn(material))


def first_sheet(material: Material) -> Sheet:
    """The most important picture, without the work for the others. Raises as `sheets`."""
    return next(_drawn(material))


def window_for(sources: Sequence[Dataset], volume: Volume, findings: Findings) -> Window:
    """The usual window of what is shown where values are HU; else one that shows nearly all values."""
    if sources[0].get("Modality") != "CT":
        return window_of(volume)
    largest_first = sorted(findings.found or findings.regions, key=lambda region: -region.voxels)
    return ct_window([region.label for region in largest_first[:1]], str(sources[0].get("BodyPartExamined") or ""))


def _drawn(material: Material) -> Iterator[Sheet]:
    if material.image is None:
        raise ValueError("pictures need the image's values")
    if isinstance(material.image, Radiograph):
        yield from radiograph_sheets(material, material.image)
    else:
        yield from _volume_sheets(material, material.image)


def _volume_sheets(material: Material, volume: Volume) -> Iterator[Sheet]:
    findings, sources = material.findings, material.sources
    study = _Study(volume, findings, window_for(sources, volume, findings), sources, beside(material))
    at_mm = focus(volume.grid, findings)
    sections = [study.through(plane, at_mm, _SMALL) for plane in VIEWS]
    yield _three_planes(study, sections)
    missed = [region for region in findings.found if region not in sections[0].shown]
    largest = sorted(missed, key=lambda region: -region.voxels)[:MOST_MORE]
    yield from (_one_plane(study, region) for region in largest)


def _three_planes(study: _Study, sections: Sequence[Section]) -> Sheet:
    width = len(sections) * (_SMALL + MARGIN) + MARGIN
    legend = Legend(study.findings, width - 2 * MARGIN, _LEGEND_COLUMNS)
    top = HEADER + _SMALL + CAPTION + MARGIN // 2
    image = sheet((width, top + legend.height + MARGIN + BANNER), study.findings.algorithm, study.beside)
    panels = [
        _place(image, each, study, (MARGIN + number * (_SMALL + MARGIN), HEADER), _SMALL)
        for number, each in enumerate(sections)
    ]
    legend.draw(ImageDraw.Draw(image), (MARGIN, top))
    return _sheet(image, panels, study)


def _one_plane(study: _Study, region: Region) -> Sheet:
    """The axial plane through a region, its name above, the legend beside."""
    cut = study.through(Plane.AXIAL, middle(study.findings, region), _LARGE)
    legend = Legend(study.findings, _LEGEND_WIDTH, 1)
    height = HEADER + max(_LARGE + CAPTION, legend.height) + MARGIN // 2 + BANNER
    image = sheet((_LARGE + _LEGEND_WIDTH + 3 * MARGIN, height), study.findings.algorithm, study.beside)
    panel = _place(image, cut, study, (MARGIN, HEADER), _LARGE, region.name)
    legend.draw(ImageDraw.Draw(image), (_LARGE + 2 * MARGIN, HEADER))
    return _sheet(image, [panel], study)


def _sheet(image: Image.Image, panels: Sequence[Panel], study: _Study) -> Sheet:
    return Sheet(image, tuple(panels), f"{'; '.join(panel.words for panel in panels)}; {study.window}")


def _place(page: Image.Image, cut: Section, study: _Study, at: tuple[int, int], size: int, name: str = "") -> Panel:
    """The section in the middle of a black square, with letters at its sides and its facts below."""
    left, top = at
    rows, columns = cut.rgb.shape[:2]
    view, pen = VIEWS[cut.plane], ImageDraw.Draw(page)
    pen.rectangle((left, top, left + size - 1, top + size - 1), fill=BLACK)
    corner = (left + (size - columns) // 2, top + (size - rows) // 2)
    page.paste(Image.fromarray(cut.rgb), corner)
    sides = (view.left_letter, view.right_letter, view.top_letter, view.bottom_letter)
    letters(pen, sides, (left, top, left + size, top + size))
    place = f"{cut.plane.value.capitalize()} {view.place(cut.through_mm)}"
    words = "  ·  ".join(filter(None, (name, place, _image_number(cut, study.volume.grid, study))))
    below, window = top + size + CAPTION // 2, str(study.window)
    room = size - round(ImageFont.load_default(15).getlength(window)) - MARGIN
    write(pen, (left, below), shortened(words, 15, room), 15, "lm")
    write(pen, (left + size, below), window, 15, "rm", FAINT)
    scale_bar(pen, (left + 12, top + size - 12), cut.pixel_mm, size // 4)
    return Panel(cut.plane, cut.through_mm, cut.pixel_mm, corner, (rows, columns), place)


def _image_number(cut: Section, grid: Grid, study: _Study) -> str:
    """Which source image the section lies nearest to; empty unless both are planes of one kind."""
    if plane_name(grid) != cut.plane.value:
        return ""
    index = float(grid.to_index(cut.through_mm[None])[0, 0])
    places = np.array(study.findings.places or range(grid.shape[0]))
    source = study.sources[int(np.abs(places - index).argmin())]
    return image_name(source)


def image_name(source: Dataset) -> str:
    """The number of an image or a frame as viewers show it; empty where it has none."""
    frame = source.get("ReferencedFrameNumber")
    number = source.get("InstanceNumber") if frame is None else frame
    return "" if number is None else f"{'image' if frame is None else 'frame'} {number}"
