"""What builders get to see of the images."""

from collections.abc import Callable

import pytest
from pydicom import Dataset

from service.core.errors import Broken
from service.derived.sources import instances, lean
from tests import factories


@pytest.fixture
def image() -> Dataset:
    return factories.headers([factories.dx_image()])[0]


def test_a_radiograph_has_no_place_and_keeps_the_directions_of_its_rows_and_columns(image: Dataset) -> None:
    (copy,) = lean([image], factories.radiograph_findings(image))
    assert "FrameOfReferenceUID" not in copy
    assert list(copy.PatientOrientation) == ["L", "F"]
    assert (copy.SOPInstanceUID, copy.Rows, copy.Columns) == (image.SOPInstanceUID, 48, 40)


def test_directions_that_a_radiograph_does_not_say_are_left_empty(image: Dataset) -> None:
    del image.PatientOrientation
    (copy,) = lean([image], factories.radiograph_findings(image))
    assert copy.PatientOrientation == ""


def test_a_copy_holds_nothing_of_the_patient(image: Dataset) -> None:
    (copy,) = lean([image], factories.radiograph_findings(image))
    assert (copy.PatientName, copy.PatientID) == ("", "")


def test_a_frame_stands_in_for_an_image_and_its_instance_keeps_its_name(image: Dataset) -> None:
    findings = factories.radiograph_findings(image)
    image.ReferencedFrameNumber = 3
    (frame,), (instance,) = lean([image], findings), instances([image])
    assert frame.SOPInstanceUID != image.SOPInstanceUID
    assert instance.SOPInstanceUID == image.SOPInstanceUID


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param(lambda images: images.clear(), "0 source images", id="no image"),
        pytest.param(lambda images: images.append(images[0]), "2 source images", id="two images"),
        pytest.param(lambda images: images[0].pop("Rows"), "has no Rows", id="an image without a size"),
    ],
)
def test_what_is_not_one_radiograph_is_refused(
    image: Dataset, change: Callable[[list[Dataset]], object], sentence: str
) -> None:
    images, findings = [image], factories.radiograph_findings(image)
    change(images)
    with pytest.raises(Broken, match=sentence):
        lean(images, findings)
