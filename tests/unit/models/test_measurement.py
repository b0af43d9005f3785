"""Diameters, attenuation, probability and place of regions."""

import time
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from models.findings import Findings, Measurement, Region
from models.measurement import (
    ATTENUATION,
    DEVIATION,
    DIAMETER,
    LONG_AXIS,
    MEAN,
    Likelihoods,
    indexed,
    is_axial,
    longest_diameters_mm,
    measured,
)
from models.regions import found
from models.sections import Label, Measure
from models.terms import Code
from models.volume import Grid, LabelMap, Volume
from tests import factories

LIVER = factories.LABELS[0].model_copy(update={"includes": (2,)})
TUMOUR = factories.LABELS[1].model_copy(update={"name": "Tumour", "lesions": True})
LEFT = Code(value="7771000", scheme="SCT", meaning="Left")


def findings_of(array: NDArray[np.generic], grid: Grid, *labels: Label) -> Findings:
    return found(factories.ALGORITHM, LabelMap(grid, array.astype(np.uint8)), labels)


def asking(*wanted: Measure, label: Label = factories.LABELS[0]) -> Label:
    return label.model_copy(update={"measure": wanted})


def by_name(region: Region, name: Code) -> list[Measurement]:
    return [each for each in region.measurements if each.name == name]


def blob(shape: tuple[int, int, int], seed: int) -> NDArray[np.bool_]:
    """Voxels here and there: no symmetry, and holes."""
    return np.random.default_rng(seed).random(shape) > 0.7


@pytest.mark.parametrize("orientation", factories.ORIENTATIONS)
@pytest.mark.parametrize("seed", range(3))
def test_no_two_voxels_are_further_apart_than_the_longest_diameters(orientation: str, seed: int) -> None:
    grid = factories.grid(orientation, shape=(5, 9, 8), spacing_mm=(2.5, 0.7, 1.3))
    voxels = np.argwhere(blob(grid.shape, seed))

    in_plane_mm, in_space_mm = longest_diameters_mm(voxels, grid)

    planes = [voxels[voxels[:, 0] == index] for index in range(grid.shape[0])]
    assert in_plane_mm == pytest.approx(max(pdist(grid.to_world(plane * 1.0)).max() for plane in planes))
    assert in_space_mm == pytest.approx(pdist(grid.to_world(voxels * 1.0)).max())


FLAT = {
    "a voxel": [(2, 3, 4)],
    "two voxels": [(2, 3, 4), (2, 5, 7)],
    "a column": [(1, row, 4) for row in range(6)],
    "a diagonal": [(1, row, row) for row in range(6)],
    "a diagonal through slices": [(index, index, index) for index in range(5)],
    "a sagittal sheet": [(index, row, 3) for index in range(4) for row in range(5)],
    "an oblique sheet": [(index, row, index + 1) for index in range(4) for row in range(5)],
}


@pytest.mark.parametrize("places", FLAT.values(), ids=FLAT.keys())
def test_what_spans_no_space_has_diameters_too(places: list[tuple[int, int, int]]) -> None:
    grid = factories.grid(spacing_mm=(2.0, 1.0, 1.0))
    voxels = np.array(places)

    in_plane_mm, in_space_mm = longest_diameters_mm(voxels, grid)

    assert in_space_mm == pytest.approx(pdist(grid.to_world(voxels * 1.0)).max(initial=0.0))
    assert in_plane_mm <= in_space_mm


def test_a_liver_of_two_million_voxels_is_measured_within_two_seconds() -> None:
    grid = factories.grid(shape=(160, 200, 220))
    z, y, x = np.ogrid[-1:1:160j, -1:1:200j, -1:1:220j]
    voxels = np.argwhere(z**2 + y**2 + x**2 < 0.75)
    assert len(voxels) > 2_000_000

    started = time.perf_counter()
    longest_diameters_mm(voxels, grid)

    assert time.perf_counter() - started < 2  # half a second where nothing else runs


AXIAL = {"axial": True, "axial reversed": True, "oblique": True, "coronal": False, "sagittal": False}


@pytest.mark.parametrize(("orientation", "expected"), AXIAL.items())
def test_an_axis_in_the_plane_is_measured_of_axial_planes_alone(orientation: str, expected: bool) -> None:
    grid = factories.grid(orientation)
    label = asking(Measure.DIAMETERS)

    (region,) = measured(findings_of(factories.labels(grid) == 1, grid, label), factories.volume(grid)).regions

    assert is_axial(grid) is expected
    assert (len(by_name(region, LONG_AXIS)), len(by_name(region, DIAMETER))) == (int(expected), 1)


def test_attenuation_is_mean_and_deviation_over_the_voxels() -> None:
    grid, mask = factories.grid(), factories.labels() == 1
    volume = factories.volume(grid)

    (region,) = measured(findings_of(mask, grid, asking(Measure.ATTENUATION)), volume).regions

    mean, deviation = by_name(region, ATTENUATION)
    assert (mean.derivation, deviation.derivation) == (MEAN, DEVIATION)
    assert mean.value == pytest.approx(volume.values[mask].mean(dtype=np.float64))
    assert deviation.value == pytest.approx(volume.values[mask].std(dtype=np.float64))


def test_a_probability_is_the_mean_over_the_voxels_of_what_belongs_to_the_structure() -> None:
    grid, array = factories.grid(), factories.labels()
    values = np.random.default_rng(3).random((3, *grid.shape), dtype=np.float32)
    values /= values.sum(axis=0)
    labels = (asking(Measure.PROBABILITY, label=LIVER), asking(Measure.PROBABILITY, label=TUMOUR))

    regions = measured(findings_of(array, grid, *labels), factories.volume(), Likelihoods(grid, values)).regions

    assert regions[0].probability == pytest.approx(float((values[1] + values[2])[array > 0].mean()), abs=1e-6)
    assert regions[1].probability == pytest.approx(float(values[2][array == 2].mean()), abs=1e-6)


