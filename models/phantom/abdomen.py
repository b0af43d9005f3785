"""An abdomen in portal venous phase: liver with tumours, spleen, and what lies around them."""

from dataclasses import dataclass

import numpy as np

from models.phantom.canvas import Canvas
from models.phantom.frame import BLOOD, FAT, Cavity, Scene, paint_back, paint_frame
from models.phantom.shapes import Field, Point, Space, below, column, common, ellipsoid, smooth_field, tube, without
from models.volume import Grid, LabelMap, Volume

LIVER, TUMOUR, SPLEEN = 1, 2, 3
AIR, WATER, BOWEL = -960.0, 12.0, 42.0
MOST_TUMOURS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Phantom:
    """A CT volume in HU and the exact truth about it: liver 1, tumour 2, spleen 3."""

    volume: Volume
    label_map: LabelMap


def abdomen(
    seed: int, shape: tuple[int, int, int] = (72, 128, 128), spacing_mm: tuple[float, float, float] = (3.0, 3.0, 3.0)
) -> Phantom:
    """The abdomen of a seed: shape and spacing decide how it is sampled, not what it is."""
    rng = np.random.default_rng(seed)
    grid = _grid(shape, spacing_mm)
    scene = Scene(Canvas.of_air(grid), _patient_space(rng, grid), rng)
    cavity = paint_frame(scene)
    _paint_bowel(scene, cavity)
    _paint_stomach(scene, cavity)
    _paint_spleen(scene, cavity)
    _paint_liver(scene, cavity)
    _paint_kidneys(scene)
    _paint_pancreas(scene)
    paint_back(scene)
    _paint_vessels(scene)
    return Phantom(scene.canvas.scanned(rng, scene.around(13, 4)), scene.canvas.truth())


def _grid(shape: tuple[int, int, int], spacing_mm: tuple[float, float, float]) -> Grid:
    """Axial slices from foot to head, the middle of the grid in the middle of the body."""
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]]) * spacing_mm
    affine[:3, 3] = -affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return Grid(shape, affine)


