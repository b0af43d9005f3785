"""Contact sheets: every source image that carries a region, as it is, with the outlines on it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from models.findings import Findings
from models.regions import plane_labels
from models.uneven import nearest_slices
from models.volume import Volume
from service.derived.drawing import BANNER, CAPTION, HEADER, MARGIN, Place, sheet, shortened, write
from service.derived.legend import Legend
from service.derived.material import Material
from service.derived.montage import image_name, window_for
from service.derived.picture import Rgb, tint
from service.derived.sheets import Sheet, beside
from service.derived.windows import grey

_COLUMNS, _ROWS, _CELL = 6, 4, 300
_LEGEND_COLUMNS = 5


def contact_sheets(material: Material, volume: Volume) -> list[Sheet]:
    """All images with a region in their order, `_COLUMNS` x `_ROWS` on a sheet; none where nothing was found."""
    findings = material.findings
    layers = [plane_labels(findings, layer) for layer in range(len(findings.layers))]
    marked = np.flatnonzero(np.any([layer.any(axis=(1, 2)) for layer in layers], axis=0)).tolist() if layers else []
    count = _COLUMNS * _ROWS
    return [
        _contact_sheet(material, volume, layers, marked[start : start + count])
        for start in range(0, len(marked), count)
    ]


def _contact_sheet(
    material: Material, volume: Volume, layers: Sequence[NDArray[np.uint8]], indices: Sequence[int]
) -> Sheet:
    findings = material.findings
    width = MARGIN + _COLUMNS * (_CELL + MARGIN)
    legend = Legend(findings, width - 2 * MARGIN, _LEGEND_COLUMNS)
    bottom = HEADER + -(-len(indices) // _COLUMNS) * (_CELL + CAPTION)
    window = window_for(material.sources, volume, findings)
    facts = f"{window}  ·  {beside(material)}"
    page = sheet((width, bottom + legend.height + MARGIN + BANNER), findings.algorithm, facts)
    slices = nearest_slices(findings.places) if findings.places else np.arange(volume.grid.shape[0])
    for number, index in enumerate(indices):
        row, column = divmod(number, _COLUMNS)
        rgb = grey(volume.values[slices[index]], window)
        picture = _outlined(rgb, findings, [layer[index] for layer in layers], volume.grid.spacing_mm[1:])
        at = (MARGIN + column * (_CELL + MARGIN), HEADER + row * (_CELL + CAPTION))
        _place(page, picture, at, image_name(material.sources[index]))
    legend.draw(ImageDraw.Draw(page), (MARGIN, bottom))
    return Sheet(page, (), f"{len(indices)} images, {window}")


def _outlined(
    rgb: NDArray[np.float64], findings: Findings, labels: Sequence[NDArray[np.uint8]], spacing_mm: NDArray[np.float64]
) -> Rgb:
    """The slice on square pixels, as large as the cell allows, every pixel of a region under its colour."""
    rows, columns = rgb.shape[:2]
    scale = _CELL / max(rows * spacing_mm[0], columns * spacing_mm[1])
    size = (max(1, round(columns * spacing_mm[1] * scale)), max(1, round(rows * spacing_mm[0] * scale)))
    grown = Image.fromarray(np.rint(rgb).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
    shown = np.asarray(grown, dtype=np.float64)
    for region in findings.found:
        mask = labels[region.layer] == region.number
        if mask.any():
            large = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
            shown = tint(shown, large, region.label.color_rgb)
    return np.rint(shown).astype(np.uint8)


def _place(page: Image.Image, picture: Rgb, at: Place, name: str) -> None:
    rows, columns = picture.shape[:2]
    left, top = at
    pen = ImageDraw.Draw(page)
    pen.rectangle((left, top, left + _CELL - 1, top + _CELL - 1), fill=(0, 0, 0))
    page.paste(Image.fromarray(picture), (left + (_CELL - columns) // 2, top + (_CELL - rows) // 2))
    write(pen, (left, top + _CELL + CAPTION // 2), shortened(name, 15, _CELL), 15, "lm")
