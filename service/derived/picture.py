"""Pictures of findings for people: three patient planes through the largest structure, as one sheet."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_erosion

from models.findings import Algorithm, Findings, Region
from models.volume import Grid, Vector, Volume
from service.derived.planes import VIEWS, Cut, Plane, View, cut, extent_mm, points

Rgb = NDArray[np.uint8]
Colour = tuple[int, int, int]

PANEL = 480  # pixels along the longest side of the volume
_FILL, _OUTLINE_WIDTH = 0.28, 2
_MARGIN, _HEADER, _CAPTION, _LEGEND_ROW, _LEGEND_COLUMN = 20, 56, 30, 30, 340
_NARROWEST = 760  # title and warning side by side
_PAPER, _BLACK, _INK, _FAINT = (22, 25, 30), (0, 0, 0), (238, 240, 243), (152, 159, 170)


@dataclass(frozen=True, slots=True)
class Window:
    """Intensities shown as black and as white."""

    minimum: float
    maximum: float


def window_of(volume: Volume) -> Window:
    """Black at the 1st percentile, white at the 99.5th: for images whose units have no meaning."""
    low, high = np.percentile(volume.values, (1.0, 99.5))
    return Window(float(low), max(float(high), float(low) + 1e-6))


def overlay(volume: Volume, window: Window, findings: Findings | None = None) -> Mapping[Plane, Rgb]:
    """Pictures (row, column, 3) through the middle of the largest structure, on square pixels of one size."""
    through_mm = _middle(volume.grid, findings)
    pictures = {}
    for plane, view in VIEWS.items():
        points_mm = points(volume.grid, view, through_mm, pixel_mm(volume))
        drawing = cut(volume.grid, points_mm)
        rgb = _grey(drawing.sample(volume.values), window)
        if findings is not None:
            rgb = _coloured(rgb, drawing, findings)
        pictures[plane] = np.rint(rgb).astype(np.uint8)
    return pictures


def _coloured(rgb: NDArray[np.float64], drawing: Cut, findings: Findings) -> NDArray[np.float64]:
    for region in findings.found:
        covered = drawing.covered(findings.layers[region.layer].labels, region.number)
        rgb = _tint(rgb, covered, region.label.color_rgb)
    return rgb


def pixel_mm(volume: Volume) -> float:
    """Size of a pixel in every picture of the volume."""
    low, high = extent_mm(volume.grid)
    return float((high - low).max()) / PANEL


def sheet(volume: Volume, findings: Findings, window: Window | None = None) -> Image.Image:
    """The three pictures on one page, with orientation, scale, structures and volumes."""
    pictures = overlay(volume, window or window_of(volume), findings)
    width = max(sum(picture.shape[1] + _MARGIN for picture in pictures.values()) + _MARGIN, _NARROWEST)
    bottom = _HEADER + max(picture.shape[0] for picture in pictures.values())
    columns = (width - _MARGIN) // _LEGEND_COLUMN
    rows = -(-len(findings.regions) // columns)
    page = Image.new("RGB", (width, bottom + _CAPTION + rows * _LEGEND_ROW + _MARGIN), _PAPER)
    pen = ImageDraw.Draw(page)
    _title(pen, findings.algorithm, width)
    left = _MARGIN
    for plane, picture in pictures.items():
        _place(page, picture, plane, (left, _HEADER, bottom))
        left += picture.shape[1] + _MARGIN
    _scale_bar(pen, (_MARGIN + 12, bottom - 12), pixel_mm(volume))
    for number, measured in enumerate(findings.regions):
        row, column = divmod(number, columns)
        at = (_MARGIN + column * _LEGEND_COLUMN, bottom + _CAPTION + row * _LEGEND_ROW + _LEGEND_ROW // 2)
        _legend_entry(pen, at, measured)
    return page


def png(image: Image.Image) -> bytes:
    """The image as PNG."""
    encoded = BytesIO()
    image.save(encoded, format="PNG")
    return encoded.getvalue()


def _middle(grid: Grid, findings: Findings | None) -> Vector:
    """World position of the middle of the largest structure; of the grid when there is none."""
    if findings is None or not findings.found:
        return np.asarray(grid.to_world((np.array([grid.shape]) - 1) / 2)[0])
    largest = max(findings.found, key=lambda region: region.voxels)
    voxels = np.argwhere(findings.mask(largest))
    # the voxel nearest to the mean: the mean of a bent structure may lie outside of it
    nearest = np.abs(voxels - voxels.mean(axis=0)).sum(axis=1).argmin()
    return np.asarray(grid.to_world(voxels[nearest][None].astype(np.float64))[0])


def _grey(values: NDArray[np.float64], window: Window) -> NDArray[np.float64]:
    shade = np.clip((values - window.minimum) / (window.maximum - window.minimum), 0.0, 1.0) * 255.0
    return np.repeat(np.nan_to_num(shade)[..., None], 3, axis=2)


def _tint(rgb: NDArray[np.float64], mask: NDArray[np.bool_], colour: Colour) -> NDArray[np.float64]:
    """A translucent fill inside an opaque outline."""
    outline = mask & ~binary_erosion(mask, iterations=_OUTLINE_WIDTH)
    opacity = np.where(outline, 1.0, _FILL * mask)[..., None]
    return np.asarray(rgb * (1.0 - opacity) + np.array(colour, dtype=np.float64) * opacity)


def _title(pen: ImageDraw.ImageDraw, algorithm: Algorithm, width: int) -> None:
    middle = _HEADER // 2
    _write(pen, (_MARGIN, middle), _shortened(f"{algorithm.name} {algorithm.version}", 22, width - 420), 22, "lm")
    _write(pen, (width - _MARGIN, middle), "AI result · not verified · not for diagnosis", 15, "rm", _FAINT)


def _place(page: Image.Image, picture: Rgb, plane: Plane, at: tuple[int, int, int]) -> None:
    """The picture on black between `at` = (left, top, bottom), with letters at its sides and its name below."""
    left, top, bottom = at
    rows, columns = picture.shape[:2]
    view, pen = VIEWS[plane], ImageDraw.Draw(page)
    pen.rectangle((left, top, left + columns - 1, bottom - 1), fill=_BLACK)
    page.paste(Image.fromarray(picture), (left, top + (bottom - top - rows) // 2))
    _letters(pen, view, (left, top, left + columns, bottom))
    _write(pen, (left + columns // 2, bottom + _CAPTION // 2), plane.value.capitalize(), 15, "mm", _FAINT)


def _letters(pen: ImageDraw.ImageDraw, view: View, box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    across, down = (left + right) // 2, (top + bottom) // 2
    _write(pen, (left + 8, down), view.left_letter, 17, "lm")
    _write(pen, (right - 8, down), view.right_letter, 17, "rm")
    _write(pen, (across, top + 6), view.top_letter, 17, "ma")
    _write(pen, (across, bottom - 6), view.bottom_letter, 17, "md")


def _scale_bar(pen: ImageDraw.ImageDraw, at: tuple[int, int], mm: float) -> None:
    """A bar of a round length, no longer than a quarter of a panel; `mm` is the size of a pixel."""
    length_mm = max(length for length in (1, 2, 5, 10, 20, 50, 100) if length <= PANEL * mm / 4 or length == 1)
    left, bottom = at
    right = left + round(length_mm / mm)
    for colour, swell in ((_BLACK, 1), (_INK, 0)):
        pen.rectangle((left - swell, bottom - 3 - swell, right + swell, bottom + swell), fill=colour)
    _write(pen, (left, bottom - 8), f"{length_mm} mm", 14, "ls")


def _legend_entry(pen: ImageDraw.ImageDraw, at: tuple[int, int], measured: Region) -> None:
    left, middle = at
    colour = measured.label.color_rgb
    faint = tuple(round(part * _FILL + back * (1 - _FILL)) for part, back in zip(colour, _PAPER, strict=True))
    pen.rounded_rectangle((left, middle - 8, left + 16, middle + 8), 3, fill=faint, outline=colour, width=2)
    amount = f"{measured.volume_ml:.{1 if measured.volume_ml >= 10 else 2}f} ml" if measured.voxels else "not found"
    _write(pen, (left + 26, middle), _shortened(measured.name, 16, _LEGEND_COLUMN - 150), 16, "lm")
    _write(pen, (left + _LEGEND_COLUMN - 30, middle), amount, 16, "rm", _INK if measured.voxels else _FAINT)


def _shortened(text: str, size: int, width: int) -> str:
    """The text, with its end replaced by three dots when it is wider than `width` pixels."""
    font = ImageFont.load_default(size)
    if font.getlength(text) <= width:
        return text
    while font.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text.rstrip()}..."


def _write(
    pen: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, anchor: str, colour: Colour = _INK
) -> None:
    pen.text(
        at, text, fill=colour, font=ImageFont.load_default(size), anchor=anchor, stroke_width=1, stroke_fill=_BLACK
    )
