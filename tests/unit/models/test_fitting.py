"""A radiograph onto the network's image and back: places stay what they are."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.fitting import Frame, fit, resized, to_image, to_radiograph
from models.preparation import ImagePreprocessing
from models.preprocessing import normalised

SHAPE = (60, 90)  # not square, so that no exchange of axes goes unseen
FITS = ["stretch", "pad", "crop"]


def preprocessing(fit: str, intensity: str = "standardize") -> ImagePreprocessing:
    more = {"percentiles": [0.5, 99.5]} if intensity == "percentiles" else {}
    said = {"rows": 32, "columns": 32, "fit": fit, "intensity": {"kind": intensity} | more}
    return ImagePreprocessing.model_validate(said)


def blob(row: float, column: float, shape: tuple[int, int] = SHAPE) -> NDArray[np.float32]:
    """A bright spot at a place, in pixels from the outer corner of the first one."""
    rows, columns = (np.arange(length) + 0.5 for length in shape)
    squared = (rows[:, None] - row) ** 2 + (columns[None] - column) ** 2
    return np.exp(-squared / 30).astype(np.float32)


def centre(values: NDArray[np.float32]) -> tuple[float, float]:
    """Where the weight of an image lies, in pixels from the outer corner of the first one."""
    weights = values - values.min()
    rows, columns = (np.arange(length) + 0.5 for length in values.shape)
    total = float(weights.sum())
    return float(weights.sum(1) @ rows) / total, float(weights.sum(0) @ columns) / total


@pytest.mark.parametrize(
    ("how", "source", "network"),
    [
        ("stretch", Frame(0, 0, 60, 90), Frame(0, 0, 32, 32)),
        ("pad", Frame(0, 0, 60, 90), Frame(5, 0, 21, 32)),
        ("crop", Frame(0, 15, 60, 60), Frame(0, 0, 32, 32)),
    ],
    ids=FITS,
)
def test_an_image_that_is_not_square_is_fitted_as_declared(how: str, source: Frame, network: Frame) -> None:
    placed = fit(SHAPE, preprocessing(how))
    assert (placed.source, placed.network) == (source, network)


@pytest.mark.parametrize(
    ("how", "row", "column"),
    [
        ("stretch", 20 * 32 / 60, 50 * 32 / 90),
        ("pad", 5 + 20 * 21 / 60, 50 * 32 / 90),
        ("crop", 20 * 32 / 60, 35 * 32 / 60),
    ],
    ids=FITS,
)
def test_a_place_lands_where_the_fit_says(how: str, row: float, column: float) -> None:
    assert centre(to_image(blob(20, 50), preprocessing(how, "percentiles"))) == pytest.approx((row, column), abs=0.3)


@pytest.mark.parametrize("how", FITS)
def test_evidence_comes_back_to_where_it_was_seen(how: str) -> None:
    said = preprocessing(how, "percentiles")
    seen = to_image(blob(20, 50), said)
    assert centre(to_radiograph(seen - seen.min(), SHAPE, said)) == pytest.approx((20, 50), abs=0.7)


def test_evidence_in_the_margin_reaches_no_pixel() -> None:
    margin = np.zeros((32, 32), np.float32)
    margin[:4] = margin[-5:] = 1
    assert to_radiograph(margin, SHAPE, preprocessing("pad")).max() < 1e-6


def test_where_the_network_has_not_looked_there_is_no_evidence() -> None:
    everywhere = to_radiograph(np.ones((2, 2), np.float32), SHAPE, preprocessing("crop"))
    assert np.array_equal(everywhere.any(0), (np.arange(90) >= 15) & (np.arange(90) < 75))


def test_the_margin_is_as_dark_as_the_darkest_pixel() -> None:
    image = to_image(blob(30, 45), preprocessing("pad"))
    assert image[0].min() == image[0].max() == image.min()


@pytest.mark.parametrize("kind", ["standardize", "percentiles"])
def test_an_image_of_one_value_is_nothing_and_not_nonsense(kind: str) -> None:
    assert not normalised(np.full(SHAPE, 500, np.float32), preprocessing("stretch", kind).intensity).any()


def test_what_is_finer_than_the_networks_pixels_is_averaged_and_not_picked() -> None:
    stripes = np.tile(np.array([0, 1], np.float32), (64, 64))
    assert np.allclose(resized(stripes, (16, 16))[:, 2:-2], 0.5, atol=0.01)


@pytest.mark.parametrize(("kind", "expected"), [("standardize", (0.0, 1.0)), ("percentiles", None)])
def test_intensities_are_those_that_the_manifest_declares(kind: str, expected: tuple[float, float] | None) -> None:
    image = to_image(np.random.default_rng(0).normal(500, 90, SHAPE).astype(np.float32), preprocessing("stretch", kind))
    if expected:
        assert (image.mean(), image.std()) == pytest.approx(expected, abs=1e-4)
    else:
        assert (image.min(), image.max()) == pytest.approx((0.0, 1.0))


@pytest.mark.parametrize("kind", ["standardize", "percentiles"])
def test_brightness_and_contrast_of_the_image_make_no_difference(kind: str) -> None:
    said = preprocessing("stretch", kind)
    assert np.allclose(to_image(blob(20, 50) * 700 - 30, said), to_image(blob(20, 50), said), atol=1e-4)
