"""The way to the network's grid and back."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from models.nifti import read_volume
from models.preparation import Preprocessing, Standardize, Window
from models.preprocessing import (
    closest_turn,
    labels_to_network,
    normalised,
    respaced_grid,
    to_network,
    to_source,
    turned_grid,
)
from models.volume import Grid, LabelMap, Volume
from tests import factories

PLAIN = Preprocessing(spacing_mm=(2.0, 1.0, 1.0), intensity=Window(kind="window", minimum=-1.0, maximum=1.0))


def volume(grid: Grid, seed: int = 0) -> Volume:
    values = np.random.default_rng(seed).uniform(-1, 1, grid.shape)
    return Volume(grid, values.astype(np.float32))


def blocks(grid: Grid) -> LabelMap:
    """Two boxes without any symmetry."""
    labels = np.zeros(grid.shape, np.uint8)
    labels[2:6, 3:12, 4:9] = 1
    labels[5:9, 10:20, 12:25] = 2
    return LabelMap(grid, labels)


def one_hot(labels: NDArray[np.uint8], classes: int = 3) -> NDArray[np.float32]:
    return np.stack([labels == value for value in range(classes)]).astype(np.float32)


def through_nifti(source: Volume, path: Path) -> Volume:
    """The same voxels in the same places, stored as NIfTI wants them (first axis to the right, RAS world) and read."""
    right_first = source.values.transpose(2, 1, 0)[::-1, ::-1]
    affine = source.grid.affine[:, [2, 1, 0, 3]].copy()
    for axis in (0, 1):
        affine[:3, 3] += affine[:3, axis] * (right_first.shape[axis] - 1)
        affine[:3, axis] *= -1
    nibabel.save(nibabel.Nifti1Image(right_first, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine), path)
    return read_volume(path)


@pytest.mark.parametrize("orientation", factories.ORIENTATIONS)
def test_the_network_sees_superior_posterior_left_whatever_the_source(orientation: str) -> None:
    grid = to_network(volume(factories.grid(orientation)), PLAIN).grid
    z, y, x = grid.direction.T
    assert z[2] > 0.9
    assert y[1] > 0.9
    assert x[0] > 0.9


@pytest.mark.parametrize("orientation", factories.ORIENTATIONS)
def test_turning_moves_no_voxel_in_the_world(orientation: str) -> None:
    grid = factories.grid(orientation, shape=(5, 7, 9), spacing_mm=(3.0, 0.7, 1.1))
    source = np.random.default_rng(0).random(grid.shape).astype(np.float32)
    turned = turned_grid(grid, closest_turn(grid))
    seen = to_network(
        Volume(grid, source), PLAIN.model_copy(update={"spacing_mm": tuple(map(float, turned.spacing_mm))})
    )
    inverse = np.linalg.inv(seen.source.affine) @ seen.grid.affine
    for index in [(0, 0, 0), (1, 2, 3), tuple(n - 1 for n in seen.grid.shape)]:
        back = (inverse @ (*index, 1.0))[:3]
        assert np.abs(back - np.round(back)).max() < 1e-6
        assert seen.values[index] == pytest.approx(source[tuple(np.round(back).astype(int))], abs=1e-6)


@pytest.mark.parametrize("orientation", factories.ORIENTATIONS)
@pytest.mark.parametrize("spacing_mm", [(2.0, 1.0, 1.0), (3.1, 0.8, 1.3)], ids=["same spacing", "other spacing"])
def test_labels_come_back_onto_exactly_the_source_grid(
    orientation: str, spacing_mm: tuple[float, float, float]
) -> None:
    grid = factories.grid(orientation, shape=(14, 30, 32), spacing_mm=spacing_mm)
    truth = blocks(grid)
    there = labels_to_network(truth, PLAIN)
    back = to_source(one_hot(there.labels), to_network(volume(grid), PLAIN))
    assert back.grid is grid
    for label in (1, 2):
        both = np.count_nonzero((back.labels == label) & (truth.labels == label))
        assert 2 * both / (np.sum(back.labels == label) + np.sum(truth.labels == label)) > 0.85


def test_turning_and_flipping_alone_loses_nothing() -> None:
    grid = factories.grid("sagittal", shape=(14, 30, 32), spacing_mm=(1.0, 1.0, 1.0))
    isotropic = PLAIN.model_copy(update={"spacing_mm": (1.0, 1.0, 1.0)})
    there = labels_to_network(blocks(grid), isotropic)
    back = to_source(one_hot(there.labels), to_network(volume(grid), isotropic))
    assert np.array_equal(back.labels, blocks(grid).labels)


@pytest.mark.parametrize("spacing_mm", [(2.0, 1.0, 1.0), (3.1, 0.8, 1.3)], ids=["same spacing", "other spacing"])
@pytest.mark.parametrize("orientation", factories.ORIENTATIONS)
def test_dicom_and_nifti_of_the_same_voxels_give_the_same_labels_in_the_same_places(
    orientation: str, spacing_mm: tuple[float, float, float], tmp_path: Path
) -> None:
    dicom = volume(factories.grid(orientation, shape=(14, 18, 20), spacing_mm=spacing_mm))
    nifti = through_nifti(dicom, tmp_path / "same.nii.gz")
    seen, seen_too = to_network(dicom, PLAIN), to_network(nifti, PLAIN)
    assert np.abs(seen.grid.affine - seen_too.grid.affine).max() < 1e-4  # a NIfTI header has single precision
    assert np.allclose(seen.values, seen_too.values, atol=1e-3)
    guess = np.stack([1 - seen.values, 1 + seen.values])
    back, back_too = to_source(guess, seen), to_source(guess, seen_too)
    assert np.mean(back.labels == back_too.labels.transpose(2, 1, 0)[:, ::-1, ::-1]) > 0.999


def test_resampling_keeps_the_box_and_its_middle() -> None:
    grid = factories.grid("oblique", shape=(20, 50, 40), spacing_mm=(5.0, 0.8, 0.8))
    wanted = respaced_grid(grid, (2.5, 2.0, 1.6))
    assert wanted.shape == (40, 20, 20)
    assert np.allclose(wanted.spacing_mm, (2.5, 2.0, 1.6))
    middles = [g.to_world((np.asarray(g.shape)[None] - 1) / 2) for g in (grid, wanted)]
    assert np.abs(middles[0] - middles[1]).max() < 1e-6


def test_a_ramp_in_the_world_is_the_same_ramp_after_resampling() -> None:
    grid = factories.grid("axial", shape=(20, 40, 40), spacing_mm=(3.0, 1.0, 1.0))
    corners = np.argwhere(np.ones(grid.shape)).astype(float)
    ramp = (grid.to_world(corners) @ (0.01, -0.004, 0.002)).reshape(grid.shape)
    seen = to_network(Volume(grid, ramp.astype(np.float32)), PLAIN.model_copy(update={"spacing_mm": (1.5, 2.0, 2.0)}))
    inner = np.argwhere(np.ones(seen.grid.shape)).astype(float)
    wanted = (seen.grid.to_world(inner) @ (0.01, -0.004, 0.002)).reshape(seen.grid.shape)
    inside = (slice(3, -3),) * 3
    assert np.abs(seen.values - np.clip(wanted, -1, 1))[inside].max() < 1e-4


@pytest.mark.parametrize("scale", [1.0, 1e4, 1e-3], ids=["8 bit", "a million", "tiny"])
def test_standardized_intensities_do_not_depend_on_the_scanners_scale(scale: float) -> None:
    source = volume(factories.grid())
    recipe = PLAIN.model_copy(update={"intensity": Standardize(kind="standardize")})
    scaled = Volume(source.grid, (source.values * scale * 100 + 7 * scale).astype(np.float32))
    seen = to_network(scaled, recipe).values
    assert abs(float(seen.mean())) < 1e-4
    assert float(seen.std()) == pytest.approx(1, abs=1e-4)
    assert np.allclose(seen, to_network(source, recipe).values, atol=1e-3)


def test_a_window_maps_its_ends_to_minus_one_and_one_and_clips_beyond() -> None:
    hounsfield = np.array([-1000, -160, 40, 240, 1000], np.float32)
    scaled = normalised(hounsfield, Window(kind="window", minimum=-160, maximum=240))
    assert scaled.tolist() == [-1, -1, 0, 1, 1]
