"""The proof of presentation states: their lines, filled again, are the regions, each on its own image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage

from models.findings import Box, Findings, Point, Region
from models.regions import plane_labels
from service.core.entities import FrameReference
from service.core.errors import Unproven
from service.derived import wording
from service.derived.checks import close, prove_file, prove_grid, prove_identity, prove_required_attributes, same
from service.derived.companion import references
from service.derived.material import Made, Material
from service.derived.presentation import on_radiograph
from service.derived.sources import reference

Line = NDArray[np.float64]

_HALF_A_PIXEL = 0.5
_SPARED = ("RescaleIntercept", "RescaleSlope")


@dataclass(slots=True, eq=False)
class _Drawn:
    """What one layer has on one image."""

    lines: list[Line] = field(default_factory=list)
    points: list[Line] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


Drawn = Mapping[tuple[int, FrameReference], _Drawn]  # by the order of the layer and the image


def prove(objects: Sequence[Dataset], material: Material, made: Made) -> None:
    """Raise Unproven unless the states together outline every region and mark exactly, on the images that have them."""
    del made
    sources, findings = material.sources, material.findings
    if findings.layers:
        prove_grid(sources, findings.grid, findings.places)
    drawn: dict[tuple[int, FrameReference], _Drawn] = {}
    for state in objects:
        prove_file(state, GrayscaleSoftcopyPresentationStateStorage)
        prove_identity(state, sources)
        prove_required_attributes(state)
        found = _drawn(state, findings)
        same("whether two states draw on one image", bool({at for _, at in drawn} & {at for _, at in found}), False)
        _prove_references(state, {at for _, at in found}, sources)
        drawn |= found
    for number, region in enumerate(findings.found, start=1):
        _prove_region(number, region, drawn, material)
    for number, mark in enumerate(_marks(findings), start=len(findings.found) + 1):
        _prove_mark(number, mark, drawn, sources[0])


def _marks(findings: Findings) -> list[Box | Point]:
    return [mark for mark in wording.marks(findings) if on_radiograph(mark)]


def _drawn(state: Dataset, findings: Findings) -> dict[tuple[int, FrameReference], _Drawn]:
    names = [region.name for region in findings.found]
    marks = _marks(findings)
    orders = {}
    for layer in state.GraphicLayerSequence:
        order = int(layer.GraphicLayerOrder)
        orders[layer.GraphicLayer] = order
        if order <= len(names):
            same(f"name of layer {order}", layer.GraphicLayerDescription, names[order - 1][:64])
        same(f"whether layer {order} is of something", order <= len(names) + len(marks), True)
    drawn: dict[tuple[int, FrameReference], _Drawn] = {}
    for annotation in state.GraphicAnnotationSequence:
        (image,) = references(annotation.ReferencedImageSequence)
        here = drawn.setdefault((orders[annotation.GraphicLayer], image), _Drawn())
        for graphic in annotation.get("GraphicObjectSequence", []):
            _add(here, graphic)
        here.texts += [text.UnformattedTextValue for text in annotation.get("TextObjectSequence", [])]
    return drawn


def _add(here: _Drawn, graphic: Dataset) -> None:
    same("units of a graphic", graphic.GraphicAnnotationUnits, "PIXEL")
    corners = np.array(graphic.GraphicData, dtype=np.float64).reshape(-1, 2)
    same("points of a graphic", len(corners), int(graphic.NumberOfGraphicPoints))
    if graphic.GraphicType == "POINT":
        here.points.append(corners)
        return
    same("type of a graphic", graphic.GraphicType, "POLYLINE")
    same("whether an outline is closed", corners[0].tolist(), corners[-1].tolist())
    here.lines.append(corners)


def _prove_references(state: Dataset, marked: set[FrameReference], sources: Sequence[Dataset]) -> None:
    """The state is of exactly the images that it draws on, and turns their stored values as they do themselves."""
    (series,) = state.ReferencedSeriesSequence
    same("referenced series", series.SeriesInstanceUID, sources[0].SeriesInstanceUID)
    same("referenced images", set(references(series.ReferencedImageSequence)), marked)
    by_name = {reference(source): source for source in sources}
    unknown = marked - set(by_name)
    if unknown:
        raise Unproven(f"images of a state: {min(unknown)} is not one of the {len(sources)} sources")
    for name in marked:
        expected = [_number(by_name[name], keyword) for keyword in _SPARED]
        same(f"Modality LUT of {name}", [_number(state, keyword) for keyword in _SPARED], expected)
    area = state.DisplayedAreaSelectionSequence[0]
    due = [int(sources[0].Columns), int(sources[0].Rows)]
    same("displayed area", [int(edge) for edge in area.DisplayedAreaBottomRightHandCorner], due)


def _number(dataset: Dataset, keyword: str) -> float | None:
    value = dataset.get(keyword)
    if value is None and keyword == "RescaleIntercept" and dataset.get("RescaleSlope") is not None:
        return 0.0
    return None if value is None else float(value)


def _prove_region(number: int, region: Region, drawn: Drawn, material: Material) -> None:
    masks = plane_labels(material.findings, region.layer) == region.number
    texts = []
    for index, source in enumerate(material.sources):
        here = drawn.get((number, reference(source)), _Drawn())
        shape = (int(source.Rows), int(source.Columns))
        wrong = int(np.count_nonzero(filled(here.lines, shape) != masks[index]))
        same(f"pixels of {region.name} on image {index} that differ", wrong, 0)
        same(f"whether {region.name} is drawn on image {index}", bool(here.lines), bool(masks[index].any()))
        texts += here.texts
    same(f"whether {region.name} is named once", [text.startswith(f"{region.name} ") for text in texts], [True])


def _prove_mark(number: int, mark: Box | Point, drawn: Drawn, source: Dataset) -> None:
    here = drawn.get((number, reference(source)))
    corners = (mark.low, mark.high) if isinstance(mark, Box) else (mark.at,)
    if here is None:
        raise Unproven(f"{mark.term.name}: the object has nothing of it, it should have {corners}")
    found = np.concatenate([*here.lines, *here.points])
    span = np.array([found.min(axis=0), found.max(axis=0)])[: len(corners)]
    close(f"corners of {mark.term.name}", span[:, ::-1], np.array(corners, dtype=np.float64), _HALF_A_PIXEL)
    same(f"whether {mark.term.name} is named", [text.startswith(mark.term.name) for text in here.texts], [True])


def filled(lines: Sequence[Line], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The pixels whose middle lies inside an odd number of lines, (row, column)."""
    crossings = np.zeros(shape, dtype=np.int_)
    for line in lines:
        for (x0, y0), (x1, y1) in pairwise(line.tolist()):
            _cross(crossings, (x0, y0), (x1, y1))
    return np.asarray(crossings % 2 == 1)


def _cross(crossings: NDArray[np.int_], one: tuple[float, float], other: tuple[float, float]) -> None:
    """Count an edge for every pixel whose middle lies to the right of it."""
    (x0, y0), (x1, y1) = sorted((one, other), key=lambda corner: corner[1])
    rows = np.arange(crossings.shape[0])
    rows = rows[(rows + 0.5 >= y0) & (rows + 0.5 < y1)]
    if rows.size:
        at = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
        crossings[rows] += np.arange(crossings.shape[1])[None, :] + 0.5 > at[:, None]
