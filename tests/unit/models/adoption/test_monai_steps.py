"""The transforms of a bundle say the same here as in MONAI."""

from typing import Any

import numpy as np
import pytest
from monai import transforms

from models.adoption.monai_config import known
from models.adoption.monai_steps import inference, preprocessing
from models.preparation import Standardize
from models.preprocessing import normalised
from models.sections import Inference

GRID: list[dict[str, Any]] = [
    {"_target_": "monai.transforms.Orientationd", "keys": "image", "axcodes": "RAS"},
    {"_target_": "Spacingd", "keys": ["image"], "pixdim": 2.0},
]


def config(*steps: dict[str, Any], **sections: Any) -> Any:
    compose = {"_target_": "Compose", "transforms": [*GRID, *steps]}
    return known("inference.json", {"preprocessing": compose, "one": 1.0} | sections)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("ScaleIntensityRange", {"a_min": -57.0, "a_max": 164.0, "b_min": 0.0, "b_max": 1.0, "clip": True}),
        ("ScaleIntensityRange", {"a_min": -57.0, "a_max": 164.0, "b_min": -1.0, "b_max": 1.0}),
        ("ScaleIntensityRangePercentiles", {"lower": 2.0, "upper": 98.0, "b_min": 0.0, "b_max": 1.0, "clip": True}),
        ("ScaleIntensityRangePercentiles", {"lower": 5.0, "upper": 90.0, "b_min": -1.0, "b_max": 2.0}),
        ("ScaleIntensity", {}),
        ("ScaleIntensity", {"minv": -1.0, "maxv": 1.0}),
        ("NormalizeIntensity", {}),
        ("NormalizeIntensity", {"nonzero": True, "channel_wise": True}),
        ("NormalizeIntensity", {"subtrahend": 40.0, "divisor": 20.0}),
    ],
)
def test_intensities_become_those_of_monai(name: str, arguments: dict[str, Any]) -> None:
    values = np.random.default_rng(2).normal(50, 80, size=(12, 10, 8)).astype(np.float32)
    values[:, :, :2] = 0
    recipe = preprocessing(config({"_target_": f"{name}d", "keys": "image", **arguments}))
    expected = np.asarray(getattr(transforms, name)(**arguments)(values[None]))[0]
    np.testing.assert_allclose(normalised(values, recipe.intensity), expected, atol=1e-5)
    assert (recipe.axes, recipe.spacing_mm) == ("RAS", (2, 2, 2))


def test_without_a_transform_of_them_intensities_stay_as_they_are() -> None:
    values = np.linspace(-1000, 3000, 64, dtype=np.float32).reshape(4, 4, 4)
    assert np.array_equal(normalised(values, preprocessing(config()).intensity), values)


def test_what_is_not_zero_is_standardized_where_nothing_is() -> None:
    recipe = preprocessing(config({"_target_": "NormalizeIntensityd", "keys": "image", "nonzero": True}))
    assert not normalised(np.zeros((2, 2, 2), dtype=np.float32), recipe.intensity).any()


def test_a_reference_to_a_plain_value_is_followed() -> None:
    step = {"_target_": "ScaleIntensityd", "keys": "image", "minv": 0.0, "maxv": "@one"}
    assert preprocessing(config(step)).intensity == preprocessing(config(step | {"maxv": 1.0})).intensity
    assert preprocessing(config(step)).intensity != Standardize(kind="standardize")


def test_a_window_is_that_of_monais_defaults_where_it_says_nothing_else() -> None:
    inferer = {"_target_": "monai.inferers.SlidingWindowInferer", "roi_size": 64}
    said = Inference(patch=(64, 64, 64), overlap=0.25, blend="constant", padding="constant")
    assert inference(config(inferer=inferer)) == said
