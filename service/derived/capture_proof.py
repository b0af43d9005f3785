"""The proof of secondary captures: they show the sheets, and what is coloured on them lies where the findings lie."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from models.findings import Findings
from models.volume import Grid, Radiograph
from service.derived.checks import (
    prove_file,
    prove_grid,
    prove_identity,
    prove_required_attributes,
    prove_volumes,
    same,
)
from service.derived.companion import burned_in, references
from service.derived.material import Made, Material
from service.derived.montage import sheets
from service.derived.picture import Rgb
from service.derived.planes import Plane
from service.derived.sheets import Panel
from service.derived.sources import reference

_AXES = {Plane.AXIAL: (0, 1, 1), Plane.CORONAL: (0, 2, -1), Plane.SAGITTAL: (1, 2, -1)}  # right, down, its direction
_COLOURLESS = 8  # the most between two channels of a grey pixel, or of a letter
_VIVID = 60  # the least between two channels of a structure's colour whose faint fill is told from grey
_HIDDEN_BY_TEXT = 2000  # pixels of a structure that letters in a corner may cover


def prove(objects: Sequence[Dataset], material: Material, made: Made) -> None:
    """Raise Unproven unless the captures show exactly the sheets, of these images, with every colour in its place."""
    del made
    due, sources = sheets(material), material.sources
    same("number of pictures", len(objects), len(due))
    prove_volumes(material.findings)
    if not isinstance(material.image, Radiograph) and material.findings.layers:
        prove_grid(sources, material.findings.grid, material.findings.places)
    for number, (capture, sheet) in enumerate(zip(objects, due, strict=True), start=1):
        prove_file(capture, SecondaryCaptureImageStorage)
        prove_identity(capture, sources)
        prove_required_attributes(capture)
        same("Burned In Annotation", capture.BurnedInAnnotation, burned_in(sources))
        same("Image Type", list(capture.ImageType[:2]), ["DERIVED", "SECONDARY"])
        same("Instance Number", int(capture.InstanceNumber), number)
        same("source images", set(references(capture.SourceImageSequence)), {reference(each) for each in sources})
        pixels = _pixels(capture)
        same(f"size of picture {number}", pixels.shape, np.asarray(sheet.image).shape)
        wrong = int(np.count_nonzero((pixels != np.asarray(sheet.image)).any(axis=2)))
        same(f"pixels of picture {number} that differ from the sheet", wrong, 0)
        for panel in sheet.panels:
            prove_colours(pixels, panel, material.findings)


def prove_colours(pixels: Rgb, panel: Panel, findings: Findings) -> None:
    """Raise Unproven unless a panel of a sheet is coloured where a structure surely is, and nowhere that has none near.

    Pixels are carried back to voxels with no help from what drew them.
    """
    if not findings.layers:
        return
    (left, top), (rows, columns) = panel.corner, panel.shape
    shown = pixels[top : top + rows, left : left + columns].reshape(-1, 3).astype(np.int_)
    coloured = np.ptp(shown, axis=1) > _COLOURLESS
    neighbours = _neighbours(_places_mm(panel, findings.grid), findings)
    for region in findings.found:
        sure = (neighbours[region.layer] == region.number).all(axis=0)
        if np.ptp(region.label.color_rgb) > _VIVID and np.count_nonzero(sure) > _HIDDEN_BY_TEXT:
            share = float(np.mean(coloured[sure]))
            same(f"whether {region.name} is coloured where it lies in the {panel.plane} picture", share > 0.5, True)
    if not findings.boxes and not findings.points:
        wrong = int(np.count_nonzero(coloured & ~np.any([near.any(axis=0) for near in neighbours], axis=0)))
        same(f"coloured pixels of the {panel.plane} picture far from every structure", wrong, 0)


def _places_mm(panel: Panel, grid: Grid) -> NDArray[np.float64]:
    """LPS mm of the middle of every pixel of a panel, (rows * columns, 3)."""
    faces = np.array([(*face, 1.0) for face in product(*((-0.5, size - 0.5) for size in grid.shape))])
    low = (faces @ grid.affine.T)[:, :3].min(axis=0)
    right, down, direction = _AXES[panel.plane]
    rows, columns = panel.shape
    mm = np.empty((rows, columns, 3))
    mm[:] = panel.through_mm
    mm[..., right] = low[right] + (np.arange(columns) + 0.5) * panel.pixel_mm
    mm[..., down] = (low[down] + (np.arange(rows) + 0.5) * panel.pixel_mm)[::direction, None]
    return mm.reshape(-1, 3)


def _neighbours(places_mm: NDArray[np.float64], findings: Findings) -> list[NDArray[np.uint8]]:
    """The eight voxels of each layer around each place, (8, n); 0 outside of the image."""
    affine, shape = findings.grid.affine, np.array(findings.grid.shape)
    indices = (places_mm - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
    within = ((indices >= -0.5 - 1e-6) & (indices <= shape - 0.5 + 1e-6)).all(axis=1)
    rounded = [np.clip(side(indices).astype(np.intp), 0, shape - 1) for side in (np.floor, np.ceil)]
    corners = [(rounded[a][:, 0], rounded[b][:, 1], rounded[c][:, 2]) for a, b, c in product((0, 1), repeat=3)]
    return [np.stack([np.where(within, layer.labels[at], 0) for at in corners]) for layer in findings.layers]


def _pixels(capture: Dataset) -> Rgb:
    """The picture, (row, column, 3)."""
    form = (capture.PhotometricInterpretation, capture.PlanarConfiguration, capture.BitsAllocated)
    same("form of the pixels", form, ("RGB", 0, 8))
    shape = (int(capture.Rows), int(capture.Columns), int(capture.SamplesPerPixel))
    return np.frombuffer(capture.PixelData, np.uint8)[: np.prod(shape)].reshape(shape)
