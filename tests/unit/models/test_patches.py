"""The sliding window, mirroring, and what is kept of a label map."""

import numpy as np
import pytest
import torch
from torch import nn

from models.sections import Inference
from models.tasks.patches import keep_largest_components, probabilities
from models.volume import LabelMap
from tests import factories
from tests.unit.models.toy_networks import FirstColumn


class Threshold(nn.Module):
    """Two classes, split where the intensity changes sign: an answer that does not depend on the window."""

    def __init__(self, offset: float = 0.0) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.tensor(offset))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return torch.cat([-values, values], 1) + self.offset


@pytest.mark.parametrize("shape", [(8, 8, 8), (21, 9, 30), (3, 5, 40)], ids=["one window", "many", "smaller than one"])
def test_windows_are_blended_into_one_answer_of_the_volumes_shape(shape: tuple[int, int, int]) -> None:
    values = np.random.default_rng(1).normal(0, 1, shape).astype(np.float32)
    found = probabilities(Threshold(), values, Inference(patch=(8, 8, 8)))
    assert found.shape == (2, *shape)
    assert found.dtype == np.float32
    assert np.allclose(found.sum(0), 1, atol=1e-5)
    assert np.array_equal(found.argmax(0), values > 0)


def test_mirrored_answers_are_turned_back_before_they_are_averaged() -> None:
    values = np.zeros((8, 8, 8), np.float32)
    inference = Inference(patch=(8, 8, 8), mirror_axes=(2,))
    found = probabilities(FirstColumn(), values, inference)[1]
    assert np.allclose(found[..., 0], found[..., -1])
    assert found[..., 0].min() > 0.7
    assert np.allclose(found[..., 1:-1], 0.5)


def test_an_answer_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        probabilities(Threshold(float("nan")), np.zeros((8, 8, 8), np.float32), Inference(patch=(8, 8, 8)))


def test_only_the_largest_piece_of_a_chosen_label_is_kept() -> None:
    grid = factories.grid(shape=(10, 20, 20))
    labels = np.zeros(grid.shape, np.uint8)
    labels[1:5, 2:8, 2:8], labels[8, 15, 15] = 1, 1
    labels[1, 12, 12], labels[5:7, 12:15, 2:5] = 2, 2
    kept = keep_largest_components(LabelMap(grid, labels), (1,))
    assert kept.labels[8, 15, 15] == 0
    assert np.count_nonzero(kept.labels == 1) == 4 * 6 * 6
    assert np.count_nonzero(kept.labels == 2) == np.count_nonzero(labels == 2)


def test_a_label_that_was_not_found_stays_so() -> None:
    grid = factories.grid()
    empty = LabelMap(grid, np.zeros(grid.shape, np.uint8))
    assert not keep_largest_components(empty, (1, 2)).labels.any()
