"""A part of a volume on the volume's own voxels, and the way back."""

import numpy as np
import pytest

from models.cropping import (
    Edges,
    block_around,
    cut,
    edges_of_box,
    edges_of_mask,
    put_back,
    whole,
)
from models.volume import Grid, LabelMap
from tests import factories

ORIENTATIONS = sorted(factories.ORIENTATIONS)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_what_is_cut_and_put_back_is_where_it_was_voxel_for_voxel(orientation: str) -> None:
    volume = factories.volume(factories.grid(orientation))
    block = (slice(3, 9), slice(5, 31), slice(0, 17))
    part = cut(volume, block)
    assert np.array_equal(part.values, volume.values[block])
    back = put_back(LabelMap(part.grid, np.ones(part.grid.shape, np.uint8)), block, volume.grid)
    assert back.grid is volume.grid
    assert int(back.labels.sum()) == back.labels[block].size == back.labels[block].sum()
    indices = np.argwhere(back.labels).astype(float)
    starts = np.array([3.0, 5.0, 0.0])
    assert np.abs(volume.grid.to_world(indices) - part.grid.to_world(indices - starts)).max() < 1e-9


def test_a_margin_is_in_mm_along_every_axis_and_ends_at_the_edge_of_the_image() -> None:
    on = factories.grid("oblique", (12, 40, 30), (2.5, 1.0, 2.0))
    mask = np.zeros(on.shape, np.bool_)
    mask[4:6, 10:20, 12] = True
    edges = edges_of_mask(mask)
    assert edges is not None
    assert block_around(edges, on, 0.0) == (slice(4, 6), slice(10, 20), slice(12, 13))
    assert block_around(edges, on, 5.0) == (slice(2, 8), slice(5, 25), slice(9, 16))
    assert block_around(edges, on, 4.9) == (slice(2, 8), slice(5, 25), slice(9, 16))
    assert block_around(edges, on, 1000.0) == whole(on)


def test_a_margin_of_a_sheared_grid_holds_everything_within_it() -> None:
    affine = factories.grid("axial", (20, 40, 30), (3.0, 1.0, 1.0)).affine.copy()
    affine[:3, 0] += 2.0 * affine[:3, 1]
    on = Grid((20, 40, 30), affine)
    mask = np.zeros(on.shape, np.bool_)
    mask[10, 20, 15] = True
    edges = edges_of_mask(mask)
    assert edges is not None
    block = block_around(edges, on, 6.0)
    assert block is not None
    every = np.indices(on.shape).reshape(3, -1).T
    near = every[np.linalg.norm(on.to_world(every.astype(float)) - on.to_world(np.array([[10.0, 20, 15]])), axis=1) < 6]
    for axis, side in enumerate(block):
        assert side.start <= near[:, axis].min()
        assert near[:, axis].max() < side.stop


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_box_in_the_patient_is_found_among_the_voxels(orientation: str) -> None:
    on = factories.grid(orientation)
    inside = on.to_world(np.array([[5.0, 20.0, 15.0]]))[0]
    block = block_around(edges_of_box(inside - 0.01, inside + 0.01, on), on, 0.0)
    assert block == (slice(5, 6), slice(20, 21), slice(15, 16))


def test_a_box_whose_faces_are_those_of_voxels_takes_no_more() -> None:
    on = factories.grid("axial", (12, 40, 30), (2.5, 1.0, 1.0))
    faces = on.to_world(np.array([[3.5, 9.5, 6.5], [6.5, 19.5, 12.5]]))
    block = block_around(edges_of_box(faces.min(axis=0), faces.max(axis=0), on), on, 0.0)
    assert block == (slice(4, 7), slice(10, 20), slice(7, 13))


def test_nothing_and_what_lies_outside_have_no_part() -> None:
    on = factories.grid()
    assert edges_of_mask(np.zeros(on.shape, np.bool_)) is None
    assert block_around(Edges(np.array([50.0, 0, 0]), np.array([60.0, 5, 5])), on, 5.0) is None
