"""Two images of a phantom that lies elsewhere: the motion is found, the same each time, and lesions by place."""

from functools import cache

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from models.alignment import Motion, Pieces, lesions_in_both, motion_between
from models.phantom import abdomen
from models.volume import Grid, Matrix, Volume

TURN = np.deg2rad(6.0)
ROTATION = np.array([[np.cos(TURN), -np.sin(TURN), 0], [np.sin(TURN), np.cos(TURN), 0], [0, 0, 1]])
SHIFT_MM = np.array([9.0, -7.0, 11.0])
STAYS = Motion(np.eye(3), np.zeros(3))


@cache
def lying() -> Volume:
    return abdomen(30007, (36, 60, 60), (6.0, 6.0, 6.0)).volume


def turned() -> Volume:
    """What lay at a place lies now where the motion takes it."""
    volume = lying()
    indices = np.argwhere(np.ones(volume.grid.shape, dtype=bool)).astype(np.float64)
    came_from = volume.grid.to_index((volume.grid.to_world(indices) - SHIFT_MM) @ ROTATION)
    values = map_coordinates(volume.values, came_from.T, order=1, cval=-1000.0)
    return Volume(volume.grid, values.reshape(volume.grid.shape).astype(np.float32))


@cache
def found() -> Motion:
    motion = motion_between(lying(), turned())
    assert motion is not None
    return motion


def test_the_motion_is_found_within_two_millimetres() -> None:
    corners = np.array([[x, y, z] for x in (-90.0, 90.0) for y in (-60.0, 60.0) for z in (-60.0, 60.0)])

    apart_mm = np.linalg.norm(found().forth(corners) - (corners @ ROTATION.T + SHIFT_MM), axis=1)

    assert apart_mm.max() < 2.0


def test_back_undoes_forth() -> None:
    places = np.random.default_rng(1).normal(size=(20, 3)) * 100

    assert found().back(found().forth(places)) == pytest.approx(places)


def test_the_same_images_give_the_same_motion_to_the_last_bit() -> None:
    again = motion_between(lying(), turned())

    assert again is not None
    assert np.array_equal(again.rotation, found().rotation)
    assert np.array_equal(again.shift_mm, found().shift_mm)


def test_what_shows_nothing_alike_is_not_aligned() -> None:
    noise = np.random.default_rng(1).normal(size=lying().values.shape).astype(np.float32)

    assert motion_between(lying(), Volume(lying().grid, noise)) is None


def test_a_few_slices_are_not_aligned() -> None:
    few = lying().grid
    thin = Volume(Grid((5, *few.shape[1:]), few.affine), lying().values[:5])

    assert motion_between(thin, thin) is None


GRID = Grid((50, 50, 50), np.eye(4))


def ball(*centre_mm: float) -> Matrix:
    """The places of the voxels of a lesion of 3 mm."""
    return np.array(centre_mm, dtype=np.float64) + np.argwhere(np.ones((3, 3, 3))).astype(np.float64) - 1.0


CASES = {
    "one found again 4 mm away": ({1: ball(20, 20, 20)}, {3: ball(24, 20, 20)}, [Pieces((1,), (3,), True)]),
    "one new and one gone": (
        {1: ball(20, 20, 20)},
        {1: ball(40, 20, 20)},
        [Pieces((1,), (), True), Pieces((), (1,), True)],
    ),
    "two that became one": (
        {1: ball(20, 20, 20)},
        {1: ball(16, 20, 20), 2: ball(24, 20, 20)},
        [Pieces((1,), (1, 2), True)],
    ),
    "one that fell apart beside one that stayed": (
        {1: ball(20, 20, 20), 2: ball(40, 40, 40), 3: ball(24, 20, 20)},
        {1: ball(22, 20, 20), 2: ball(40, 40, 40)},
        [Pieces((1, 3), (1,), True), Pieces((2,), (2,), True)],
    ),
    "one outside of the earlier image": ({1: ball(60, 20, 20)}, {}, [Pieces((1,), (), False)]),
    "none at all": ({}, {}, []),
}


@pytest.mark.parametrize(("now", "before", "due"), CASES.values(), ids=CASES.keys())
def test_lesions_belong_together_by_their_place(
    now: dict[int, Matrix], before: dict[int, Matrix], due: list[Pieces]
) -> None:
    assert list(lesions_in_both(now, before, (GRID, GRID), STAYS)) == due


def test_lesions_of_a_patient_who_moved_are_looked_for_where_they_lie_now() -> None:
    there = Motion(np.eye(3), np.array([15.0, 0.0, 0.0]))

    assert lesions_in_both({1: ball(20, 20, 20)}, {1: ball(35, 20, 20)}, (GRID, GRID), there) == (
        Pieces((1,), (1,), True),
    )
