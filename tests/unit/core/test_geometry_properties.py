"""What must hold for every orientation, spacing, order, sign and shear."""

from dataclasses import replace
from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.preparation import Preprocessing, Standardize
from models.preprocessing import NetworkInput, closest_turn, labels_to_network, straightened_grid, to_source
from models.volume import Grid, LabelMap, Matrix
from service.core.entities import Frame, Instance, Orientation, PixelSpacing, Plane, Stack
from service.core.stacking import split
from tests.instances import instance

MILLIMETRES = st.floats(0.3, 6.0)
POSITIONS = st.floats(-500.0, 500.0)
SHEARS = st.floats(-0.5, 0.5)  # of the normal's length: up to 27 degrees


@st.composite
def rotations(draw: st.DrawFn) -> Matrix:
    """A turn from a random quaternion, or one of the 24 that only permute and flip the axes."""
    if draw(st.booleans()):
        axes = draw(st.permutations(range(3)))
        signs = draw(st.tuples(*[st.sampled_from((-1.0, 1.0))] * 3))
        permuted = np.eye(3)[list(axes)] * signs
        return np.asarray(permuted * np.linalg.det(permuted))
    w, x, y, z = _unit(draw(st.tuples(*[st.floats(-1.0, 1.0)] * 4)))
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def _unit(quaternion: tuple[float, ...]) -> tuple[float, ...]:
    length = float(np.linalg.norm(quaternion))
    return tuple(part / length for part in quaternion) if length > 1e-3 else (1.0, 0.0, 0.0, 0.0)


@st.composite
def grids(draw: st.DrawFn, sheared: bool = True) -> Grid:
    """A grid whose axis 0 runs along the normal of its planes, with a shear within them."""
    turn = draw(rotations())
    row, column = turn[:, 0], turn[:, 1]
    distance, between_rows, between_columns = draw(MILLIMETRES), draw(MILLIMETRES), draw(MILLIMETRES)
    along_row, along_column = (draw(SHEARS), draw(SHEARS)) if sheared else (0.0, 0.0)
    affine = np.eye(4)
    affine[:3, 0] = distance * (np.cross(row, column) + along_row * row + along_column * column)
    affine[:3, 1], affine[:3, 2] = column * between_rows, row * between_columns
    affine[:3, 3] = draw(st.tuples(POSITIONS, POSITIONS, POSITIONS))
    shape = draw(st.tuples(st.integers(3, 24), st.integers(2, 40), st.integers(2, 40)))
    return Grid(shape, affine)


def instances(grid: Grid, seed: int) -> list[Instance]:
    """One instance for each plane of the grid, in any order and under any names."""
    row, column = grid.direction[:, 2], grid.direction[:, 1]
    orientation = Orientation(_triple(row), _triple(column))
    spacing = PixelSpacing(float(grid.spacing_mm[1]), float(grid.spacing_mm[2]))
    members = []
    for index in range(grid.shape[0]):
        position = _triple(grid.to_world(np.array([[float(index), 0.0, 0.0]]))[0])
        plane = Plane(position, orientation, spacing, grid.shape[1], grid.shape[2])
        members.append(replace(instance(index, 0.0), frames=(Frame(1, plane, {}),)))
    Random(seed).shuffle(members)
    return [replace(member, sop_instance_uid=f"1.2.3.{number}") for number, member in enumerate(members, start=1)]


def _triple(vector: Matrix) -> tuple[float, float, float]:
    x, y, z = (float(part) for part in vector)
    return x, y, z


@given(grids(), st.integers(0, 1000))
def test_planes_in_any_order_are_put_back_on_the_grid_they_came_from(grid: Grid, seed: int) -> None:
    (stack,) = split(instances(grid, seed))
    assert isinstance(stack, Stack)
    assert stack.grid.matches(grid, tolerance_mm=1e-6)


@given(grids(), st.lists(st.tuples(POSITIONS, POSITIONS, POSITIONS), min_size=1, max_size=20))
def test_a_voxel_goes_to_the_world_and_back_to_itself(grid: Grid, indices: list[tuple[float, float, float]]) -> None:
    there = grid.to_world(np.array(indices))
    back = grid.to_world(grid.to_index(there))
    assert np.abs(back - there).max() < 1e-6
    assert np.abs((grid.to_index(there) - np.array(indices)) * grid.spacing_mm).max() < 1e-6


@given(grids(sheared=False), st.integers(0, 1000))
def test_a_mask_on_the_model_s_grid_returns_to_exactly_the_source_voxels_it_came_from(grid: Grid, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 3, grid.shape).astype(np.uint8)
    assert np.array_equal(there_and_back(LabelMap(grid, labels)).labels, labels)


@given(grids())
def test_a_mask_on_the_straightened_grid_returns_to_the_sheared_voxels_it_came_from(grid: Grid) -> None:
    labels = np.zeros(grid.shape, dtype=np.uint8)
    half = labels[:, : grid.shape[1] // 2, :]
    half[:] = 1
    labels[:, grid.shape[1] // 2 :, grid.shape[2] // 2 :] = 2
    back = there_and_back(LabelMap(grid, labels)).labels
    away = far_from_borders(labels)
    assert np.array_equal(back[away], labels[away])


def there_and_back(drawn: LabelMap) -> LabelMap:
    """The label map taken to the network's grid and back, as a network would answer that saw it perfectly."""
    size = straightened_grid(drawn.grid).voxel_size_mm
    turned = _along_world_axes(drawn.grid, size)
    preprocessing = Preprocessing(spacing_mm=turned, intensity=Standardize(kind="standardize"))
    on_network = labels_to_network(drawn, preprocessing)
    classes = np.stack([on_network.labels == value for value in range(3)]).astype(np.float32)
    return to_source(classes, NetworkInput(on_network.grid, classes[0], drawn.grid))


def _along_world_axes(grid: Grid, size_mm: Matrix) -> tuple[float, float, float]:
    """The grid's own voxel size in the order that the network's axes have."""
    order = closest_turn(straightened_grid(grid)).order
    return float(size_mm[order[0]]), float(size_mm[order[1]]), float(size_mm[order[2]])


def far_from_borders(labels: np.ndarray) -> np.ndarray:
    """Voxels whose in-plane neighbours all carry the same label; interpolation moves a border by less than one."""
    same = np.ones(labels.shape, dtype=np.bool_)
    for axis in (1, 2):
        changes = np.diff(labels, axis=axis) != 0
        front, back = [[(0, 0)] * 3 for _ in range(2)]
        front[axis], back[axis] = (0, 1), (1, 0)
        same &= ~(np.pad(changes, front) | np.pad(changes, back))
    return same
