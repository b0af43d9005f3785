"""How alike two masks are: by hand, and beside SimpleITK's overlap filter."""

import numpy as np
import pytest
import SimpleITK

from models.training.scores import Mask, dice, jaccard, volume_error


def row(*voxels: int) -> Mask:
    return np.array(voxels, dtype=np.bool_)[None, None]


@pytest.mark.parametrize(
    ("found", "truth", "wanted_dice", "wanted_jaccard"),
    [
        pytest.param(row(1, 1, 0, 0), row(1, 1, 0, 0), 1.0, 1.0, id="the same"),
        pytest.param(row(1, 1, 0, 0), row(0, 0, 1, 1), 0.0, 0.0, id="apart"),
        pytest.param(row(1, 1, 1, 0), row(0, 1, 1, 1), 2 / 3, 1 / 2, id="two of four shared"),
        pytest.param(row(0, 0, 0, 0), row(0, 0, 0, 0), 1.0, 1.0, id="both empty"),
        pytest.param(row(0, 0, 0, 0), row(1, 0, 0, 0), 0.0, 0.0, id="missed"),
        pytest.param(row(1, 0, 0, 0), row(0, 0, 0, 0), 0.0, 0.0, id="invented"),
    ],
)
def test_overlap_is_what_counting_by_hand_gives(
    found: Mask, truth: Mask, wanted_dice: float, wanted_jaccard: float
) -> None:
    assert dice(found, truth) == pytest.approx(wanted_dice)
    assert jaccard(found, truth) == pytest.approx(wanted_jaccard)


@pytest.mark.parametrize("seed", range(4))
def test_overlap_is_that_of_simple_itk(seed: int) -> None:
    rng = np.random.default_rng(seed)
    found, truth = (rng.random((9, 11, 7)) < share for share in (0.3, 0.2 + 0.15 * seed))
    theirs = SimpleITK.LabelOverlapMeasuresImageFilter()
    theirs.Execute(*(SimpleITK.GetImageFromArray(mask.astype(np.uint8)) for mask in (truth, found)))
    assert dice(found, truth) == pytest.approx(theirs.GetDiceCoefficient())
    assert jaccard(found, truth) == pytest.approx(theirs.GetJaccardCoefficient())


def test_too_much_volume_is_a_positive_error() -> None:
    error = volume_error(found_ml=12.0, truth_ml=10.0)
    assert error.millilitres == pytest.approx(2.0)
    assert error.percent == pytest.approx(20.0)
    assert volume_error(9.0, 10.0).percent == pytest.approx(-10.0)


def test_nothing_true_has_an_error_in_millilitres_and_none_in_percent() -> None:
    error = volume_error(found_ml=3.0, truth_ml=0.0)
    assert (error.millilitres, error.percent) == (3.0, None)
