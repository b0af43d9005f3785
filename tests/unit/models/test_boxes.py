"""Upright boxes: around voxels on any grid, and of two of them."""

import numpy as np
import pytest

from models.boxes import around, ends, outer_edges, outline, outside_mm, overlap
from tests import factories

UNIT = np.array([[0.0, 0.0, 0.0], [10.0, 10.0, 10.0]])


@pytest.mark.parametrize("orientation", ["axial", "sagittal", "coronal", "oblique"])
def test_the_outline_reaches_as_far_as_the_corners_of_all_voxels_do(orientation: str) -> None:
    grid = factories.grid(orientation, shape=(9, 11, 7), spacing_mm=(4.0, 2.0, 3.0))
    mask = np.random.default_rng(3).random(grid.shape) > 0.9
    corners = (np.argwhere(mask)[:, None] + (ends(UNIT) / 10 - 0.5)).reshape(-1, 3)
    assert np.allclose(around(outline(mask, grid)), around(grid.to_world(corners)))


def test_the_outer_edges_of_a_grid_are_half_a_voxel_beyond_its_outermost_centres() -> None:
    assert outer_edges(factories.grid(shape=(9, 11, 7))).tolist() == [[-0.5] * 3, [8.5, 10.5, 6.5]]


def test_nothing_has_no_outline() -> None:
    with pytest.raises(ValueError, match="no outline"):
        outline(np.zeros((3, 3, 3), bool), factories.grid(shape=(3, 3, 3)))


@pytest.mark.parametrize(
    ("moved_by", "expected"),
    [((0, 0, 0), 1.0), ((5, 0, 0), 1 / 3), ((0, 10, 0), 0.0), ((0, 0, 40), 0.0)],
    ids=["the same", "half of it", "touching", "apart"],
)
def test_the_overlap_is_what_is_shared_over_what_either_covers(
    moved_by: tuple[float, float, float], expected: float
) -> None:
    assert overlap(UNIT, UNIT + np.array(moved_by)) == pytest.approx(expected)


def test_a_box_reaches_out_by_its_farthest_side_and_is_inside_by_its_nearest() -> None:
    assert outside_mm(UNIT + np.array([3.0, -4.0, 0.0]), UNIT) == 4.0
    assert outside_mm(np.array([[2.0, 3.0, 4.0], [9.0, 7.0, 7.0]]), UNIT) == -1.0
