"""Secondary captures: what they show, and mutations that their proof has to catch."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
from pydicom import Dataset

from models.volume import Grid, LabelMap
from service.core.errors import Unproven
from service.derived import capture, capture_proof
from service.derived.encoding import decode, encode
from service.derived.material import Material
from service.derived.montage import sheets
from service.derived.picture import Rgb
from service.derived.sheets import Sheet
from tests import factories, pictures

GRID = factories.grid("oblique", spacing_mm=(2.5, 0.8, 1.1))
MATERIAL = pictures.volume(GRID)
GRIDS = {name: factories.grid(name) for name in factories.ORIENTATIONS}


@cache
def _built() -> bytes:
    (dataset,) = capture.build(MATERIAL, {})
    return encode(dataset)


@cache
def _sheet() -> Sheet:
    return sheets(MATERIAL)[0]


def _sheared() -> Material:
    affine = factories.grid().affine.copy()
    affine[1, 0] = 0.8
    return pictures.volume(Grid((12, 40, 30), affine))


def _uneven() -> Material:
    material, places = pictures.volume(), (0.0, 1.0, 2.5, 4.0, 5.0, 7.0, 8.0, 9.5, 11.0)
    findings = factories.findings()
    first, last = factories.grid().origin_mm, factories.grid().to_world(np.array([[11.0, 0.0, 0.0]]))[0]
    sources = list(material.sources[: len(places)])
    for source, place in zip(sources, places, strict=True):
        source.ImagePositionPatient = (first + (last - first) * place / 11.0).tolist()
    return replace(material, sources=sources, findings=replace(findings, places=places))


CASES: dict[str, Callable[[], Material]] = {
    **{name: partial(pictures.volume, grid) for name, grid in GRIDS.items()},
    "tilted gantry": _sheared,
    "uneven slices": _uneven,
    "nothing found": lambda: pictures.volume(findings=factories.findings(array=np.zeros((12, 40, 30), dtype=np.uint8))),
    "radiograph": pictures.chest,
    "negative radiograph": lambda: pictures.chest(pictures.negative()),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_is_built_is_proven(case: Callable[[], Material]) -> None:
    material = case()

    built = capture.build(material, {})

    capture_proof.prove(pictures.read_back(built), material, {})
    assert {dataset.SeriesInstanceUID for dataset in built} == {material.series_uid("OT")}
    assert [dataset.InstanceNumber for dataset in built] == list(range(1, len(built) + 1))


def test_the_same_material_makes_the_same_bytes() -> None:
    (again,) = capture.build(MATERIAL, {})

    assert encode(again) == _built()


def test_text_in_the_pictures_identifies_nobody_unless_the_images_do() -> None:
    written_on = pictures.volume(GRID)
    written_on.sources[3].BurnedInAnnotation = "YES"

    (with_text,) = capture.build(written_on, {})

    assert (decode(_built()).BurnedInAnnotation, with_text.BurnedInAnnotation) == ("NO", "YES")


def _flip(axis: int) -> Callable[[Dataset], object]:
    def change(dataset: Dataset) -> None:
        pixels = np.frombuffer(dataset.PixelData, np.uint8).reshape(dataset.Rows, dataset.Columns, 3)
        dataset.PixelData = np.ascontiguousarray(np.flip(pixels, axis)).tobytes()

    return change


def _one_pixel(dataset: Dataset) -> None:
    pixels = bytearray(dataset.PixelData)
    pixels[3 * 1000] ^= 8
    dataset.PixelData = bytes(pixels)


def _forget_a_source(dataset: Dataset) -> None:
    del dataset.SourceImageSequence[0]


MUTATIONS: dict[str, tuple[Callable[[Dataset], object], str]] = {
    "left and right": (_flip(1), "differ from the sheet"),
    "top and bottom": (_flip(0), "differ from the sheet"),
    "one pixel": (_one_pixel, "differ from the sheet"),
    "other patient": (lambda dataset: setattr(dataset, "PatientID", "SOMEBODY"), "PatientID"),
    "other study": (lambda dataset: setattr(dataset, "StudyInstanceUID", "2.25.8"), "StudyInstanceUID"),
    "source forgotten": (_forget_a_source, "source images"),
    "said to be burnt in": (lambda dataset: setattr(dataset, "BurnedInAnnotation", "YES"), "Burned In Annotation"),
    "said to be original": (lambda dataset: setattr(dataset, "ImageType", ["ORIGINAL", "PRIMARY"]), "Image Type"),
    "attribute missing": (lambda dataset: dataset.__delattr__("ConversionType"), "ConversionType"),
    "other colours": (lambda dataset: setattr(dataset, "PhotometricInterpretation", "YBR_FULL"), "form of the pixels"),
}


@pytest.mark.parametrize(("change", "sentence"), MUTATIONS.values(), ids=MUTATIONS.keys())
def test_a_changed_capture_is_caught(change: Callable[[Dataset], object], sentence: str) -> None:
    changed = decode(_built())
    change(changed)

    with pytest.raises(Unproven, match=sentence):
        capture_proof.prove([changed], MATERIAL, {})


def test_a_missing_picture_is_caught() -> None:
    with pytest.raises(Unproven, match="number of pictures"):
        capture_proof.prove([], MATERIAL, {})


def _panels(change: Callable[[Rgb], Rgb]) -> Rgb:
    """The first sheet with every panel changed, as if all that draws had gone wrong in the same way."""
    sheet = _sheet()
    pixels = np.array(sheet.image)
    for panel in sheet.panels:
        (left, top), (rows, columns) = panel.corner, panel.shape
        within = (slice(top, top + rows), slice(left, left + columns))
        pixels[within] = change(pixels[within])
    return pixels


WRONG_PLACES: dict[str, Callable[[Rgb], Rgb]] = {
    "flip of left and right": lambda panel: panel[:, ::-1],
    "flip of top and bottom": lambda panel: panel[::-1],
    "shift by a voxel and a half": lambda panel: np.roll(panel, round(1.5 * 1.1 * 512 / 60), axis=1),
    "rows and columns exchanged": lambda panel: np.resize(panel.transpose(1, 0, 2), panel.shape),
    "colours left out": lambda panel: np.repeat(panel.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2),
}


@pytest.mark.parametrize("change", WRONG_PLACES.values(), ids=WRONG_PLACES.keys())
def test_colours_in_a_wrong_place_are_caught_without_the_help_of_what_drew_them(change: Callable[[Rgb], Rgb]) -> None:
    panel = _sheet().panels[0]

    capture_proof.prove_colours(_panels(lambda same: same), panel, MATERIAL.findings)
    with pytest.raises(Unproven, match="axial picture"):
        capture_proof.prove_colours(_panels(change), panel, MATERIAL.findings)


def test_colours_of_exchanged_spacings_are_caught() -> None:
    affine = GRID.affine.copy()
    affine[:3, 1:3] *= np.array([1.1 / 0.8, 0.8 / 1.1])
    wrong = LabelMap(Grid(GRID.shape, affine), MATERIAL.findings.layers[0].labels)
    sheet = _sheet()

    with pytest.raises(Unproven, match="picture"):
        capture_proof.prove_colours(
            np.asarray(sheet.image), sheet.panels[0], replace(MATERIAL.findings, layers=(wrong,))
        )
