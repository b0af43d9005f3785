"""What every body has around its organs: skin, fat, muscle, spine, ribs, lungs and heart, and the table it lies on."""

from dataclasses import dataclass

import numpy as np

from models.phantom.canvas import Canvas
from models.phantom.shapes import Field, Space, below, column, common, ellipsoid, smooth_field, tube, without

SKIN, FAT, MUSCLE, LUNG, BLOOD = 15.0, -102.0, 58.0, -840.0, 150.0
SPONGY, COMPACT, DISC, CANAL = 190.0, 420.0, 85.0, 25.0
RIB_PITCH_MM, VERTEBRA_MM = 30.0, 33.0


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A painting in the making: where, in whose space, and by which dice."""

    canvas: Canvas
    space: Space
    rng: np.random.Generator

    def around(self, value: float, spread: float) -> float:
        """A value drawn evenly within `spread` of `value`."""
        return float(value + self.rng.uniform(-spread, spread))

    def surface_mm(self, amplitude_mm: float, wavelength_mm: float) -> Field:
        """What to add to a distance so that its surface undulates."""
        return smooth_field(self.rng, self.space, wavelength_mm) * np.float32(amplitude_mm)


@dataclass(frozen=True, slots=True, eq=False)
class Cavity:
    """Where organs are: inside the wall, and under the diaphragm."""

    inside: Field
    under_diaphragm: Field


def paint_frame(scene: Scene) -> Cavity:
    """Paints the body wall, the fat within it, lungs and heart."""
    _paint_table(scene)
    body = column(scene.space, (0, 0), (scene.around(168, 14), scene.around(118, 12)), 2.4)
    wall = body + scene.around(17, 6) + _belly(scene)
    inside = wall + scene.around(14, 3)
    scene.canvas.paint(body, SKIN)
    scene.canvas.paint(body + 2.5, FAT)
    scene.canvas.paint(wall, MUSCLE + scene.surface_mm(7, 25))
    _paint_ribs(scene, wall + 7)
    scene.canvas.paint(inside, FAT + scene.surface_mm(6, 30))
    under = _diaphragm(scene)
    _paint_chest(scene, inside, under)
    return Cavity(inside, under)


def paint_back(scene: Scene) -> None:
    """Paints the spine and the muscles beside it."""
    space, canvas = scene.space, scene.canvas
    for side in (-1, 1):
        canvas.paint(column(space, (side * 34, 86), (30, 21)), MUSCLE + scene.surface_mm(8, 18))
        psoas = common(column(space, (side * 44, 50), (19, 22)), below(space, (0, 0, 5), (0, 0, 1)))
        canvas.paint(psoas + np.maximum(space.z + 40, 0) * np.float32(0.12), MUSCLE)
    _paint_vertebrae(scene)


def _belly(scene: Scene) -> Field:
    """Additional fat in mm: most at the sides and low in front, little where the ribs are."""
    low = 1 / (1 + np.exp((scene.space.z + 10) / 40))
    front = np.clip(-scene.space.y / 100, 0, 1)
    return np.asarray(scene.around(14, 8) * low * (0.35 + front), dtype=np.float32) + scene.surface_mm(1.5, 60)


def _paint_table(scene: Scene) -> None:
    curve = scene.space.y - 150 + np.square(scene.space.x / 240) * 55
    scene.canvas.paint(common(np.abs(curve - 10) - 11, np.abs(scene.space.x) - 205), -930)
    scene.canvas.paint(common(np.abs(curve) - 1.5, np.abs(scene.space.x) - 205), -180)


def _paint_ribs(scene: Scene, from_middle_of_wall: Field) -> None:
    """Ribs leave the spine, run round and down, and end at the margin of the chest."""
    x, y, z = scene.space.x, scene.space.y, scene.space.z
    angle = np.arctan2(np.abs(x), y)  # 0 at the spine, pi in front
    height = z + angle * np.float32(38) + scene.around(0, RIB_PITCH_MM / 2)
    number = np.round(height / RIB_PITCH_MM)
    across = np.hypot((height - number * RIB_PITCH_MM) * 0.8, from_middle_of_wall * 1.3)
    too_far_in_front = (angle - 2.55) * 110
    too_low = (-0.6 - number) * RIB_PITCH_MM + np.maximum(angle - 1.2, 0) * 45
    rib = common(across - 5.2, too_far_in_front, too_low)
    scene.canvas.paint(rib, COMPACT)
    scene.canvas.paint(rib + 2.4, SPONGY + 30)


def _diaphragm(scene: Scene) -> Field:
    """The height above two domes, the right one higher: negative below them."""
    x, y, z = scene.space.x, scene.space.y, scene.space.z
    level = scene.around(22, 8)
    domes = []
    for middle, height in ((-72, scene.around(50, 6)), (74, scene.around(40, 6))):
        squared = np.square((x - middle) / 92) + np.square((y - 4) / 108)
        domes.append(height * (1 - squared))
    return np.asarray(z - level - np.maximum(*domes), dtype=np.float32) + scene.surface_mm(1.5, 40)


def _paint_chest(scene: Scene, inside: Field, under_diaphragm: Field) -> None:
    """Lungs with their vessels, and the heart on the left dome."""
    space, canvas = scene.space, scene.canvas
    middle = common(np.abs(space.x) - 26 - np.maximum(space.y - 40, 0) * 0.3, inside)
    chest = without(common(inside + 4, -under_diaphragm + 3), middle)
    texture = np.maximum(scene.surface_mm(1, 9) - 1.3, 0) * 420 + scene.surface_mm(18, 30)
    canvas.paint(common(inside + 2, -under_diaphragm), MUSCLE)
    canvas.paint(chest, LUNG + texture)
    bulge = ellipsoid(space, (24, -38, scene.around(112, 6)), (62, 48, 46)) + scene.surface_mm(2, 35)
    heart = common(bulge, inside + 8, -under_diaphragm + 2)
    canvas.paint(heart - 6, FAT)
    canvas.paint(heart, MUSCLE + 40)
    canvas.paint(common(ellipsoid(space, (26, -40, 116), (46, 34, 34)), heart + 8), BLOOD)
    canvas.paint(tube(space, (10, 18, 60), (4, 14, 200), 8), MUSCLE - 15)


def _paint_vertebrae(scene: Scene) -> None:
    space, canvas = scene.space, scene.canvas
    height = space.z + scene.around(0, VERTEBRA_MM / 2)
    from_disc = np.abs(height - np.round(height / VERTEBRA_MM) * VERTEBRA_MM)
    waist = np.square((from_disc - VERTEBRA_MM / 2) / VERTEBRA_MM) * 12
    body = column(space, (0, 50), (23, 17), 2.3) + 3 - waist
    canvas.paint(body, DISC)
    bone = common(body, 3.5 - from_disc)
    canvas.paint(bone, COMPACT - 60)
    canvas.paint(bone + 2.2, SPONGY + scene.surface_mm(22, 10))
    of_arch = 5 - from_disc
    arch = common(column(space, (0, 74), (17, 14)), of_arch)
    spine = common(column(space, (0, 98), (4, 18)), 8 - from_disc)
    for part in (arch, spine, *_transverse(space, from_disc)):
        canvas.paint(part, COMPACT - 40)
    canvas.paint(column(space, (0, 73), (11, 8.5)), CANAL)
    canvas.paint(column(space, (0, 73), (6, 5)), CANAL + 15)


def _transverse(space: Space, from_disc: Field) -> tuple[Field, Field]:
    """The processes to both sides of an arch."""
    thick = np.hypot(space.y - 76 - np.abs(space.x) * 0.12, from_disc - VERTEBRA_MM / 2) - 4.5
    return common(thick, space.x - 46, 8 - space.x), common(thick, -space.x - 46, 8 + space.x)
