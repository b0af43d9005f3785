"""A case as a picture: what was found and what is true, as outlines in three planes where it went worst."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import binary_erosion

from models.findings import Algorithm, Box, Findings
from models.training.marking_examiner import Compared
from models.training.scores import dice
from models.volume import Vector, Volume
from service.derived.drawing import CAPTION, INK, MARGIN, PAPER, Colour, letters, scale_bar, write
from service.derived.picture import fitting_mm, focus, section
from service.derived.planes import VIEWS, Plane, cut, points
from service.derived.windows import Window, grey

TRUTH: Colour = (255, 255, 255)
_NOBODY = Algorithm("", "", "", "", "", "")  # a comparison is nobody's result
_SIDE = 400  # pixels
_WIDTH_OF = {"found": 2, "truth": 1}

Shades = NDArray[np.float64]


def comparison(volume: Volume, structures: Sequence[Compared], window: Window) -> Image.Image:
    """Three planes side by side: the truth in white, what was found in the structures' colours."""
    through_mm = where_they_differ(volume, structures)
    return _three_planes(volume, through_mm, lambda plane: _panel(volume, structures, window, plane, through_mm))


def box_comparison(volume: Volume, found: Sequence[Box], truth: Sequence[Box], window: Window) -> Image.Image:
    """Three planes through the middle of the first true box: true boxes in white, found ones in their colours."""
    white = [replace(each, term=each.term.model_copy(update={"color_rgb": TRUTH})) for each in truth]
    findings = Findings(_NOBODY, boxes=(*found, *white))
    through_mm = focus(volume.grid, Findings(_NOBODY, boxes=tuple(white[:1])))

    def panel(plane: Plane) -> NDArray[np.uint8]:
        return section(volume, findings, window, plane, through_mm, fitting_mm(volume.grid, plane, _SIDE)).rgb

    return _three_planes(volume, through_mm, panel)


def _three_planes(volume: Volume, through_mm: Vector, panel_of: Callable[[Plane], NDArray[np.uint8]]) -> Image.Image:
    page = Image.new("RGB", (len(VIEWS) * (_SIDE + MARGIN) + MARGIN, _SIDE + CAPTION + MARGIN), PAPER)
    pen = ImageDraw.Draw(page)
    for number, (plane, view) in enumerate(VIEWS.items()):
        left = MARGIN + number * (_SIDE + MARGIN)
        pixel_mm = fitting_mm(volume.grid, plane, _SIDE)
        panel = Image.fromarray(panel_of(plane))
        page.paste(panel, (left + (_SIDE - panel.width) // 2, MARGIN + (_SIDE - panel.height) // 2))
        sides = (view.left_letter, view.right_letter, view.top_letter, view.bottom_letter)
        letters(pen, sides, (left, MARGIN, left + _SIDE, MARGIN + _SIDE))
        scale_bar(pen, (left + 12, MARGIN + _SIDE - 12), pixel_mm, _SIDE // 4)
        words = f"{plane.value.capitalize()} {view.place(through_mm)}"
        write(pen, (left, MARGIN + _SIDE + CAPTION // 2), words, 15, "lm", INK)
    return page


def where_they_differ(volume: Volume, structures: Sequence[Compared]) -> Vector:
    """World position on the slice, the row and the column with most wrong voxels of the structure that went worst, mm.

    Where none is wrong, of those with most voxels that are true; the middle of the grid where nothing is.
    """
    worst = min(structures, key=lambda each: dice(each.found, each.truth))
    wrong = worst.found ^ worst.truth
    of = wrong if wrong.any() else worst.truth
    if not of.any():
        return np.asarray(volume.grid.to_world((np.array([volume.grid.shape]) - 1) / 2)[0])
    index = [float(of.sum(axis=axes).argmax()) for axes in ((1, 2), (0, 2), (0, 1))]
    return np.asarray(volume.grid.to_world(np.array([index]))[0])


def _panel(
    volume: Volume, structures: Sequence[Compared], window: Window, plane: Plane, through_mm: Vector
) -> NDArray[np.uint8]:
    pixel_mm = fitting_mm(volume.grid, plane, _SIDE)
    drawing = cut(volume.grid, points(volume.grid, VIEWS[plane], through_mm, pixel_mm))
    shades = grey(drawing.sample(volume.values), window)
    for each in structures:
        found, truth = (drawing.covered(mask.astype(np.uint8), 1) for mask in (each.found, each.truth))
        shades = _outlined(shades, found, each.label.color_rgb, _WIDTH_OF["found"])
        shades = _outlined(shades, truth, TRUTH, _WIDTH_OF["truth"])
    return np.rint(shades).astype(np.uint8)


def _outlined(shades: Shades, mask: NDArray[np.bool_], colour: Colour, width: int) -> Shades:
    outline = mask & ~binary_erosion(mask, iterations=width)
    return np.where(outline[..., None], np.array(colour, dtype=np.float64), shades)