def _patient_space(rng: np.random.Generator, grid: Grid) -> Space:
    """The body's own coordinates: bent, and scaled to its size."""
    axes = [(np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(grid.shape, grid.spacing_mm, strict=True)]
    z, y, x = (axis.astype(np.float32) for axis in np.meshgrid(*axes, indexing="ij"))
    size = rng.uniform(0.92, 1.12, 3).astype(np.float32)
    straight = Space(x / size[0], y / size[1], z / size[2])
    bends = [smooth_field(rng, straight, 110) * np.float32(4) for _ in range(3)]
    return straight.moved(bends[0], bends[1], bends[2])


def _paint_bowel(scene: Scene, cavity: Cavity) -> None:
    """Loops below the stomach, and the colon around them."""
    space, canvas = scene.space, scene.canvas
    low = common(cavity.inside + 6, below(space, (0, 0, scene.around(-38, 10)), (0, 0.35, 1)), space.y - 25)
    canvas.paint(common(-12 * (scene.surface_mm(1, 24) + 0.1), low), BOWEL + scene.surface_mm(12, 16))
    for side, top in ((-1, -48.0), (1, 0.0)):
        along = [(side * 112.0, 22.0, top), (side * 118.0, 28.0, top - 160)]
        _paint_colon(scene, tube(space, (along[0][0], along[0][1], along[0][2]), along[1], scene.around(21, 4)))
    _paint_colon(scene, tube(space, (-95, -62, -62), (0, -82, scene.around(-62, 8)), 17))
    _paint_colon(scene, tube(space, (0, -82, -62), (100, -50, scene.around(-25, 8)), 17))


def _paint_colon(scene: Scene, distance: Field) -> None:
    """A wall, contents, and gas where it rises."""
    folded = distance + scene.surface_mm(2.5, 20)
    scene.canvas.paint(folded, BOWEL + 8)
    scene.canvas.paint(folded + 3, BOWEL - 10 + scene.surface_mm(35, 12))
    gas = scene.surface_mm(8, 30) + scene.around(4, 5)
    scene.canvas.paint(common(folded + 4, gas), AIR + 60)


def _paint_stomach(scene: Scene, cavity: Cavity) -> None:
    """Food below, air above its level, for the patient lies on the back."""
    middle = (scene.around(62, 8), scene.around(-38, 8), scene.around(32, 8))
    fundus = ellipsoid(scene.space, middle, (scene.around(44, 8), scene.around(42, 7), scene.around(46, 8)), 2.3)
    antrum = tube(scene.space, middle, (-8, -52, -22), scene.around(22, 4))
    whole = common(np.minimum(fundus, antrum) + scene.surface_mm(2, 35), cavity.inside + 4, cavity.under_diaphragm + 4)
    scene.canvas.paint(whole, 65)
    scene.canvas.paint(whole + 5, WATER + 18 + scene.surface_mm(16, 14))
    level = scene.space.y - (middle[1] - scene.around(14, 10))
    scene.canvas.paint(common(whole + 5, level), AIR)


def _paint_spleen(scene: Scene, cavity: Cavity) -> None:
    """A bean at the left, behind the stomach, hollowed from the middle."""
    centre = (scene.around(98, 5), scene.around(38, 7), scene.around(34, 8))
    turned = scene.space.turned(centre, scene.around(18, 12))
    bean = ellipsoid(turned, centre, (scene.around(34, 6), scene.around(46, 6), scene.around(50, 9)), 2.2)
    hollow = ellipsoid(scene.space, (centre[0] - 50, centre[1] - 18, centre[2] - 12), (38, 40, 50))
    bounded = common(without(bean, hollow), cavity.inside + 5, cavity.under_diaphragm + 4)
    scene.canvas.paint(bounded + scene.surface_mm(1.8, 25), scene.around(122, 12) + scene.surface_mm(4, 14), SPLEEN)


def _paint_liver(scene: Scene, cavity: Cavity) -> None:
    """A wedge under the right dome that thins out to the left, with vessels, gall bladder and tumours."""
    space, canvas = scene.space, scene.canvas
    bulk = ellipsoid(space, (-58, -6, scene.around(8, 6)), (scene.around(116, 10), 108, scene.around(96, 10)), 2.2)
    underside = below(space, (scene.around(-18, 8), 18, scene.around(0, 8)), (0.62, 0.34, -0.7))
    bounded = common(bulk, underside, cavity.inside + 4, cavity.under_diaphragm + 4, space.x - scene.around(66, 12))
    bladder = ellipsoid(space.turned((-52, -44, -26), 20), (-52, -44, -26), (scene.around(15, 4), 17, 27))
    liver = without(bounded + scene.surface_mm(3, 40) + 1, bladder)
    canvas.paint(bladder, 70)
    canvas.paint(bladder + 2.5, WATER)
    canvas.paint(liver, scene.around(106, 12) + scene.surface_mm(4, 14), LIVER)
    _paint_liver_vessels(scene, liver)
    for _ in range(int(scene.rng.integers(1, MOST_TUMOURS + 1))):
        _paint_tumour(scene, liver)


def _paint_liver_vessels(scene: Scene, liver: Field) -> None:
    """Three hepatic veins towards the vena cava, and the portal vein with its branches."""
    cava, hilum = (-24.0, 26.0, 48.0), (-34.0, 4.0, 0.0)
    veins: list[tuple[Point, Point, float]] = [
        (cava, (-110, 12, 18), 4.5),
        (cava, (-70, -50, 22), 4.0),
        (cava, (-5, -50, 40), 3.5),
        (hilum, (-95, 5, -18), 5.0),
        (hilum, (-70, -42, 4), 4.5),
        (hilum, (-4, -45, 28), 4.0),
    ]
    for start, end, radius in veins:
        vein = tube(scene.space, start, end, radius) + scene.surface_mm(1.2, 28)
        scene.canvas.tint(common(vein, liver + 3), BLOOD + 15)


def _paint_tumour(scene: Scene, liver: Field) -> None:
    """A dark, uneven ball well inside the liver, with a rim that takes up a little contrast."""
    radius = scene.around(17, 8)
    candidates = scene.rng.uniform((-140, -90, -70), (40, 80, 80), (400, 3))
    centre = next((tuple(map(float, c)) for c in candidates if _depth_mm(scene.space, liver, c) > radius * 0.7), None)
    hounsfield = scene.around(52, 14)
    uneven = scene.surface_mm(0.09 * radius, 22)
    if centre is None:
        return
    ball = ellipsoid(scene.space, (centre[0], centre[1], centre[2]), (radius, scene.around(radius, 3), radius))
    tumour = common(ball + uneven, liver + 1)
    scene.canvas.paint(tumour, hounsfield + 14, TUMOUR)
    scene.canvas.tint(tumour + 2.5, hounsfield)
    scene.canvas.tint(tumour + 0.6 * radius, hounsfield - scene.around(9, 9))


def _depth_mm(space: Space, shape: Field, point: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """How deep inside a shape a point of the body lies, read at a voxel near it."""
    squared = [np.square(axis - value) for axis, value in zip((space.x, space.y, space.z), point, strict=True)]
    nearest = int(np.argmin(squared[0] + squared[1] + squared[2]))
    return -float(shape.ravel()[nearest])


def _paint_kidneys(scene: Scene) -> None:
    """Cortex, medulla and a fatty sinus that opens to the middle, in a capsule of fat."""
    for side, height in ((-1, -38.0), (1, -24.0)):
        centre = (side * scene.around(66, 4), scene.around(50, 4), scene.around(height, 6))
        turned = scene.space.turned(centre, side * -14)
        kidney = ellipsoid(turned, centre, (scene.around(28, 3), scene.around(25, 3), scene.around(53, 5)), 2.2)
        sinus = ellipsoid(turned, (centre[0] - side * 22, centre[1] - 6, centre[2]), (21, 10, 20))
        scene.canvas.paint(kidney - 6, FAT)
        scene.canvas.paint(kidney, scene.around(185, 15))
        scene.canvas.paint(kidney + 7, scene.around(150, 15) + scene.surface_mm(18, 14))
        scene.canvas.paint(sinus, FAT + 20)
        scene.canvas.paint(sinus + 8, WATER)


def _paint_pancreas(scene: Scene) -> None:
    head, neck = (-24.0, -4.0, scene.around(-26, 5)), (4.0, -16.0, -10.0)
    tail = (scene.around(70, 6), 20.0, scene.around(14, 5))
    gland = np.minimum(tube(scene.space, head, neck, 13), tube(scene.space, neck, tail, 10))
    lobulated = gland + scene.surface_mm(2.5, 14)
    scene.canvas.paint(lobulated - 3, FAT)
    scene.canvas.paint(lobulated, scene.around(98, 8))


def _paint_vessels(scene: Scene) -> None:
    aorta = column(scene.space, (13, 24), (11, 11))
    scene.canvas.paint(aorta, BLOOD + 30)
    scene.canvas.paint(column(scene.space, (-24, 26), (13, 10)), BLOOD)
    scene.canvas.paint(tube(scene.space, (-24, 2, -8), (0, -6, -42), 6.5), BLOOD + 12)
    scene.canvas.paint(tube(scene.space, (13, 24, -2), (8, -4, -60), 3.5), BLOOD + 30)
