"""Sheets for people: which planes they show, in which window, and in which words."""

import numpy as np
import pytest
from PIL import Image

from models.findings import Measurement, Score
from models.terms import Code, Term
from models.volume import Volume
from service.derived import wording
from service.derived.contact_sheet import contact_sheets
from service.derived.legend import Legend
from service.derived.montage import MOST_MORE, sheets, window_for
from service.derived.planes import VIEWS, Plane
from service.derived.radiograph_sheet import heated, shown_size
from service.derived.windows import Window, ct_window, spread_window, window_of
from tests import factories, pictures

NOTHING = factories.findings(array=np.zeros(factories.grid().shape, dtype=np.uint8))


def _named(name: str) -> Term:
    return factories.LABELS[0].model_copy(update={"name": name, "type": Code(value="1", scheme="99X", meaning=name)})


@pytest.mark.parametrize(
    ("name", "body_part", "words"),
    [
        ("Liver", "ABDOMEN", "W 400 L 40 HU"),
        ("Left lung lower lobe", "CHEST", "W 1500 L -600 HU"),
        ("Brain", "", "W 80 L 40 HU"),
        ("Lesion", "HEAD", "W 80 L 40 HU"),
        ("Vertebra T12", "ABDOMEN", "W 1800 L 400 HU"),
    ],
)
def test_a_ct_is_shown_in_the_window_of_what_was_found(name: str, body_part: str, words: str) -> None:
    assert str(ct_window([_named(name)], body_part)) == words


def test_an_mr_is_shown_between_two_percentiles_and_says_which_values() -> None:
    sources = factories.headers(factories.mr_series())
    values = np.linspace(0, 1000, 12 * 40 * 30, dtype=np.float32).reshape(12, 40, 30)

    window = window_for(sources, Volume(factories.grid(), values), factories.findings())

    assert str(window) == "W 985 L 502.5"


def test_a_constant_image_has_a_window() -> None:
    flat = np.zeros(factories.grid().shape, dtype=np.float32)

    assert window_of(Volume(factories.grid(), flat)).width > 0
    assert spread_window(flat, (0.5, 99.5)).width > 0


def test_the_first_sheet_has_three_planes_and_what_it_misses_gets_one_more_each() -> None:
    grid = factories.grid(shape=(30, 40, 40), spacing_mm=(2.0, 1.0, 1.0))
    array = np.zeros(grid.shape, dtype=np.uint8)
    array[2:14, 5:30, 5:30] = 1
    for number in range(10):
        array[16 + number, 4 * number : 4 * number + 1 + number % 3, 35] = 2
    lesions = [factories.LABELS[0], factories.LABELS[1].model_copy(update={"lesions": True})]

    drawn = sheets(pictures.volume(grid, factories.findings(grid, array, lesions)))

    assert [panel.plane for panel in drawn[0].panels] == list(VIEWS)
    assert len(drawn) == 1 + MOST_MORE
    assert all(panel.plane == Plane.AXIAL for sheet in drawn[1:] for panel in sheet.panels)
    assert len({sheet.panels[0].words for sheet in drawn}) == len(drawn)


def test_a_sheet_without_findings_is_one_and_says_what_was_looked_for() -> None:
    (only,) = sheets(pictures.volume(findings=NOTHING))

    assert only.image.mode == "RGB"
    assert wording.absent(NOTHING) == "Looked for, not found: Liver, Spleen, Right kidney."
    assert Legend(NOTHING, 600, 2).height > Legend(factories.findings(), 600, 4).height


def test_the_place_of_a_plane_is_told_as_viewers_tell_it() -> None:
    through_mm = np.array([-12.34, 56.0, -7.06])

    assert [view.place(through_mm) for view in VIEWS.values()] == ["I 7.1 mm", "P 56.0 mm", "R 12.3 mm"]


def test_a_radiograph_without_heat_maps_is_one_sheet_and_with_some_one_for_each() -> None:
    assert len(sheets(pictures.chest(pictures.negative()))) == 1
    assert [sheet.words for sheet in sheets(pictures.chest())] == ["2 marks; heat map of Pneumonia"]


def test_a_large_radiograph_is_made_smaller_on_square_pixels() -> None:
    material = pictures.chest()
    image = material.image
    assert image is not None
    assert not isinstance(image, Volume)

    assert shown_size(image, 1024) == (1024, 819)


def test_a_heat_map_colours_where_it_is_high_and_leaves_alone_where_it_is_zero() -> None:
    (heat_map,) = pictures.chest_findings().heat_maps
    grey = np.full((*pictures.SHAPE, 3), 100, dtype=np.uint8)

    shown = heated(grey, heat_map, pictures.SHAPE)

    assert (np.ptp(shown[40, 12].astype(int)), np.ptp(shown[2, 45].astype(int))) == (pytest.approx(55, abs=20), 0)


def test_pictures_without_the_image_are_refused() -> None:
    with pytest.raises(ValueError, match="need the image's values"):
        sheets(factories.material(pictures.volume().sources))


def test_a_contact_sheet_shows_every_image_with_a_region() -> None:
    material, volume = pictures.volume(), factories.volume()

    drawn = contact_sheets(material, volume)

    assert [sheet.words for sheet in drawn] == ["7 images, W 400 L 40 HU"]
    assert contact_sheets(pictures.volume(findings=NOTHING), volume) == []
    assert isinstance(drawn[0].image, Image.Image)


@pytest.mark.parametrize(
    ("probability", "words"), [(0.0, "0 %"), (0.002, "<1 %"), (0.87, "87 %"), (0.998, ">99 %"), (1.0, "100 %")]
)
def test_a_probability_never_looks_more_certain_than_it_is(probability: float, words: str) -> None:
    assert wording.percent(probability) == words


@pytest.mark.parametrize(("ml", "words"), [(1384.49, "1384.5 ml"), (5.391, "5.39 ml"), (0.00421, "0.0042 ml")])
def test_a_small_volume_has_more_digits(ml: float, words: str) -> None:
    assert wording.volume(ml) == words


def test_a_number_has_the_unit_that_people_write() -> None:
    attenuation = Measurement(
        name=Code(value="112031", scheme="DCM", meaning="Attenuation Coefficient"),
        value=-35.25,
        unit=Code(value="[hnsf'U]", scheme="UCUM", meaning="Hounsfield unit"),
        derivation=Code(value="373098007", scheme="SCT", meaning="Mean"),
        uncertainty=12.0,
    )

    assert wording.measurement(attenuation) == "Attenuation Coefficient, mean -35.25 +- 12 HU"


def test_a_score_says_what_its_operating_point_makes_of_it() -> None:
    line = wording.score_line(Score(pictures.PNEUMONIA, 0.4, 0.5))

    assert line == wording.Line("Pneumonia", "40 %", "negative: operating point 50 %")


def test_a_window_names_itself() -> None:
    assert str(Window(-160.0, 240.0, "HU")) == "W 400 L 40 HU"
