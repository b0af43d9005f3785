"""Between the source grid and the network's grid: one way there and one way back, for training and inference alike.

The way there: turn the axes to where the network's run (ours to Superior, Posterior, Left) by permuting and flipping
(nothing is interpolated), then resample if the spacing differs or if a tilted gantry sheared the source, then normalise
the intensities. The way back undoes it onto exactly the source grid.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_filter1d
from scipy.optimize import linear_sum_assignment

from models.preparation import (
    Axes,
    Intensity,
    Own,
    Percentiles,
    Preprocessing,
    Scale,
    Standardize,
    StandardizeNonzero,
    Window,
)
from models.volume import Grid, LabelMap, Matrix, Vector, Volume

Values = NDArray[np.float32]
Voxel = TypeVar("Voxel", bound=np.generic)

OURS: Axes = "SPL"
TOWARDS = {  # in the LPS world
    "L": (1, 0, 0),
    "R": (-1, 0, 0),
    "P": (0, 1, 0),
    "A": (0, -1, 0),
    "S": (0, 0, 1),
    "I": (0, 0, -1),
}
SLIVER = 1e-3  # voxels; less than this at the edge of the box is rounding, not image
SHEAR_MM = 0.1  # what rounding of positions explains
SAME_SPACING = 0.01  # below one percent of difference interpolation costs more than it gives
TINY = float(np.finfo(np.float32).tiny)
FWHM_PER_SIGMA = 2.0 * float(np.sqrt(2.0 * np.log(2.0)))


@dataclass(frozen=True, slots=True)
class Turn:
    """How a source's axes become the network's: first permuted by `order`, then the `flipped` reversed."""

    order: tuple[int, int, int]
    flipped: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class NetworkInput:
    """Normalised intensities on the network's grid, and what is needed to find the way back."""

    grid: Grid
    values: Values  # (z, y, x)
    source: Grid
    axes: Axes = OURS


def to_network(volume: Volume, preprocessing: Preprocessing) -> NetworkInput:
    """The volume as the network wants it."""
    turn, turned = _turned_source(volume.grid, preprocessing.axes)
    grid = network_grid(volume.grid, preprocessing)
    values = _resampled(_turned(volume.values, turn), turned, grid)
    return NetworkInput(grid, normalised(values, preprocessing.intensity), volume.grid, preprocessing.axes)


def network_grid(source: Grid, preprocessing: Preprocessing) -> Grid:
    """The network's grid for a source: the source's own box at its spacing, upright where the source is sheared."""
    straight = straightened_grid(source)
    return respaced_grid(turned_grid(straight, closest_turn(straight, preprocessing.axes)), preprocessing.spacing_mm)


def labels_to_network(label_map: LabelMap, preprocessing: Preprocessing) -> LabelMap:
    """The label map on the grid that `to_network` gives to a volume on the same source grid."""
    turn, turned = _turned_source(label_map.grid, preprocessing.axes)
    grid = network_grid(label_map.grid, preprocessing)
    labels = _turned(label_map.labels, turn)
    if grid.matches(turned):
        return LabelMap(grid, np.ascontiguousarray(labels))
    classes = range(int(labels.max()) + 1)
    return LabelMap(grid, _likeliest(((labels == value).astype(np.float32) for value in classes), turned, grid))


def to_source(probabilities: Values, network_input: NetworkInput) -> LabelMap:
    """The likeliest class at every voxel of the source grid; probabilities (classes, z, y, x) on the network's grid."""
    turn, turned = _turned_source(network_input.source, network_input.axes)
    labels = _likeliest(probabilities, network_input.grid, turned)
    return LabelMap(network_input.source, np.ascontiguousarray(_turned_back(labels, turn)))


