"""Findings of a radiograph as sheets: boxes and points on the image, each heat map beside it, and scores."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset

from models.findings import Box, Findings, HeatMap, Point
from models.volume import Radiograph
from service.derived import wording
from service.derived.drawing import BANNER, CAPTION, HEADER, INK, MARGIN, Place, letters, scale_bar, sheet, write
from service.derived.legend import Legend
from service.derived.material import Material
from service.derived.sheets import Sheet, beside
from service.derived.windows import grey, spread_window

Edges = tuple[int, int, int, int]  # left, top, right, bottom

_ALONE, _BESIDE = 1024, 768  # the longest side of the image, without and with a heat map beside it
_LEGEND_WIDTH, _BAR_WIDTH, _BAR_ROOM = 430, 16, 64
_PERCENTILES = (0.5, 99.5)
_MOST_OPAQUE = 0.6
_LETTERS, _POINT_RADIUS = 16, 6
_OPPOSITE = {"L": "R", "R": "L", "A": "P", "P": "A", "H": "F", "F": "H"}
# From dark violet through red to yellow: the lightness grows with the value, also for eyes that tell no red from green
_COLOURS = np.array([(10, 7, 50), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], dtype=np.float64)


def radiograph_sheets(material: Material, image: Radiograph) -> Iterator[Sheet]:
    """One sheet, or one for each heat map."""
    heat_maps = material.findings.heat_maps or (None,)
    return (_sheet(material, image, heat_map) for heat_map in heat_maps)


def shown_size(image: Radiograph, longest: int) -> tuple[int, int]:
    """(rows, columns) of the picture on square pixels, its longest side as long as that."""
    rows, columns = image.values.shape
    row_mm, column_mm = image.spacing_mm or (1.0, 1.0)
    high, wide = rows * row_mm, columns * column_mm
    scale = longest / max(high, wide)
    return max(1, round(high * scale)), max(1, round(wide * scale))


def _sheet(material: Material, image: Radiograph, heat_map: HeatMap | None) -> Sheet:
    findings, source = material.findings, material.sources[0]
    rows, columns = size = shown_size(image, _ALONE if heat_map is None else _BESIDE)
    legend = Legend(findings, _LEGEND_WIDTH, 1)
    panels = columns + MARGIN + (0 if heat_map is None else columns + _BAR_ROOM + MARGIN)
    height = HEADER + max(rows + CAPTION, legend.height) + MARGIN + BANNER
    page = sheet((MARGIN + panels + _LEGEND_WIDTH + MARGIN, height), findings.algorithm, beside(material))
    window = spread_window(image.values, _PERCENTILES)
    picture = _resized(np.rint(grey(image.values, window)).astype(np.uint8), size)
    _place(page, picture, (MARGIN, HEADER), source, image)
    bounds = (MARGIN, HEADER, MARGIN + columns, HEADER + rows)
    _draw_marks(ImageDraw.Draw(page), wording.marks(findings), bounds, np.array(size) / image.values.shape)
    pen, below = ImageDraw.Draw(page), HEADER + rows + CAPTION // 2
    write(pen, (MARGIN, below), f"{_view(source)} {window}".strip(), 15, "lm")
    if heat_map is not None:
        left = 2 * MARGIN + columns
        _place(page, heated(picture, heat_map, size), (left, HEADER), source, image)
        _colour_bar(page, (left + columns + 10, HEADER), rows)
        write(pen, (left, below), f"Evidence for {heat_map.term.name}", 15, "lm")
    legend.draw(pen, (MARGIN + panels, HEADER))
    return Sheet(page, (), _words(findings, heat_map))


def heated(picture: NDArray[np.uint8], heat_map: HeatMap, size: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture (row, column, 3) under the heat map's colours, the more opaque the higher its value."""
    value = np.asarray(Image.fromarray(heat_map.values).resize(size[::-1], Image.Resampling.BILINEAR))
    value = np.clip(value, 0.0, 1.0)
    opacity = (_MOST_OPAQUE * value)[..., None]
    return np.asarray(np.rint(picture * (1 - opacity) + _colours(value) * opacity), dtype=np.uint8)


def _words(findings: Findings, heat_map: HeatMap | None) -> str:
    return f"{len(wording.marks(findings))} marks" + (f"; heat map of {heat_map.term.name}" if heat_map else "")


def _resized(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.LANCZOS))


