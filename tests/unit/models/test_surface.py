"""Distances between surfaces: by hand, beside MONAI, and in whatever frame the patient lies."""

import numpy as np
import pytest
import torch
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from models.training.scores import Mask
from models.training.surface import surface_distances
from models.volume import Grid
from tests import factories

SPACING_MM = (2.5, 0.7, 1.3)


def blob(seed: int, shape: tuple[int, int, int] = (14, 22, 18)) -> Mask:
    """A few bent pieces, some of which touch the edge of the image."""
    smooth = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2.0)
    return np.asarray(smooth > np.quantile(smooth, 0.8))


def as_monai(mask: Mask) -> torch.Tensor:
    return torch.from_numpy(mask[None, None].astype(np.float32))


def grid(affine: NDArray[np.float64], shape: tuple[int, ...]) -> Grid:
    return Grid((shape[0], shape[1], shape[2]), affine)


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # MONAI warns of a call of its own
@pytest.mark.parametrize("seed", range(4))
def test_distances_are_those_of_monai_on_unequal_spacing(seed: int) -> None:
    found, truth = blob(seed), blob(seed + 100)
    on = factories.grid(shape=found.shape, spacing_mm=SPACING_MM)
    ours = surface_distances(found, truth, on)
    assert ours is not None
    pair, spacing = (as_monai(found), as_monai(truth)), list(SPACING_MM)
    theirs = float(compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=spacing))
    mean = float(compute_average_surface_distance(*pair, include_background=True, symmetric=True, spacing=spacing))
    assert ours.hausdorff_95_mm == pytest.approx(theirs, rel=1e-5)
    assert ours.mean_mm == pytest.approx(mean, rel=1e-5)


@pytest.mark.parametrize("orientation", ["coronal", "sagittal", "oblique", "axial reversed"])
def test_distances_do_not_depend_on_how_the_patient_lies(orientation: str) -> None:
    found, truth = blob(1), blob(2)
    upright, turned = (
        surface_distances(found, truth, factories.grid(name, found.shape, SPACING_MM))
        for name in ("axial", orientation)
    )
    assert upright is not None
    assert turned is not None
    assert turned.hausdorff_95_mm == pytest.approx(upright.hausdorff_95_mm)
    assert turned.mean_mm == pytest.approx(upright.mean_mm)


def test_one_voxel_against_another_is_their_distance_in_the_world() -> None:
    found, truth = np.zeros((4, 5, 6), np.bool_), np.zeros((4, 5, 6), np.bool_)
    found[1, 1, 1] = truth[2, 1, 3] = True
    ours = surface_distances(found, truth, factories.grid("oblique", (4, 5, 6), (3.0, 1.0, 2.0)))
    assert ours is not None
    assert ours.hausdorff_95_mm == ours.mean_mm == pytest.approx(5.0)  # 3 mm one way, 2 x 2 mm the other


def test_a_tilted_gantry_lengthens_the_step_between_slices() -> None:
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, :3] = [[0, 0, 1], [4, 1, 0], [3, 0, 0]]  # each slice 3 mm higher, and 4 mm further back
    found, truth = np.zeros((2, 3, 3), np.bool_), np.zeros((2, 3, 3), np.bool_)
    found[0, 1, 1] = truth[1, 1, 1] = True
    ours = surface_distances(found, truth, grid(affine, found.shape))
    assert ours is not None
    assert ours.mean_mm == pytest.approx(5.0)


def test_a_slab_moved_by_one_slice_is_one_slice_away() -> None:
    found, truth = np.zeros((9, 6, 6), np.bool_), np.zeros((9, 6, 6), np.bool_)
    found[2:4], truth[3:5] = True, True
    ours = surface_distances(found, truth, factories.grid(shape=(9, 6, 6), spacing_mm=(2.0, 1.0, 1.0)))
    assert ours is not None
    assert ours.hausdorff_95_mm == pytest.approx(2.0)
    assert ours.mean_mm == pytest.approx(1.0)  # of each two slices, one lies on the other mask


def test_two_empty_masks_agree() -> None:
    nothing = np.zeros((3, 4, 5), np.bool_)
    ours = surface_distances(nothing, nothing, factories.grid(shape=(3, 4, 5)))
    assert ours is not None
    assert (ours.hausdorff_95_mm, ours.mean_mm) == (0.0, 0.0)


@pytest.mark.parametrize("which", ["missed", "invented"])
def test_there_is_no_distance_to_nothing(which: str) -> None:
    nothing, something = np.zeros((3, 4, 5), np.bool_), np.ones((3, 4, 5), np.bool_)
    pair = (nothing, something) if which == "missed" else (something, nothing)
    assert surface_distances(*pair, factories.grid(shape=(3, 4, 5))) is None