def upright(volume: Volume, axes: Axes) -> NetworkInput:
    """The volume with its axes turned, at right angles where it is sheared, and else as it is: spacing and values."""
    turn, turned = _turned_source(volume.grid, axes)
    grid = turned_grid(straightened_grid(volume.grid), turn)
    return NetworkInput(grid, _resampled(_turned(volume.values, turn), turned, grid), volume.grid, axes)


def labels_to_source(labels: NDArray[np.uint8], network_input: NetworkInput) -> LabelMap:
    """Labels on the network's grid, (z, y, x), on the source grid; nothing is interpolated unless that is sheared."""
    turn, turned = _turned_source(network_input.source, network_input.axes)
    if not network_input.grid.matches(turned):
        classes = ((labels == value).astype(np.float32) for value in range(int(labels.max()) + 1))
        labels = _likeliest(classes, network_input.grid, turned)
    return LabelMap(network_input.source, np.ascontiguousarray(_turned_back(labels, turn)))


def normalised(values: Values, intensity: Intensity) -> Values:
    """Intensities as the network wants them, of the same shape."""
    match intensity:
        case Window():
            middle, half = (intensity.maximum + intensity.minimum) / 2, (intensity.maximum - intensity.minimum) / 2
            return np.asarray((np.clip(values, intensity.minimum, intensity.maximum) - middle) / half, dtype=np.float32)
        case Scale():
            return _scaled(values, (intensity.minimum, intensity.maximum), intensity.onto, clip=intensity.clip)
        case Percentiles():
            lowest, highest = np.percentile(values, intensity.percentiles)
            return _scaled(values, (float(lowest), float(highest)), intensity.onto, clip=intensity.clip)
        case StandardizeNonzero():
            return np.where(values == 0, np.float32(0), _standardized(values, values[values != 0]))
        case Standardize():
            clipped = np.clip(values, *np.percentile(values, intensity.clip_percentiles))
            return _standardized(clipped, clipped)
        case Own():
            raise ValueError("these intensities are prepared by the program that runs the model, and not here")


def closest_turn(grid: Grid, axes: Axes = OURS) -> Turn:
    """The permutation and flips after which the axes run closest to where the letters say."""
    components = np.array([TOWARDS[letter] for letter in axes]) @ grid.direction  # row: wanted axis, column: source
    _, order = linear_sum_assignment(-np.abs(components))
    flipped = tuple(wanted for wanted in range(3) if components[wanted, order[wanted]] < 0)
    return Turn((int(order[0]), int(order[1]), int(order[2])), flipped)


def straightened_grid(grid: Grid) -> Grid:
    """A grid of the same planes at right angles to their normal, over the whole of a sheared one; else the grid."""
    if grid.shear_mm <= SHEAR_MM:
        return grid
    affine = grid.affine.copy()
    affine[:3, 0] = grid.normal * (grid.normal @ grid.affine[:3, 0])
    drift = np.linalg.solve(affine[:3, :3], grid.affine[:3, 0])[1:] * (grid.shape[0] - 1)
    affine[:3, 3] += affine[:3, 1:3] @ np.minimum(drift, 0.0)
    rows, columns = (int(count) for count in grid.shape[1:] + np.ceil(np.abs(drift) - SLIVER))
    return Grid((grid.shape[0], rows, columns), affine)


def turned_grid(grid: Grid, turn: Turn) -> Grid:
    """The same voxels in the same places, numbered along the turned axes."""
    affine: Matrix = grid.affine.copy()
    affine[:3, :3] = affine[:3, list(turn.order)]
    shape = tuple(grid.shape[axis] for axis in turn.order)
    for axis in turn.flipped:
        affine[:3, 3] += affine[:3, axis] * (shape[axis] - 1)
        affine[:3, axis] *= -1
    return Grid((shape[0], shape[1], shape[2]), affine)


