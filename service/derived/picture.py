"""Sections of a volume with what was found in them: outlines, boxes and points, on square pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import binary_erosion

from models.findings import Box, Findings, Region
from models.volume import Grid, Vector, Volume
from service.derived.drawing import Colour, write
from service.derived.planes import VIEWS, Cut, Plane, cut, extent_mm, points
from service.derived.windows import Window, grey
from service.derived.wording import marks

Rgb = NDArray[np.uint8]

PANEL = 480  # pixels along the longest side of the volume
_FILL, _OUTLINE_WIDTH, _POINT_RADIUS = 0.16, 2, 5


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """A plane of the patient through a point (LPS mm), as a picture (row, column, 3) of square pixels."""

    plane: Plane
    through_mm: Vector
    pixel_mm: float
    rgb: Rgb
    shown: tuple[Region, ...]  # the regions that it cuts


def overlay(volume: Volume, window: Window, findings: Findings | None = None) -> Mapping[Plane, Rgb]:
    """Pictures (row, column, 3) through the middle of the largest structure, on square pixels of one size."""
    through_mm = focus(volume.grid, findings)
    size = pixel_mm(volume)
    return {plane: section(volume, findings, window, plane, through_mm, size).rgb for plane in VIEWS}


def pixel_mm(volume: Volume) -> float:
    """Size of a pixel in every picture of the volume."""
    low, high = extent_mm(volume.grid)
    return float((high - low).max()) / PANEL


def fitting_mm(grid: Grid, plane: Plane, size: int) -> float:
    """Size of a pixel at which the plane fits into `size` x `size` pixels."""
    low, high = extent_mm(grid)
    view = VIEWS[plane]
    return float(max((high - low)[[view.right, view.down]])) / size


def section(
    volume: Volume, findings: Findings | None, window: Window, plane: Plane, through_mm: Vector, pixel_mm: float
) -> Section:
    """The plane through a point, with everything that was found on it."""
    points_mm = points(volume.grid, VIEWS[plane], through_mm, pixel_mm)
    drawing = cut(volume.grid, points_mm)
    rgb = grey(drawing.sample(volume.values), window)
    shown: tuple[Region, ...] = ()
    if findings is not None and findings.layers:
        rgb, shown = _coloured(rgb, drawing, findings)
    picture = np.rint(rgb).astype(np.uint8)
    if findings is not None and any(region.lesion for region in shown):
        picture = _numbered(picture, drawing, findings, shown)
    if findings is not None and marks(findings):
        picture = _marked(picture, findings, plane, points_mm)
    return Section(plane, through_mm, pixel_mm, picture, shown)


def focus(grid: Grid, findings: Findings | None) -> Vector:
    """World position of the middle of what matters most: the largest structure, a box, a point, or the grid's own."""
    if findings is not None and findings.found:
        return middle(findings, max(findings.found, key=lambda region: region.voxels))
    if findings is not None and marks(findings):
        mark = max(marks(findings), key=lambda each: each.probability or 0.0)
        return np.mean([mark.low, mark.high], axis=0) if isinstance(mark, Box) else np.array(mark.at)
    return np.asarray(grid.to_world((np.array([grid.shape]) - 1) / 2)[0])


def middle(findings: Findings, region: Region) -> Vector:
    """World position of a voxel of the region near to its mean, which may itself lie outside of a bent one."""
    mask = findings.mask(region)
    across = [np.asarray(mask.sum(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    mean = [float(np.average(np.arange(counts.size), weights=counts)) for counts in across]
    slices = np.flatnonzero(across[0])
    index = slices[np.abs(slices - mean[0]).argmin()]
    inside = np.argwhere(mask[index])
    row, column = inside[np.abs(inside - mean[1:]).sum(axis=1).argmin()]
    return np.asarray(findings.grid.to_world(np.array([[index, row, column]], dtype=np.float64))[0])


def tint(rgb: NDArray[np.float64], mask: NDArray[np.bool_], colour: Colour) -> NDArray[np.float64]:
    """A faint fill inside an opaque outline, (row, column, 3)."""
    outline = mask & ~binary_erosion(mask, iterations=_OUTLINE_WIDTH)
    opacity = np.where(outline, 1.0, _FILL * mask)[..., None]
    return np.asarray(rgb * (1.0 - opacity) + np.array(colour, dtype=np.float64) * opacity)


def _coloured(
    rgb: NDArray[np.float64], drawing: Cut, findings: Findings
) -> tuple[NDArray[np.float64], tuple[Region, ...]]:
    shown = []
    near = [np.unique(layer.labels.reshape(-1)[drawing.neighbours]) for layer in findings.layers]
    for region in findings.found:
        if region.number in near[region.layer]:
            covered = drawing.covered(findings.layers[region.layer].labels, region.number)
            rgb = tint(rgb, covered, region.label.color_rgb)
            shown += [region] if covered.any() else []
    return rgb, tuple(shown)


def _numbered(picture: Rgb, drawing: Cut, findings: Findings, shown: Sequence[Region]) -> Rgb:
    """The number of each lesion above it: several share a colour."""
    image = Image.fromarray(picture)
    for region in (region for region in shown if region.lesion):
        covered = drawing.covered(findings.layers[region.layer].labels, region.number)
        top = int(np.flatnonzero(covered.any(axis=1))[0])
        across = round(float(np.flatnonzero(covered[top]).mean()))
        write(ImageDraw.Draw(image), (across, max(top - 3, 15)), str(region.lesion), 15, "md")
    return np.asarray(image)


def _marked(picture: Rgb, findings: Findings, plane: Plane, points_mm: NDArray[np.float64]) -> Rgb:
    """Boxes that the plane cuts, and points that lie within a pixel's width or a slice's half of it."""
    image = Image.fromarray(picture)
    pen, view = ImageDraw.Draw(image), VIEWS[plane]
    depth_mm = float(points_mm[0, 0, view.across])
    first, step = points_mm[0, 0], points_mm[-1, -1] - points_mm[0, 0]
    pixels = np.array([max(picture.shape[1] - 1, 1), max(picture.shape[0] - 1, 1)])
    axes = [view.right, view.down]

    def at(corner: tuple[float, ...]) -> tuple[float, float]:
        right, down = (np.array(corner)[axes] - first[axes]) / step[axes] * pixels
        return float(right), float(down)

    for box in findings.boxes:
        if box.low[view.across] <= depth_mm <= box.high[view.across]:
            (x0, y0), (x1, y1) = at(box.low), at(box.high)
            corners = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
            pen.rectangle(corners, outline=box.term.color_rgb, width=_OUTLINE_WIDTH)
    for point in findings.points:
        if abs(point.at[view.across] - depth_mm) <= _POINT_RADIUS:
            pen.circle(at(point.at), _POINT_RADIUS, outline=point.term.color_rgb, width=_OUTLINE_WIDTH)
    return np.asarray(image)
