"""Pictures of findings."""

import numpy as np
import pytest

from models.findings import Box, Findings
from models.volume import Grid, Volume
from service.derived import picture
from service.derived.planes import VIEWS, Plane, cut, points
from service.derived.windows import Window
from tests import factories

WINDOW = Window(0.0, 100.0)


def _corner_lit(grid: Grid) -> Volume:
    """White where the world is it is left, posterior and superior of the middle, black elsewhere."""
    indices = np.stack(np.meshgrid(*(np.arange(size) for size in grid.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    world = grid.to_world(indices.astype(np.float64))
    lit = (world > world.mean(axis=0)).all(axis=1).reshape(grid.shape)
    return Volume(grid, np.where(lit, 100.0, 0.0).astype(np.float32))


@pytest.mark.parametrize("orientation", factories.ORIENTATIONS)
@pytest.mark.parametrize(
    ("plane", "lit"),
    [(Plane.AXIAL, ("below", "right")), (Plane.CORONAL, ("above", "right")), (Plane.SAGITTAL, ("above", "right"))],
)
def test_a_picture_is_turned_as_its_letters_say(orientation: str, plane: Plane, lit: tuple[str, str]) -> None:
    volume = _corner_lit(factories.grid(orientation, shape=(20, 24, 28), spacing_mm=(3.0, 2.0, 2.0)))
    middle = volume.grid.to_world((np.array([volume.grid.shape]) - 1) / 2)[0]

    shown = cut(volume.grid, points(volume.grid, VIEWS[plane], middle + 4.0, 1.0)).sample(volume.values)

    rows, columns = np.nonzero(np.nan_to_num(shown) > 50.0)
    height, width = shown.shape
    found = ("below" if rows.mean() > height / 2 else "above", "right" if columns.mean() > width / 2 else "left")
    assert found == lit


def test_pixels_are_square_whatever_the_spacing() -> None:
    grid = factories.grid(shape=(10, 40, 20), spacing_mm=(5.0, 1.0, 4.0))
    pictures = picture.overlay(factories.volume(grid), WINDOW, factories.findings(grid))

    sizes = {plane: rgb.shape[:2] for plane, rgb in pictures.items()}
    assert sizes == {Plane.AXIAL: (240, 480), Plane.CORONAL: (300, 480), Plane.SAGITTAL: (300, 240)}


def test_structures_are_drawn_in_their_colours_where_they_lie() -> None:
    grid = factories.grid(shape=(9, 30, 30), spacing_mm=(3.0, 1.0, 1.0))
    array = np.zeros(grid.shape, dtype=np.uint8)
    array[3:6, 10:20, 10:20] = 1
    black = Volume(grid, np.zeros(grid.shape, dtype=np.float32))

    axial = picture.overlay(black, WINDOW, factories.findings(grid, array))[Plane.AXIAL]

    drawn = np.argwhere(axial.any(axis=2))
    assert drawn.min(axis=0) == pytest.approx([160, 160], abs=2)
    assert drawn.max(axis=0) == pytest.approx([319, 319], abs=2)
    assert tuple(axial[160, 240]) == factories.LABELS[0].color_rgb
    assert 0 < axial[240, 240, 0] < factories.LABELS[0].color_rgb[0]


def test_a_bent_structure_is_looked_at_inside_of_it() -> None:
    grid = factories.grid(shape=(5, 30, 30))
    array = np.zeros(grid.shape, dtype=np.uint8)
    array[2, 5:25, 5:25] = 1
    array[2, 8:25, 8:25] = 0

    at_mm = picture.focus(grid, factories.findings(grid, array))

    index = np.rint(grid.to_index(at_mm[None])[0]).astype(int)
    assert array[tuple(index)] == 1


def test_a_box_is_drawn_on_the_planes_that_it_meets_and_on_no_other() -> None:
    grid = factories.grid(shape=(20, 40, 40), spacing_mm=(1.0, 1.0, 1.0), origin_mm=(0.0, 0.0, 0.0))
    black = Volume(grid, np.zeros(grid.shape, dtype=np.float32))
    box = Box(factories.LABELS[0], (5.0, 10.0, 4.0), (15.0, 30.0, 8.0), 0.9)
    marked = Findings(factories.ALGORITHM, boxes=(box,))

    inside = picture.section(black, marked, WINDOW, Plane.AXIAL, np.array([10.0, 20.0, 6.0]), 0.1).rgb
    above = picture.section(black, marked, WINDOW, Plane.AXIAL, np.array([10.0, 20.0, 12.0]), 0.1).rgb

    drawn = np.argwhere(inside.any(axis=2))
    assert drawn.min(axis=0) == pytest.approx([105, 55], abs=2)
    assert drawn.max(axis=0) == pytest.approx([305, 155], abs=2)
    assert not above.any()