def _place(page: Image.Image, picture: NDArray[np.uint8], at: Place, source: Dataset, image: Radiograph) -> None:
    """The picture with the letters and the scale that the image itself gives."""
    left, top = at
    rows, columns = picture.shape[:2]
    page.paste(Image.fromarray(picture), at)
    pen = ImageDraw.Draw(page)
    letters(pen, _sides(source), (left, top, left + columns, top + rows))
    if image.spacing_mm is not None:
        mm = image.spacing_mm[0] * image.values.shape[0] / rows
        note = "" if image.calibrated else " at the detector"
        scale_bar(pen, (left + 12, top + rows - 12), mm, columns // 4, note)


def _sides(source: Dataset) -> tuple[str, str, str, str]:
    """Letters of the left, right, top and bottom side by Patient Orientation (PS3.3 C.7.6.1.1.1); empty if unknown."""
    towards = [str(each).strip().upper() for each in source.get("PatientOrientation") or ()]
    if len(towards) != 2:
        return "", "", "", ""
    (left, right), (top, bottom) = ((_opposite(each), each) for each in towards)
    return left, right, top, bottom


def _opposite(letter: str) -> str:
    return "".join(_OPPOSITE.get(each, "") for each in letter)


def _view(source: Dataset) -> str:
    laterality = source.get("ImageLaterality") or source.get("Laterality")
    return " ".join(str(part) for part in (source.get("ViewPosition"), laterality) if part)


def _colours(value: NDArray[np.float32]) -> NDArray[np.float64]:
    """Colours (..., 3) of values 0 to 1."""
    at = np.linspace(0.0, 1.0, len(_COLOURS))
    return np.stack([np.interp(value, at, _COLOURS[:, channel]) for channel in range(3)], axis=-1)


def _colour_bar(page: Image.Image, at: Place, rows: int) -> None:
    """The colours of the heat map from 1 at the top to 0 at the bottom."""
    left, top = at
    steps = np.repeat(np.linspace(1.0, 0.0, rows, dtype=np.float32)[:, None], _BAR_WIDTH, axis=1)
    page.paste(Image.fromarray(np.rint(_colours(steps)).astype(np.uint8)), at)
    pen = ImageDraw.Draw(page)
    for value, anchor in ((1.0, "lt"), (0.5, "lm"), (0.0, "lb")):
        write(pen, (left + _BAR_WIDTH + 6, top + round((1 - value) * (rows - 1))), f"{value:g}", 14, anchor)


def _draw_marks(
    pen: ImageDraw.ImageDraw, marks: Sequence[Box | Point], bounds: Edges, scale: NDArray[np.float64]
) -> None:
    """Boxes and points within the edges of the picture, then their labels where no other label is."""
    offset = np.array((bounds[1], bounds[0]))
    drawn: list[Edges] = []
    corners = [_corners(mark, offset, scale) for mark in marks]
    for mark, (left, top, right, bottom) in zip(marks, corners, strict=True):
        shape = pen.rectangle if isinstance(mark, Box) else pen.ellipse
        for colour, wider in (((0, 0, 0), 1), (mark.term.color_rgb, 0)):
            shape((left - wider, top - wider, right + wider, bottom + wider), outline=colour, width=2 + 2 * wider)
    for mark, box in zip(marks, corners, strict=True):
        text = wording.mark_name(mark)
        place = _free_place(box, round(ImageFont.load_default(_LETTERS).getlength(text)), drawn, bounds)
        drawn.append(place)
        pen.rectangle(place, fill=(0, 0, 0))
        write(pen, (place[0] + 4, (place[1] + place[3]) // 2), text, _LETTERS, "lm", INK)


def _corners(mark: Box | Point, offset: NDArray[np.int_], scale: NDArray[np.float64]) -> Edges:
    """Left, top, right and bottom pixel of a mark on the sheet."""
    low, high = (mark.low, mark.high) if isinstance(mark, Box) else (mark.at, mark.at)
    wider = 0 if isinstance(mark, Box) else _POINT_RADIUS
    (top, left), (bottom, right) = (np.array(corner) * scale + offset for corner in (low, high))
    return round(left - wider), round(top - wider), round(right + wider), round(bottom + wider)


def _free_place(box: Edges, length: int, taken: Sequence[Edges], bounds: Edges) -> Edges:
    """A rectangle for a label above, below, or further above the box, the first that meets no other label."""
    high, wide = _LETTERS + 8, length + 8
    left, top, bottom = max(bounds[0], min(box[0], bounds[2] - wide)), box[1], box[3]
    tries = [top - high - 2, bottom + 3, top + 3, *(top - high - 2 - step * high for step in range(1, 8))]
    tops = [min(max(y, bounds[1]), bounds[3] - high) for y in tries]
    places = [(left, y, left + wide, y + high) for y in tops]
    return next((place for place in places if not any(_meet(place, other) for other in taken)), places[0])


def _meet(one: Edges, other: Edges) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
