"""Boxes around structures, in any orientation, and the answers that are none."""

import numpy as np
import pytest
from pydantic import ValidationError

from models.boxes import around, outline
from models.intake import Declined
from models.tasks.locate import DEPTH, HEIGHT, WIDTH, Locator
from models.volume import Volume
from tests import factories
from tests.unit.models.locating import BRIGHT, located_written, locating, pointing, with_a_cuboid

SHAPE = (12, 16, 11)
CUBOID = np.array([(3, 4, 2), (7, 11, 8)])
PLAUSIBLE = {"width": {"minimum": 5, "maximum": 25}, "depth": {"minimum": 5, "maximum": 25}}


def volume(orientation: str = "axial", cuboid: np.ndarray = CUBOID, shape: tuple[int, int, int] = SHAPE) -> Volume:
    return with_a_cuboid(factories.grid(orientation, shape=shape, spacing_mm=(3.0, 3.0, 3.0)), cuboid)


@pytest.mark.parametrize("orientation", ["axial", "sagittal", "coronal"])
def test_the_box_is_that_of_the_structure_in_the_patient_whatever_the_orientation(orientation: str) -> None:
    seen = volume(orientation)
    (box,) = Locator(locating(inference={"window_mm": [48, 48, 48], "spread_mm": 6}), pointing())(seen).boxes
    truth = around(outline(seen.values == BRIGHT, seen.grid))
    assert np.allclose([box.low, box.high], truth, atol=0.01)
    sizes = dict(zip((WIDTH, DEPTH, HEIGHT), np.ptp(truth, axis=0), strict=True))
    assert {each.name: pytest.approx(each.value, abs=0.02) for each in box.measurements} == sizes
    assert box.probability is None


def test_an_oblique_volume_has_an_upright_box_around_the_whole_structure() -> None:
    seen = volume("oblique")
    (box,) = Locator(locating(inference={"window_mm": [48, 48, 48], "spread_mm": 6}), pointing())(seen).boxes
    inside = seen.grid.to_world(np.argwhere(seen.values == BRIGHT).astype(float))
    assert (inside >= box.low).all()
    assert (inside <= box.high).all()


def test_a_window_finds_what_lies_away_from_its_middle_at_its_own_place() -> None:
    seen = volume(cuboid=np.array([(12, 10, 11), (15, 14, 16)]), shape=(21, 20, 22))
    (box,) = Locator(locating(), pointing())(seen).boxes
    assert np.allclose([box.low, box.high], around(outline(seen.values == BRIGHT, seen.grid)), atol=0.01)


def test_a_structure_that_leaves_the_volume_ends_where_the_volume_does() -> None:
    seen = volume(cuboid=np.array([(8, 4, 2), (12, 11, 8)]))
    (box,) = Locator(locating(inference={"window_mm": [60, 60, 60], "spread_mm": 6}), pointing())(seen).boxes
    truth = around(outline(seen.values == BRIGHT, seen.grid))
    assert np.allclose([box.low, box.high], truth, atol=0.01)  # and not where the image is only continued


def test_a_structure_at_the_end_of_what_is_seen_may_go_on_and_is_refused() -> None:
    seen = volume(cuboid=np.array([(4, 4, 2), (16, 11, 8)]), shape=(20, 16, 11))
    with pytest.raises(Declined, match=r"Liver may go on beyond what the network sees: from 3.5 to 15.5 of voxels 4"):
        Locator(locating(), pointing())(seen)


def test_an_edge_that_is_not_sure_is_no_answer() -> None:
    with pytest.raises(Declined, match=r"not sure where Liver ends: an edge deviates by \d+.\d mm, and 3 mm are"):
        Locator(locating(inference={"window_mm": [36, 48, 36], "spread_mm": 3}), pointing(sharp=0.0))(volume())


def test_a_size_that_is_not_plausible_is_no_answer() -> None:
    structure = located_written()["structures"][0] | {"plausible_mm": PLAUSIBLE | {"height": {"maximum": 9}}}
    with pytest.raises(Declined, match=r"a height of 12.0 mm is not plausible for Liver: expected at most 9 mm"):
        Locator(locating(structures=[structure]), pointing())(volume())


def test_an_answer_that_is_no_number_is_none() -> None:
    with pytest.raises(ValueError, match="not finite"):
        Locator(locating(), pointing(offset=float("nan")))(volume())


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"network": {"name": "unet2d", "channels": [4, 8]}}, "boxes are found in space"),
        ({"inference": {"window_mm": [45, 48, 36], "spread_mm": 6}}, "a window is a multiple of 2 voxels"),
        ({"structures": []}, "at least 1 item"),
    ],
    ids=["a network for slices", "15 voxels", "no structure"],
)
def test_a_manifest_that_cannot_be_is_refused(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        locating(**changes)
