"""Volumes read off a label map."""

import numpy as np
import pytest

from models.measurement import measure
from models.volume import Grid, LabelMap
from tests import factories


@pytest.mark.parametrize("orientation", factories.ORIENTATIONS)
def test_millilitres_are_voxels_times_the_voxel(orientation: str) -> None:
    grid = factories.grid(orientation, spacing_mm=(2.5, 0.7, 0.9))
    labels = factories.labels(grid)
    for measured in measure(LabelMap(grid, labels), factories.LABELS):
        count = int(np.count_nonzero(labels == measured.label.value))
        assert measured.voxels == count
        assert measured.volume_ml == pytest.approx(count * 2.5 * 0.7 * 0.9 / 1000)


def test_a_sheared_voxel_has_the_volume_of_its_parallelepiped() -> None:
    affine = np.array([[0, 0, 1.0, 0], [0.5, 1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 1]])
    label_map = LabelMap(Grid((1, 1, 1), affine), np.ones((1, 1, 1), np.uint8))
    assert measure(label_map, factories.LABELS)[0].volume_ml == pytest.approx(0.002)


def test_a_structure_that_was_not_found_has_no_volume_but_a_row() -> None:
    grid = factories.grid()
    measured = measure(LabelMap(grid, np.zeros(grid.shape, np.uint8)), factories.LABELS)
    assert [(found.label.name, found.volume_ml) for found in measured] == [
        ("Liver", 0.0),
        ("Spleen", 0.0),
        ("Right kidney", 0.0),
    ]
