"""Findings as Grayscale Softcopy Presentation States (PS3.3 A.33.1): outlines, boxes and names over the images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from highdicom.color import CIELabColor
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage

from models.findings import Box, Findings, Point
from models.regions import plane_labels
from models.terms import Term
from service.core.profiles import Kind
from service.derived import wording
from service.derived.companion import begun, in_body, referenced
from service.derived.finish import MANUFACTURER, finish
from service.derived.material import Made, Material
from service.derived.outlines import outlines
from service.derived.windows import ct_window

_LAYER = 16  # characters of a CS
_MODALITY_LUT = ("RescaleIntercept", "RescaleSlope", "RescaleType")
_VOI_LUT = ("WindowCenter", "WindowWidth", "WindowCenterWidthExplanation", "VOILUTFunction", "VOILUTSequence")
Line = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """What one layer has on one source image: lines and points, (n, 2) as (column, row), and a text at a place."""

    layer: str
    source: int
    lines: tuple[Line, ...] = ()
    points: tuple[Line, ...] = ()
    text: str = ""
    at: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Layer:
    """A graphic layer and what it is for."""

    name: str
    description: str
    colour: tuple[int, int, int]


def build(material: Material, made: Made) -> list[Dataset]:
    """One state for each Modality LUT of the images that carry something, because a state has one for all of them."""
    del made
    layers, drawings = drawn(material.findings)
    states = []
    for number, indices in enumerate(_alike([material.sources[index] for index in _used(drawings)]), start=1):
        marked = [_used(drawings)[index] for index in indices]
        on_these = [each for each in drawings if each.source in marked]
        states.append(_state(material, layers, on_these, marked, number))
    return states


def drawn(findings: Findings) -> tuple[list[Layer], list[Drawing]]:
    """A layer for each structure, box and point, and what is drawn in it, image by image."""
    layers: list[Layer] = []
    drawings: list[Drawing] = []
    for number, region in enumerate(findings.found, start=1):
        layers.append(_layer(number, region.name, region.label))
        on_planes = plane_labels(findings, region.layer) == region.number
        drawings += _outlined(layers[-1].name, f"{region.name} {wording.volume(region.volume_ml)}", on_planes)
    on_image = [mark for mark in wording.marks(findings) if on_radiograph(mark)]
    for number, mark in enumerate(on_image, start=len(layers) + 1):
        layers.append(_layer(number, wording.mark_name(mark), mark.term))
        drawings += _marked(layers[-1].name, mark)
    return layers, drawings


def on_radiograph(mark: Box | Point) -> bool:
    """True when a mark is in the pixels of an image; one in a volume is in the pictures and the report alone."""
    return len(mark.low if isinstance(mark, Box) else mark.at) == 2


def _outlined(layer: str, text: str, masks: NDArray[np.bool_]) -> Iterator[Drawing]:
    """The outlines of one region on each plane that has some of it; the name on the plane that has most."""
    sizes = masks.sum(axis=(1, 2))
    for index in np.flatnonzero(sizes).tolist():
        lines = tuple(outlines(masks[index]))
        drawing = Drawing(layer, index, lines)
        if index == int(sizes.argmax()):
            right_top = max((tuple(corner) for line in lines for corner in line), key=lambda at: (at[0], -at[1]))
            drawing = replace(drawing, text=text, at=(float(right_top[0]), float(right_top[1])))
        yield drawing


def _marked(layer: str, mark: Box | Point) -> Iterator[Drawing]:
    text = wording.mark_name(mark)
    if isinstance(mark, Box):
        (top, left), (bottom, right) = mark.low, mark.high
        corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
        yield Drawing(layer, 0, lines=(np.array(corners, dtype=np.float64),), text=text, at=(right, top))
    else:
        row, column = mark.at
        yield Drawing(layer, 0, points=(np.array([(column, row)]),), text=text, at=(column, row))


def _layer(number: int, name: str, term: Term) -> Layer:
    letters = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name.upper())
    return Layer(f"{number}_{letters}"[:_LAYER], name, term.color_rgb)


def _used(drawings: Sequence[Drawing]) -> list[int]:
    return sorted({each.source for each in drawings})


def _alike(sources: Sequence[Dataset]) -> list[list[int]]:
    """The places of the sources, those with the same Modality LUT together."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for index, source in enumerate(sources):
        groups.setdefault(tuple(str(source.get(keyword)) for keyword in _MODALITY_LUT), []).append(index)
    return list(groups.values())


