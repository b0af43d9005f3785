"""Key Object Selections: which images they name, and mutations that their proof has to catch."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from pydicom import Dataset

from models.findings import Box, Findings
from service.core.errors import Unproven
from service.core.profiles import Kind
from service.derived import key_images, key_images_proof
from service.derived.catalogue import CATALOGUE
from service.derived.encoding import encode
from tests import factories, pictures

MATERIAL = pictures.volume()


def _named(selection: Dataset) -> list[str]:
    images = [item for item in selection.ContentSequence if item.ValueType == "IMAGE"]
    return [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in images]


def test_the_image_on_which_each_region_is_largest_is_named_once() -> None:
    array = np.zeros((12, 40, 30), dtype=np.uint8)
    array[2:9, 5:10, 5:10] = 1
    array[7, 5:15, 5:10] = 1
    array[4:8, 20:30, 5:10] = 2
    array[7, 20:31, 5:10] = 2
    array[3, 35:37, 5:10] = 3
    material = pictures.volume(findings=factories.findings(array=array))

    (selection,) = pictures.read_back(key_images.build(material, {}))

    key_images_proof.prove([selection], material, {})
    assert _named(selection) == [material.sources[index].SOPInstanceUID for index in (3, 7)]


@pytest.mark.parametrize("orientation", factories.ORIENTATIONS)
def test_what_is_built_is_proven(orientation: str) -> None:
    material = pictures.volume(factories.grid(orientation))

    key_images_proof.prove(pictures.read_back(key_images.build(material, {})), material, {})


@pytest.mark.parametrize("orientation", factories.ORIENTATIONS)
def test_a_box_in_a_volume_names_the_image_through_its_middle(orientation: str) -> None:
    grid = factories.grid(orientation)
    middle = grid.to_world(np.array([[5.0, 20.0, 15.0]]))[0]
    box = Box(factories.LABELS[0], tuple(middle - 4.0), tuple(middle + 4.0))
    material = pictures.volume(grid, Findings(factories.ALGORITHM, boxes=(box,)))

    (selection,) = key_images.build(material, {})

    assert _named(selection) == [material.sources[5].SOPInstanceUID]


def test_a_radiograph_is_named_when_something_is_positive_and_only_then() -> None:
    (selection,) = pictures.read_back(key_images.build(pictures.chest(), {}))

    key_images_proof.prove([selection], pictures.chest(), {})
    assert _named(selection) == [pictures.chest().sources[0].SOPInstanceUID]
    assert key_images.build(pictures.chest(pictures.negative()), {}) == []
    assert not CATALOGUE[Kind.KEY_IMAGES].applies(pictures.negative())


def test_the_description_says_that_an_algorithm_speaks() -> None:
    assert key_images.described(factories.findings()).startswith("AI result of abdomen 1.0.0, not verified")


def test_the_same_material_makes_the_same_bytes() -> None:
    once, again = (encode(key_images.build(MATERIAL, {})[0]) for _ in range(2))

    assert once == again


def _other_image(dataset: Dataset) -> None:
    images = [item for item in dataset.ContentSequence if item.ValueType == "IMAGE"]
    images[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = MATERIAL.sources[0].SOPInstanceUID


def _drop_an_image(dataset: Dataset) -> None:
    del dataset.ContentSequence[-1]


def _name_an_image(dataset: Dataset) -> None:
    dataset.ContentSequence[-1].ConceptNameCodeSequence = dataset.ConceptNameCodeSequence


def _forget_evidence(dataset: Dataset) -> None:
    del dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]


def _other_title(dataset: Dataset) -> None:
    dataset.ConceptNameCodeSequence[0].CodeValue = "113001"


MUTATIONS: dict[str, tuple[Callable[[Dataset], object], str]] = {
    "other image": (_other_image, "key images"),
    "image dropped": (_drop_an_image, "key images"),
    "image with a concept name": (_name_an_image, "concept names"),
    "evidence forgotten": (_forget_evidence, "evidence"),
    "other title": (_other_title, "title"),
    "other patient": (lambda dataset: setattr(dataset, "PatientID", "SOMEBODY"), "PatientID"),
    "attribute missing": (lambda dataset: dataset.__delattr__("InstanceNumber"), "InstanceNumber"),
}


@pytest.mark.parametrize(("change", "sentence"), MUTATIONS.values(), ids=MUTATIONS.keys())
def test_a_changed_selection_is_caught(change: Callable[[Dataset], object], sentence: str) -> None:
    (selection,) = pictures.read_back(key_images.build(MATERIAL, {}))
    change(selection)

    with pytest.raises(Unproven, match=sentence):
        key_images_proof.prove([selection], MATERIAL, {})


def test_a_selection_for_slices_shifted_by_one_is_caught() -> None:
    shifted = factories.findings(array=np.roll(factories.labels(), 1, axis=0))
    built = pictures.read_back(key_images.build(replace(MATERIAL, findings=shifted), {}))

    with pytest.raises(Unproven, match="key images"):
        key_images_proof.prove(built, MATERIAL, {})
