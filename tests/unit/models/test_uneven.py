"""Planes at uneven distances: interpolated for the model, and drawn where they lie."""

import numpy as np
import pytest

from models.regions import found, on_planes, plane_labels
from models.uneven import evened, gaps_mm
from models.volume import LabelMap
from tests import factories
from tests.unit.models.packages import manifest

PLACES = (0.0, 1.0, 2.75, 4.5, 7.0)
GRID = factories.grid("axial", shape=(8, 4, 5), spacing_mm=(4.0, 1.0, 2.0))
LABELS = manifest().labels


def test_a_ramp_along_the_normal_is_interpolated_exactly() -> None:
    planes = np.tile(np.array(PLACES, dtype=np.float32)[:, None, None], (1, 4, 5))
    even = evened(planes, PLACES, GRID)
    assert even.values[:, 2, 3] == pytest.approx(np.arange(8.0))


def test_evenly_spaced_planes_are_left_alone() -> None:
    planes = np.zeros((8, 4, 5), dtype=np.float32)
    assert evened(planes, (), GRID).values is planes


def test_the_gaps_are_told_in_mm() -> None:
    assert gaps_mm(PLACES, GRID) == pytest.approx((4.0, 10.0))
    assert gaps_mm((), GRID) == pytest.approx((4.0, 4.0))


def test_what_is_drawn_on_a_plane_reaches_half_way_to_its_neighbours() -> None:
    labels = np.zeros(GRID.shape, dtype=np.uint8)
    labels[3, 1, 1] = 1  # nearest to the plane at 2.75, which slices 2 and 3 belong to
    seen = on_planes(found(factories.ALGORITHM, LabelMap(GRID, labels), LABELS), PLACES)
    assert np.argwhere(plane_labels(seen, 0)).tolist() == [[2, 1, 1]]
    assert np.argwhere(seen.layers[0].labels).tolist() == [[2, 1, 1], [3, 1, 1]]
    assert seen.regions[0].voxels == 2