def test_a_probability_is_looked_up_where_the_voxel_lies_on_the_networks_grid() -> None:
    grid = factories.grid("coronal", shape=(4, 20, 20), spacing_mm=(4.0, 1.0, 1.0))
    network = factories.grid("axial", shape=(20, 40, 20), spacing_mm=(2.0, 2.0, 2.0), origin_mm=(-40, 0, -230))
    x, y, z = (
        network.to_world(np.argwhere(np.ones(network.shape)) * 1.0).reshape(*network.shape, 3).transpose(3, 0, 1, 2)
    )
    slope = (0.5 + 0.002 * x + 0.003 * y + 0.001 * z).astype(np.float32)  # linear: interpolation is exact
    mask = np.zeros(grid.shape, dtype=np.uint8)
    mask[1:3, 2:9, 4:12] = 1

    finding = findings_of(mask, grid, asking(Measure.PROBABILITY))
    (region,) = measured(finding, factories.volume(grid), Likelihoods(network, np.stack((1 - slope, slope)))).regions

    places = grid.to_world(np.argwhere(mask).astype(np.float64))
    inside = network.to_index(places)
    assert (inside >= 0).all()
    assert (inside <= np.array(network.shape) - 1).all()
    assert region.probability == pytest.approx(float((0.5 + places @ (0.002, 0.003, 0.001)).mean()), abs=1e-5)


def test_nothing_is_measured_that_was_not_asked_for_or_not_found() -> None:
    volume = factories.volume()
    asked = [asking(*Measure, label=label) for label in factories.LABELS]

    unasked = measured(factories.findings(), volume).regions
    kidney = measured(factories.findings(structures=asked), volume).regions[2]

    assert [(region.measurements, region.probability, region.location) for region in unasked] == [((), None, "")] * 3
    assert (kidney.voxels, kidney.measurements) == (0, ())


def lesion_in(organ: slice, lesion: slice, **changes: object) -> Region:
    grid = factories.grid(shape=(12, 20, 20))
    array = np.zeros(grid.shape, dtype=np.uint8)
    array[organ, 2:18, 2:18] = 1
    array[lesion, 8:12, 8:12] = 2
    labels = (LIVER.model_copy(update=changes), TUMOUR)
    return measured(findings_of(array, grid, *labels), Volume(grid, np.zeros(grid.shape, np.float32))).regions[1]


def test_a_lesion_lies_in_the_organ_that_surrounds_it() -> None:
    assert lesion_in(slice(1, 11), slice(4, 7)).location == "in the Liver"


def test_a_lesion_that_hardly_touches_the_organ_lies_in_no_place_that_is_known() -> None:
    assert lesion_in(slice(1, 4), slice(3, 11)).location == ""


def test_the_side_of_a_paired_organ_is_said_where_its_name_does_not_say_it() -> None:
    organ, lesion = slice(1, 11), slice(4, 7)
    assert lesion_in(organ, lesion, name="Lung", modifier=LEFT).location == "in the left Lung"
    assert lesion_in(organ, lesion, name="Left lung", modifier=LEFT).location == "in the Left lung"


def test_measuring_changes_neither_voxels_nor_what_the_model_said_already() -> None:
    findings = factories.findings()
    said = replace(findings, regions=tuple(replace(region, probability=0.5) for region in findings.regions))

    regions = measured(said, factories.volume()).regions

    assert regions == said.regions


INDEX = Code(value="LAVI", scheme="99ISOCENTER", meaning="Left atrium volume index")


def index_of(body_surface_m2: float | None, label: Label, values: int = 1) -> list[Measurement]:
    array = np.zeros((4, 5, 6), np.uint8)
    array[1:3, 2:4, 1:5] = values
    found_there = findings_of(array, factories.grid(shape=array.shape), label)
    return by_name(indexed(found_there, body_surface_m2).regions[0], INDEX)


def test_a_volume_is_indexed_by_the_surface_where_its_label_wants_it() -> None:
    wanting = factories.LABELS[0].model_copy(update={"volume_index": INDEX})
    (index,) = index_of(1.6, wanting)
    assert index.value == pytest.approx(16 * 2.5e-3 / 1.6)
    assert (index.unit.value, index.unit.scheme) == ("ml/m2", "UCUM")


@pytest.mark.parametrize(
    ("surface", "wants", "value"),
    [(None, True, 1), (1.6, False, 1), (1.6, True, 0)],
    ids=["surface not known", "not wanted", "not found"],
)
def test_no_volume_is_indexed_otherwise(surface: float | None, wants: bool, value: int) -> None:
    label = factories.LABELS[0].model_copy(update={"volume_index": INDEX if wants else None})
    assert index_of(surface, label, value) == []


def test_indexing_twice_leaves_one_index_and_what_was_measured_before() -> None:
    label = asking(Measure.DIAMETERS).model_copy(update={"volume_index": INDEX})
    grid = factories.grid()
    measured_once = measured(findings_of(factories.labels() == 1, grid, label), factories.volume(grid))
    twice = indexed(indexed(measured_once, 1.5), 2.0).regions[0]
    assert [each.name for each in twice.measurements] == [LONG_AXIS, DIAMETER, INDEX]
    assert twice.measurements[-1].value == pytest.approx(twice.volume_ml / 2.0)