def respaced_grid(grid: Grid, spacing_mm: tuple[float, float, float]) -> Grid:
    """A grid of that spacing around the same box, centred alike; the grid itself where it has that spacing."""
    wanted: Vector = np.asarray(spacing_mm)
    if np.allclose(grid.spacing_mm, wanted, rtol=SAME_SPACING, atol=0):
        return grid
    step = wanted / grid.spacing_mm
    count = np.ceil(grid.shape / step - SLIVER)
    affine = grid.affine.copy()
    affine[:3, :3] = grid.affine[:3, :3] * step
    first = (np.asarray(grid.shape) - 1) / 2 - step * (count - 1) / 2
    affine[:3, 3] = grid.to_world(first[None])[0]
    return Grid((int(count[0]), int(count[1]), int(count[2])), affine)


def _standardized(values: Values, over: Values) -> Values:
    """Values with zero mean and unit deviation over these; 0 where there are none."""
    if not over.size:
        return np.zeros_like(values)
    considered = over.astype(np.float64)
    deviation = max(float(considered.std()), float(np.finfo(np.float32).tiny))
    return np.asarray((values.astype(np.float64) - considered.mean()) / deviation, dtype=np.float32)


def _scaled(values: Values, span: tuple[float, float], onto: tuple[float, float], *, clip: bool) -> Values:
    """Values so that the ends of `span` become those of `onto`."""
    wide = max(span[1] - span[0], float(np.finfo(np.float32).tiny))
    scaled = (values.astype(np.float64) - span[0]) / wide * (onto[1] - onto[0]) + onto[0]
    return np.asarray(np.clip(scaled, min(onto), max(onto)) if clip else scaled, dtype=np.float32)


def _turned_source(source: Grid, axes: Axes) -> tuple[Turn, Grid]:
    """How the source is turned, and its own voxels numbered so."""
    turn = closest_turn(straightened_grid(source), axes)
    return turn, turned_grid(source, turn)


def _turned(array: NDArray[Voxel], turn: Turn) -> NDArray[Voxel]:
    return np.flip(array.transpose(turn.order), turn.flipped)


def _turned_back(array: NDArray[Voxel], turn: Turn) -> NDArray[Voxel]:
    return np.flip(array, turn.flipped).transpose(np.argsort(turn.order))


def _likeliest(classes: Iterable[Values], grid: Grid, wanted: Grid) -> NDArray[np.uint8]:
    """The class of the highest value at every voxel of `wanted`; one class at a time, for memory's sake."""
    best = np.full(wanted.shape, -np.inf, dtype=np.float32)
    labels = np.zeros(wanted.shape, dtype=np.uint8)
    for value, probability in enumerate(classes):
        here = _interpolated(probability, grid, wanted)
        better = here > best
        best[better] = here[better]
        labels[better] = value
    return labels


def _resampled(values: Values, grid: Grid, wanted: Grid) -> Values:
    """Values at the voxels of `wanted`, smoothed first along axes that become coarser, against aliasing."""
    coarser = wanted.spacing_mm / grid.spacing_mm
    for axis, factor in enumerate(coarser):
        if factor > 1 + SAME_SPACING:
            sigma = float(np.sqrt(factor**2 - 1)) / FWHM_PER_SIGMA
            values = gaussian_filter1d(values, sigma, axis=axis, mode="nearest")
    return _interpolated(values, grid, wanted)


def _interpolated(values: Values, grid: Grid, wanted: Grid) -> Values:
    """Linear interpolation between two grids; the nearest value outside."""
    if wanted is grid or wanted.matches(grid):
        return np.ascontiguousarray(values)
    step = np.linalg.solve(grid.affine[:3, :3], wanted.affine[:3, :3])
    along = np.diag(step)
    if (np.abs(step - np.diag(along)) * wanted.shape).max() < SLIVER:
        step = along  # the axes are shared: faster
    first = grid.to_index(wanted.origin_mm[None])[0]
    resampled = affine_transform(values, step, first, wanted.shape, order=1, mode="nearest")
    return np.asarray(resampled, dtype=np.float32)
