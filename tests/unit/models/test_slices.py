"""Slices along each axis, with and without neighbours, in a window: do answers come back on the right voxels."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import nn

from models.manifest import SliceSegmentation
from models.sections import SliceInference
from models.tasks.segment import Segmenter
from models.tasks.slices import centred, probabilities, stacked
from models.volume import Volume
from tests import factories
from tests.unit.models.packages import written
from tests.unit.models.toy_networks import FirstColumn


class Above(nn.Module):
    """Two classes, split where the intensity of one channel changes sign."""

    def __init__(self, channel: int = 0, offset: float = 0.0) -> None:
        super().__init__()
        self.channel, self.offset = channel, nn.Parameter(torch.tensor(offset))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        seen = values[:, self.channel : self.channel + 1]
        return torch.cat([-seen, seen], 1) * 50 + self.offset


def phantom(shape: tuple[int, int, int] = (11, 14, 9)) -> NDArray[np.float32]:
    """Bright steps in the dark with no symmetry in any axis."""
    values = np.full(shape, -1.0, np.float32)
    values[2:5, 3:9, 2:4], values[4:9, 3:5, 2:8], values[8, 3:12, 6] = 1, 1, 1
    return values


def looking(axis: int, neighbours: int = 0, **changes: object) -> SliceInference:
    return SliceInference.model_validate(
        {"axis": axis, "neighbours": neighbours, "window_mm": (40, 40), "mirror_axes": ()} | changes
    )


def manifest(**inference: object) -> SliceSegmentation:
    network = {"name": "residual_unet2d", "channels": [4, 8]}
    window = {"axis": 0, "window_mm": [48, 48]} | inference
    return SliceSegmentation.model_validate(written(task="slices", network=network, inference=window))


@pytest.mark.parametrize("neighbours", [0, 2], ids=["2-D", "2.5-D"])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("window", [(16, 16), (6, 8), (7, 20)], ids=["larger", "smaller", "larger and smaller"])
def test_every_voxel_in_the_window_is_answered_for_at_its_own_place(
    axis: int, neighbours: int, window: tuple[int, int]
) -> None:
    values = phantom()
    found = probabilities(Above(channel=neighbours), values, looking(axis, neighbours), window)
    assert found.shape == (2, *values.shape)
    assert found.dtype == np.float32
    assert np.allclose(found.sum(0), 1, atol=1e-5)
    inside = np.ones(values.shape, bool)
    for side, wide in zip((each for each in range(3) if each != axis), window, strict=True):
        first = max(0, (values.shape[side] - wide) // 2)
        inside &= np.isin(np.arange(values.shape[side]), range(first, first + min(wide, values.shape[side]))).reshape(
            [-1 if each == side else 1 for each in range(3)]
        )
    assert np.array_equal(found.argmax(0) == 1, (values > 0) & inside)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_first_channel_is_the_slice_before_and_the_outermost_slice_stands_in_for_what_is_missing(axis: int) -> None:
    values = phantom()
    found = probabilities(Above(channel=0), values, looking(axis, neighbours=1), (16, 16)).argmax(0)
    before = np.concatenate([np.take(values, [0], axis), np.delete(values, -1, axis)], axis)
    assert np.array_equal(found == 1, before > 0)


def test_neighbours_are_channels_in_their_order() -> None:
    volume = torch.arange(4.0)[None, :, None].expand(2, 4, 3)
    assert stacked(volume, axis=1, neighbours=1)[:, :, 0, 0].tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 3]]


@pytest.mark.parametrize("count", [5, 6, 7, 8, 11])
def test_what_is_cut_and_continued_has_the_same_middle(count: int) -> None:
    values = np.arange(count, dtype=np.float32)[None, :, None]
    seen = centred(values, (1, 6, 2))[0, :, 0]
    assert seen.shape == (6,)
    assert abs(float(seen.mean()) - (count - 1) / 2) <= 0.5
    assert np.array_equal(np.diff(seen) >= 0, [True] * 5)


@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 9, 7)], ids=["as the window", "odd"])
def test_mirrored_answers_are_turned_back_before_they_are_averaged(shape: tuple[int, int, int]) -> None:
    found = probabilities(FirstColumn(), np.zeros(shape, np.float32), looking(0, mirror_axes=(2,)), (8, 8))[1]
    seen = found[:, :8] if shape[1] == 8 else found[:, :8, :]
    assert np.allclose(seen[..., 1:-1], 0.5)
    if shape[2] == 8:
        assert seen[..., 0].min() > 0.7
        assert np.allclose(seen[..., 0], seen[..., -1])


def test_mirroring_along_the_slices_swaps_the_neighbours_too() -> None:
    values = phantom()
    found = probabilities(Above(channel=0), values, looking(1, neighbours=1, mirror_axes=(1,)), (16, 16))[1]
    before = np.concatenate([values[:, :1], values[:, :-1]], 1) > 0
    after = np.concatenate([values[:, 1:], values[:, -1:]], 1) > 0
    assert np.allclose(found, (before * 1.0 + after * 1.0) / 2, atol=1e-5)


def test_an_answer_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        probabilities(Above(offset=float("nan")), phantom(), looking(0), (8, 8))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("orientation", ["axial", "sagittal", "coronal"])
def test_a_volume_in_any_orientation_is_answered_on_its_own_grid(orientation: str, axis: int) -> None:
    grid = factories.grid(orientation, shape=(11, 14, 9), spacing_mm=(3.0, 3.0, 3.0))
    volume = Volume(grid, phantom() * 100)
    found = Segmenter(manifest(axis=axis, neighbours=1), Above(channel=1))(volume)
    assert np.array_equal(found.layers[0].labels == 1, volume.values > 40)  # the middle of the package's CT window


@pytest.mark.parametrize("window_mm", [[45, 48], [0, 48]], ids=["15 pixels", "none"])
def test_a_window_that_the_network_cannot_halve_is_refused(window_mm: list[float]) -> None:
    with pytest.raises(ValidationError, match="a window is a multiple of 2 pixels"):
        manifest(window_mm=window_mm)


def test_the_window_is_counted_in_pixels_of_the_other_two_axes() -> None:
    preprocessing = {"spacing_mm": [2, 3, 4], "intensity": {"kind": "window", "minimum": 0, "maximum": 1}}
    wanted = {
        "task": "slices",
        "network": {"name": "unet2d", "channels": [4, 8]},
        "preprocessing": preprocessing,
        "inference": {"axis": 1, "window_mm": [24, 24]},
    }
    assert SliceSegmentation.model_validate(written(**wanted)).window == (12, 6)
