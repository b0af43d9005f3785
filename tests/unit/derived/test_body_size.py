"""The body's surface: what the images say plainly, and nothing else."""

import pytest
from pydicom import Dataset

from service.derived.body_size import body_surface_m2


def source(height_m: object = "1.80", weight_kg: object = "76") -> Dataset:
    image = Dataset()
    for keyword, value in (("PatientSize", height_m), ("PatientWeight", weight_kg)):
        if value is not None:
            setattr(image, keyword, value)
    return image


def test_the_surface_is_the_root_of_centimetres_times_kilograms_over_3600() -> None:
    assert body_surface_m2([source(), source()]) == pytest.approx((180 * 76 / 3600) ** 0.5)


@pytest.mark.parametrize(
    "sources",
    [
        pytest.param([source(height_m=None)], id="no height"),
        pytest.param([source(weight_kg=None)], id="no weight"),
        pytest.param([source(height_m="")], id="an empty height"),
        pytest.param([source(weight_kg="0")], id="a weight of nothing"),
        pytest.param([source(height_m="180")], id="centimetres in place of metres"),
        pytest.param([source(weight_kg="76000")], id="grams in place of kilograms"),
        pytest.param([source(height_m=["1.80", "1.81"])], id="two heights"),
        pytest.param([source(), source(weight_kg="77")], id="images that differ"),
        pytest.param([source(), source(weight_kg=None)], id="an image that says nothing"),
    ],
)
def test_what_is_not_said_plainly_is_not_known(sources: list[Dataset]) -> None:
    assert body_surface_m2(sources) is None
