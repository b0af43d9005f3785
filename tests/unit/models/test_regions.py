"""Structures, overlaps and lesions read off a label map, and their volumes."""

import numpy as np
import pytest

from models.findings import Region
from models.regions import found
from models.sections import Label
from models.volume import Grid, LabelMap
from tests import factories


def regions(label_map: LabelMap, labels: tuple[Label, ...] = factories.LABELS) -> tuple[Region, ...]:
    return found(factories.ALGORITHM, label_map, labels).regions


@pytest.mark.parametrize("orientation", factories.ORIENTATIONS)
def test_millilitres_are_voxels_times_the_voxel(orientation: str) -> None:
    grid = factories.grid(orientation, spacing_mm=(2.5, 0.7, 0.9))
    labels = factories.labels(grid)
    for measured in regions(LabelMap(grid, labels)):
        count = int(np.count_nonzero(labels == measured.label.value))
        assert measured.voxels == count
        assert measured.volume_ml == pytest.approx(count * 2.5 * 0.7 * 0.9 / 1000)


def test_a_sheared_voxel_has_the_volume_of_its_parallelepiped() -> None:
    affine = np.array([[0, 0, 1.0, 0], [0.5, 1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 1]])
    label_map = LabelMap(Grid((1, 1, 1), affine), np.ones((1, 1, 1), np.uint8))
    assert regions(label_map)[0].volume_ml == pytest.approx(0.002)


def test_a_structure_that_was_not_found_has_no_volume_but_a_row() -> None:
    grid = factories.grid()
    measured = regions(LabelMap(grid, np.zeros(grid.shape, np.uint8)))
    assert [(region.name, region.volume_ml) for region in measured] == [
        ("Liver", 0.0),
        ("Spleen", 0.0),
        ("Right kidney", 0.0),
    ]


LIVER = factories.LABELS[0].model_copy(update={"includes": (2,)})
TUMOUR = factories.LABELS[1].model_copy(update={"name": "Tumour", "lesions": True})
KIDNEY = factories.LABELS[2]


def liver_with_tumours() -> LabelMap:
    """A liver with three tumours of 6, 8 and 1 voxels, of which the last touches the first at a corner; a kidney."""
    labels = np.zeros((6, 12, 12), np.uint8)
    labels[1:5, 2:10, 2:10] = 1
    labels[1:2, 3:5, 3:6] = 2
    labels[2:4, 7:9, 7:9] = 2
    labels[2, 5, 6] = 2
    labels[0, 0, 0] = 3
    return LabelMap(factories.grid(shape=labels.shape, spacing_mm=(1, 1, 1)), labels)


def test_a_structure_that_includes_another_is_drawn_in_a_layer_of_its_own() -> None:
    findings = found(factories.ALGORITHM, liver_with_tumours(), (LIVER, TUMOUR, KIDNEY))
    liver, first, second, kidney = findings.regions
    assert (liver.layer, first.layer, second.layer, kidney.layer) == (0, 1, 1, 0)
    assert [region.voxels for region in findings.regions] == [4 * 8 * 8, 8, 7, 1]
    assert findings.mask(liver)[findings.mask(first) | findings.mask(second)].all()


def test_lesions_are_numbered_from_the_largest_and_touch_by_corners() -> None:
    findings = found(factories.ALGORITHM, liver_with_tumours(), (LIVER, TUMOUR, KIDNEY))
    assert [region.name for region in findings.regions] == ["Liver", "Tumour 1", "Tumour 2", "Right kidney"]
    assert findings.mask(findings.regions[1])[2:4, 7:9, 7:9].all()
    assert findings.mask(findings.regions[2])[2, 5, 6]


def test_a_lesion_that_is_not_there_is_still_looked_for() -> None:
    nothing = LabelMap(factories.grid(), np.zeros(factories.grid().shape, np.uint8))
    assert [(region.name, region.voxels) for region in regions(nothing, (LIVER, TUMOUR))] == [
        ("Liver", 0),
        ("Tumour", 0),
    ]


def test_more_lesions_than_a_layer_has_numbers_are_refused() -> None:
    labels = np.zeros((21, 21, 21), np.uint8)
    labels[::2, ::2, ::2] = 2
    grid = factories.grid(shape=labels.shape, spacing_mm=(1, 1, 1))
    with pytest.raises(ValueError, match="Tumour is in 1331 pieces"):
        regions(LabelMap(grid, labels), (LIVER, TUMOUR))
