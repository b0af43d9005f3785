"""The lungs by their density: a phantom of known volumes, and a real CT beside another program's labels."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.lungs import LUNGS, are_whole, lungs
from models.nifti import read_volume
from models.preprocessing import Turn, turned_grid
from models.training.scores import dice
from models.volume import Grid, Volume
from tests.chest import SHAPE, TISSUE, chest

LOBES = (10, 11, 12, 13, 14)  # of the lungs, in the labels of TotalSegmentator 2
AXIAL = Turn((2, 1, 0), ())  # of a NIfTI whose third axis is the body's


@pytest.mark.parametrize("upwards", [True, False], ids=["from the feet", "from the head"])
def test_two_lungs_are_found_with_their_vessels_and_without_windpipe_bowel_and_room(upwards: bool) -> None:
    volume, truth = chest(upwards)
    found = lungs(volume)
    assert found is not None
    assert dice(found.labels == LUNGS, truth) > 0.985
    truth_ml = truth.sum() * volume.grid.voxel_volume_ml
    assert found.volume_ml(LUNGS) == pytest.approx(truth_ml, rel=0.02)
    windpipe, bowel = (75, 60, 80), (6, 60, 80)
    at = [(79 - index if not upwards else index, row, column) for index, row, column in (windpipe, bowel)]
    assert [int(found.labels[place]) for place in at] == [0, 0]
    assert are_whole(found)


def test_finer_voxels_give_the_same_volume() -> None:
    volume, truth = chest()
    fine = np.repeat(np.repeat(volume.values, 3, axis=1), 3, axis=2)
    affine = np.array(volume.grid.affine)
    affine[:3, 1:3] /= 3
    found = lungs(Volume(Grid((SHAPE[0], SHAPE[1] * 3, SHAPE[2] * 3), affine), fine))
    assert found is not None
    assert found.labels.shape == fine.shape
    assert found.volume_ml(LUNGS) == pytest.approx(truth.sum() * volume.grid.voxel_volume_ml, rel=0.03)


def test_lungs_that_go_on_beyond_the_image_are_not_whole() -> None:
    volume, _ = chest()
    cut = Volume(Grid((40, *SHAPE[1:]), volume.grid.affine), volume.values[:40])
    found = lungs(cut)
    assert found is not None
    assert not are_whole(found)


def test_a_body_without_lungs_and_planes_that_are_not_axial_have_none() -> None:
    volume, truth = chest()
    filled = Volume(volume.grid, np.where(truth, np.float32(TISSUE), volume.values))
    assert lungs(filled) is None
    coronal = Turn((1, 0, 2), ())
    turned = Volume(turned_grid(volume.grid, coronal), np.ascontiguousarray(volume.values.transpose(coronal.order)))
    assert lungs(turned) is None


def test_on_a_real_ct_it_is_where_another_program_sees_lung(real_images: Callable[[str], Path]) -> None:
    folder = real_images("totalsegmentator_reference")
    ct, seen = (read_volume(folder / name) for name in ("example_ct_sm.nii.gz", "example_seg.nii.gz"))
    volume = Volume(turned_grid(ct.grid, AXIAL), np.ascontiguousarray(ct.values.transpose(AXIAL.order)))
    truth = np.isin(np.rint(seen.values.transpose(AXIAL.order)), LOBES)
    found = lungs(volume)
    assert found is not None
    assert dice(found.labels == LUNGS, truth) > 0.95
    truth_ml = truth.sum() * volume.grid.voxel_volume_ml
    assert found.volume_ml(LUNGS) == pytest.approx(truth_ml, rel=0.05)
    assert not are_whole(found)