def _state(
    material: Material, layers: Sequence[Layer], drawings: Sequence[Drawing], marked: Sequence[int], number: int
) -> Dataset:
    sources, algorithm = [material.sources[index] for index in marked], material.findings.algorithm
    state = begun(material, Kind.PRESENTATION, GrayscaleSoftcopyPresentationStateStorage, number)
    state.ContentLabel, state.ContentDescription = "AI_RESULT", f"AI {algorithm.name}, not verified"[:64]
    state.ContentCreatorName = f"{MANUFACTURER}^AI"
    state.ReferencedSeriesSequence = [_series(sources)]
    state.DisplayedAreaSelectionSequence = [_whole_image(sources[0])]
    here = {each.layer for each in drawings}
    state.GraphicLayerSequence = [
        _graphic_layer(layer, order) for order, layer in enumerate(layers, start=1) if layer.name in here
    ]
    state.GraphicAnnotationSequence = [_annotation(each, material.sources[each.source]) for each in drawings]
    _add_grey_values(state, sources, material.findings)
    finished = in_body(finish(state, material.sources[0], algorithm, material.origin), material.sources[0])
    finished.PresentationCreationDate, finished.PresentationCreationTime = finished.ContentDate, finished.ContentTime
    del finished.ContentDate, finished.ContentTime  # a state has the two above in their place (A.33.1.3)
    return finished


def _series(sources: Sequence[Dataset]) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = sources[0].SeriesInstanceUID
    series.ReferencedImageSequence = referenced(sources)
    return series


def _whole_image(source: Dataset) -> Dataset:
    """The displayed area: all of the image, as large as fits (C.10.4)."""
    area = Dataset()
    area.DisplayedAreaTopLeftHandCorner = [1, 1]
    area.DisplayedAreaBottomRightHandCorner = [int(source.Columns), int(source.Rows)]
    area.PresentationSizeMode = "SCALE TO FIT"
    spacing = source.get("PixelSpacing") or source.get("ImagerPixelSpacing")
    if spacing:
        area.PresentationPixelSpacing = list(spacing)
    else:
        area.PresentationPixelAspectRatio = list(source.get("PixelAspectRatio") or (1, 1))
    return area


def _graphic_layer(layer: Layer, order: int) -> Dataset:
    item = Dataset()
    item.GraphicLayer, item.GraphicLayerOrder = layer.name, order
    item.GraphicLayerDescription = layer.description[:64]
    item.GraphicLayerRecommendedDisplayGrayscaleValue = 0xFFFF
    item.GraphicLayerRecommendedDisplayCIELabValue = list(CIELabColor.from_rgb(*layer.colour).value)
    return item


def _annotation(drawing: Drawing, source: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedImageSequence = referenced([source])
    item.GraphicLayer = drawing.layer
    graphics = [_graphic("POLYLINE", line) for line in drawing.lines] + [_graphic("POINT", at) for at in drawing.points]
    if graphics:
        item.GraphicObjectSequence = graphics
    if drawing.text:
        item.TextObjectSequence = [_text(drawing)]
    return item


def _graphic(kind: str, corners: Line) -> Dataset:
    item = Dataset()
    item.GraphicAnnotationUnits, item.GraphicDimensions = "PIXEL", 2
    item.NumberOfGraphicPoints, item.GraphicData = len(corners), corners.ravel().tolist()
    item.GraphicType = kind
    if kind == "POLYLINE":
        item.GraphicFilled = "N"
    return item


def _text(drawing: Drawing) -> Dataset:
    item = Dataset()
    item.AnchorPointAnnotationUnits, item.UnformattedTextValue = "PIXEL", drawing.text
    item.AnchorPoint, item.AnchorPointVisibility = list(drawing.at), "N"
    return item


def _add_grey_values(state: Dataset, sources: Sequence[Dataset], findings: Findings) -> None:
    """From stored values to grey ones as the images have it (C.11.1, C.11.8, C.11.6); a state without would undo it."""
    first = sources[0]
    if first.get("RescaleSlope") is not None:
        state.RescaleIntercept, state.RescaleSlope = first.get("RescaleIntercept", 0), first.RescaleSlope
        state.RescaleType = first.get("RescaleType") or ("HU" if first.get("Modality") == "CT" else "US")
    elif first.get("ModalityLUTSequence"):
        state.ModalityLUTSequence = first.ModalityLUTSequence
    windows = _windows(sources, findings)
    if windows:
        state.SoftcopyVOILUTSequence = windows
    inverse = first.get("PhotometricInterpretation") == "MONOCHROME1"
    state.PresentationLUTShape = "INVERSE" if inverse else "IDENTITY"


def _windows(sources: Sequence[Dataset], findings: Findings) -> list[Dataset]:
    """The images' windows, each with the images that have it where they differ; that of a CT without any is usual."""
    groups: dict[str, list[Dataset]] = {}
    for source in sources:
        groups.setdefault(str([source.get(keyword) for keyword in _VOI_LUT]), []).append(source)
    items = []
    for alike in groups.values():
        item = _window(alike[0], findings)
        if item and len(groups) > 1:
            item.ReferencedImageSequence = referenced(alike)
        items += [item] if item else []
    return items


def _window(source: Dataset, findings: Findings) -> Dataset:
    item = Dataset()
    for keyword in _VOI_LUT:
        if source.get(keyword):
            setattr(item, keyword, source[keyword].value)
    if not item and source.get("Modality") == "CT":
        terms = [region.label for region in findings.found]
        usual = ct_window(terms, str(source.get("BodyPartExamined") or ""))
        item.WindowCenter, item.WindowWidth = usual.centre, usual.width
    return item
