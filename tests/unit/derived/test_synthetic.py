"""Phantoms as images."""

from collections.abc import Callable

import numpy as np
import pytest
from pydicom import Dataset

from service.core.phantoms import is_phantom
from service.derived import synthetic
from service.derived.checks import prove_grid
from tests import factories


@pytest.mark.parametrize("orientation", factories.ORIENTATIONS)
@pytest.mark.parametrize("series", [synthetic.ct_series, synthetic.mr_series], ids=["CT", "MR"])
def test_images_lie_where_the_grid_says(orientation: str, series: Callable[..., list[Dataset]]) -> None:
    grid = factories.grid(orientation, spacing_mm=(3.0, 0.7, 1.3))

    prove_grid(series(factories.volume(grid)), grid)


def test_ct_values_come_back_as_hounsfield_units() -> None:
    volume = factories.volume()

    stored = np.stack([image.pixel_array for image in synthetic.ct_series(volume)])

    assert np.abs(stored + synthetic.CT_INTERCEPT - volume.values).max() <= 0.501


def test_mr_values_keep_their_order_and_fill_twelve_bits() -> None:
    volume = factories.volume()

    stored = np.stack([image.pixel_array for image in synthetic.mr_series(volume)])

    assert (stored.min(), stored.max()) == (0, 4095)
    assert np.corrcoef(stored.ravel(), volume.values.ravel())[0, 1] > 0.9999


def test_the_same_seed_gives_the_same_images_and_another_seed_other_ones() -> None:
    volume = factories.volume()
    first, again, other = (synthetic.ct_series(volume, synthetic.Subject(seed=seed)) for seed in ("one", "one", "two"))

    assert first == again
    assert not {image.SOPInstanceUID for image in first} & {image.SOPInstanceUID for image in other}


def test_a_synthetic_image_is_known_for_a_phantom() -> None:
    image = factories.ct_series()[0]

    assert is_phantom(image.QualityControlImage, image.PatientID)


@pytest.mark.parametrize(
    ("quality_control_image", "patient_id"),
    [(None, "PHANTOM-1"), ("NO", "PHANTOM-1"), ("YES", "4711"), ("YES", None), (None, None)],
)
def test_one_mark_alone_never_makes_a_phantom(quality_control_image: str | None, patient_id: str | None) -> None:
    assert not is_phantom(quality_control_image, patient_id)


def test_a_subject_cannot_carry_the_identifier_of_a_patient() -> None:
    with pytest.raises(ValueError, match="PHANTOM-"):
        synthetic.Subject(patient_id="4711")
