"""The computed abdomen: is it an abdomen, and is its truth the truth."""

import numpy as np
import pytest

from models.phantom import Phantom, abdomen

LIVER, TUMOUR, SPLEEN = 1, 2, 3
COARSE_SHAPE, COARSE_MM = (36, 64, 64), (6.0, 6.0, 6.0)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return abdomen(5)


def middle(phantom: Phantom, label: int) -> np.ndarray:
    """Centre of mass in the LPS world."""
    grid = phantom.label_map.grid
    return np.asarray(grid.to_world(np.argwhere(phantom.label_map.labels == label).astype(float)).mean(0))


def hounsfield(phantom: Phantom, label: int) -> float:
    return float(np.median(phantom.volume.values[phantom.label_map.labels == label]))


def test_the_liver_is_on_the_patients_right_and_the_spleen_on_the_left_and_behind(phantom: Phantom) -> None:
    liver, spleen = middle(phantom, LIVER), middle(phantom, SPLEEN)
    assert liver[0] < -20
    assert spleen[0] > 50
    assert spleen[1] > liver[1]


def test_the_spine_is_behind_and_the_lungs_are_at_the_top(phantom: Phantom) -> None:
    grid, values = phantom.volume.grid, phantom.volume.values
    bone = grid.to_world(np.argwhere(values > 300).astype(float))
    assert bone[:, 1].mean() > 30
    body = values[:, 40:90, 30:100]
    assert np.mean(body[-6:] < -500) > 5 * np.mean(body[:30] < -500)


def test_tissues_have_the_hounsfield_units_of_tissues(phantom: Phantom) -> None:
    assert 80 < hounsfield(phantom, LIVER) < 130
    assert 95 < hounsfield(phantom, SPLEEN) < 145
    assert hounsfield(phantom, TUMOUR) < hounsfield(phantom, LIVER) - 15
    values = phantom.volume.values
    assert np.mean((values > -130) & (values < -70)) > 0.05
    assert np.mean(values < -900) > 0.2


@pytest.mark.parametrize("seed", range(4))
def test_organs_have_the_size_of_organs(seed: int) -> None:
    truth = abdomen(seed, COARSE_SHAPE, COARSE_MM).label_map
    assert 900 < truth.volume_ml(LIVER) + truth.volume_ml(TUMOUR) < 2600
    assert 60 < truth.volume_ml(SPLEEN) < 350


def test_a_seed_is_an_anatomy_and_another_seed_is_another() -> None:
    first, again, other = (abdomen(seed, COARSE_SHAPE, COARSE_MM) for seed in (3, 3, 4))
    assert np.array_equal(first.volume.values, again.volume.values)
    assert np.array_equal(first.label_map.labels, again.label_map.labels)
    assert not np.array_equal(first.label_map.labels, other.label_map.labels)


def test_sampling_more_finely_shows_the_same_anatomy(phantom: Phantom) -> None:
    coarse = abdomen(5, COARSE_SHAPE, COARSE_MM)
    for label in (LIVER, SPLEEN):
        assert coarse.label_map.volume_ml(label) == pytest.approx(phantom.label_map.volume_ml(label), rel=0.06)
        assert np.abs(middle(coarse, label) - middle(phantom, label)).max() < 3


def test_tumours_lie_in_the_liver(phantom: Phantom) -> None:
    labels = phantom.label_map.labels
    around = np.zeros(labels.shape, bool)
    for axis in range(3):
        for step in (-1, 1):
            around |= np.roll(labels == TUMOUR, step, axis)
    neighbours = labels[around & (labels != TUMOUR)]
    assert np.mean(neighbours == LIVER) > 0.8
