"""Findings as Encapsulated STL, and the mutations that its proof catches."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from models.findings import Findings
from service.core.errors import Unproven
from service.core.profiles import Kind, Profile
from service.derived import surface, surface_proof
from service.derived.catalogue import proven
from service.derived.encoding import decode, encode
from tests import factories

PROFILE = Profile(objects=(Kind.SURFACE,))
GRID = factories.grid("oblique", spacing_mm=(2.5, 0.8, 1.1))
SOURCES = factories.headers(factories.ct_series(GRID))
FINDINGS = factories.layered(GRID)


def _models(findings: Findings = FINDINGS) -> list[Dataset]:
    built = surface.build(factories.material(SOURCES, findings, profile=PROFILE), {})
    return [decode(encode(model)) for model in built]


def _prove(models: Sequence[Dataset]) -> None:
    surface_proof.prove(models, factories.material(SOURCES, FINDINGS, profile=PROFILE), {})


@pytest.mark.parametrize("orientation", factories.ORIENTATIONS)
def test_what_is_built_is_proven_and_the_same_again(orientation: str) -> None:
    grid = factories.grid(orientation, spacing_mm=(2.5, 0.8, 1.1))
    sources = factories.headers(factories.ct_series(grid))

    first, second = (proven(factories.material(sources, factories.layered(grid), profile=PROFILE)) for _ in range(2))

    assert first == second
    titles = [decode(encoded).DocumentTitle for encoded in first.values()]
    assert titles == ["Liver", "Spleen", "Liver lesion 1", "Liver lesion 2"]


def _random(seed: int) -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    return (random.random(GRID.shape) < random.uniform(0.0005, 0.999)).astype(np.uint8)


@pytest.mark.parametrize("seed", range(8))
def test_a_surface_of_noise_is_closed_and_where_it_should_be(seed: int) -> None:
    noise = factories.findings(GRID, _random(seed) * np.uint8(3), factories.LABELS[2:])

    assert len(proven(factories.material(SOURCES, noise, profile=PROFILE))) == 1


def test_a_ball_encloses_its_volume_within_two_percent() -> None:
    grid = factories.grid(shape=(30, 70, 70))
    places = grid.to_world(np.indices(grid.shape).reshape(3, -1).T.astype(float))
    centre = grid.to_world(np.array([[14.5, 35, 35]]))
    array = (np.linalg.norm(places - centre, axis=1) < 30).reshape(grid.shape).astype(np.uint8)
    ball = factories.findings(grid, array, factories.LABELS[:1])

    (model,) = surface.build(
        factories.material(factories.headers(factories.ct_series(grid)), ball, profile=PROFILE), {}
    )

    corners_mm = surface_proof.triangles(model)["corners"].astype(np.float64)
    assert surface.enclosed_mm3(corners_mm) / 1000 == pytest.approx(ball.regions[0].volume_ml, rel=0.02)
    assert np.linalg.norm(corners_mm.reshape(-1, 3) - centre, axis=1).max() < 31.5


def test_nothing_found_makes_no_model() -> None:
    nothing = factories.findings(GRID, np.zeros(GRID.shape, dtype=np.uint8))

    assert proven(factories.material(SOURCES, nothing, profile=PROFILE)) == {}


def _changed(model: Dataset, change: Callable[[NDArray[np.void]], NDArray[np.void]]) -> None:
    triangles = change(surface_proof.triangles(model).copy())
    header = model.EncapsulatedDocument[:80] + len(triangles).to_bytes(4, "little")
    model.EncapsulatedDocumentLength = len(header) + triangles.nbytes
    stl = header + triangles.tobytes()
    model.EncapsulatedDocument = stl + b"\0" * (len(stl) % 2)


def _shifted(triangles: NDArray[np.void]) -> NDArray[np.void]:
    triangles["corners"] += GRID.affine[:3, 0].astype(np.float32)
    return triangles


def _inside_out(triangles: NDArray[np.void]) -> NDArray[np.void]:
    triangles["corners"] = triangles["corners"][:, ::-1].copy()
    triangles["normal"] *= -1
    return triangles


def _wrong_normals(triangles: NDArray[np.void]) -> NDArray[np.void]:
    triangles["normal"] *= -1
    return triangles


def _in_ras(triangles: NDArray[np.void]) -> NDArray[np.void]:
    triangles["corners"] *= np.array([-1, -1, 1], dtype=np.float32)
    triangles["normal"] *= np.array([-1, -1, 1], dtype=np.float32)
    return triangles


SHAPES: dict[str, tuple[Callable[[NDArray[np.void]], NDArray[np.void]], str]] = {
    "shifted by a slice": (_shifted, "where it was found"),
    "in RAS": (_in_ras, "where it was found"),
    "inside out": (_inside_out, "volume enclosed by Liver"),
    "normals inwards": (_wrong_normals, "normals of Liver"),
    "a triangle missing": (lambda triangles: triangles[1:], "is closed"),
}


@pytest.mark.parametrize(("change", "sentence"), SHAPES.values(), ids=SHAPES.keys())
def test_a_changed_shape_is_caught(change: Callable[[NDArray[np.void]], NDArray[np.void]], sentence: str) -> None:
    models = _models()
    _changed(models[0], change)

    with pytest.raises(Unproven, match=sentence):
        _prove(models)


@pytest.mark.parametrize("axis", [0, 1, 2], ids=["slices", "rows", "columns"])
def test_a_flip_is_caught(axis: int) -> None:
    array = FINDINGS.layers[0].labels.copy()
    array[FINDINGS.layers[1].labels > 0] = 4
    flipped = factories.findings(GRID, np.ascontiguousarray(np.flip(array, axis)), factories.LAYERED)

    with pytest.raises(Unproven, match="where it was found"):
        _prove(_models(flipped))


CHANGES: dict[str, tuple[Callable[[list[Dataset]], object], str]] = {
    "models exchanged": (lambda models: models.reverse(), "model"),
    "a model missing": (lambda models: models.pop(), "number of models"),
    "other patient": (lambda models: setattr(models[1], "PatientID", "SOMEBODY"), "PatientID"),
    "other frame of reference": (
        lambda models: setattr(models[1], "FrameOfReferenceUID", "2.25.9"),
        "FrameOfReference",
    ),
    "other unit": (
        lambda models: setattr(models[0].MeasurementUnitsCodeSequence[0], "CodeValue", "um"),
        "unit of the model",
    ),
    "cut off": (
        lambda models: setattr(models[0], "EncapsulatedDocumentLength", 100),
        "bytes of the STL file",
    ),
    "no title": (lambda models: models[0].__delattr__("DocumentTitle"), "DocumentTitle"),
}


@pytest.mark.parametrize(("change", "sentence"), CHANGES.values(), ids=CHANGES.keys())
def test_a_changed_object_is_caught(change: Callable[[list[Dataset]], object], sentence: str) -> None:
    models = _models()
    change(models)

    with pytest.raises(Unproven, match=sentence):
        _prove(models)
