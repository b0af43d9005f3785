"""Two images of one patient: the rigid motion between them, and which lesions of one are those of the other.

Nothing here is drawn by chance, and one thread does it: the same images give the same motion.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

from models.volume import Grid, Matrix, Vector, Volume

COARSE_MM = 4.0  # between samples that motion is looked for on
NEAR_MM = 5.0  # what breathing and a rigid motion leave between two places that are one
ALIKE = 0.5  # correlation of two images that show the same part of one patient
FEWEST_COARSE = 8  # samples along each axis
_BINS, _ITERATIONS, _SMALLEST_STEP = 32, 200, 1e-3
_SHRINKS = (2, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """From places in one image to places in another, both LPS mm: `rotation` (3, 3), `shift_mm` (3,)."""

    rotation: Matrix
    shift_mm: Vector

    def forth(self, points_mm: Matrix) -> Matrix:
        """Where the places of the first image lie in the second, (n, 3) -> (n, 3)."""
        return np.asarray(points_mm @ self.rotation.T + self.shift_mm)

    def back(self, points_mm: Matrix) -> Matrix:
        """Where the places of the second image lie in the first, (n, 3) -> (n, 3)."""
        return np.asarray((points_mm - self.shift_mm) @ self.rotation)


@dataclass(frozen=True, slots=True)
class Pieces:
    """Lesions that lie where others lay, by number: none then is a new one, none now one that is gone."""

    now: tuple[int, ...]
    before: tuple[int, ...]
    in_both_images: bool  # whether the place of all of them is inside of both images


def motion_between(now: Volume, before: Volume) -> Motion | None:
    """The rigid motion that takes places now to places before; None where the images do not come to lie on each other.

    Mutual information on a coarse grid, from the middles of both images.
    """
    fixed, moving = (_coarse(volume) for volume in (now, before))
    if min(*fixed.GetSize(), *moving.GetSize()) < FEWEST_COARSE:
        return None
    try:
        motion = _registered(fixed, moving)
    except RuntimeError:  # SimpleITK's own: too little of one image lies inside of the other
        return None
    return motion if _correlation(now, before, motion) >= ALIKE else None


def lesions_in_both(
    now: dict[int, Matrix], before: dict[int, Matrix], grids: tuple[Grid, Grid], motion: Motion
) -> tuple[Pieces, ...]:
    """Every lesion once, with those it belongs together with; lesions are voxel centres (n, 3) in LPS mm, by number.

    What lies within NEAR_MM of each other belongs together, and so does what belongs together with the same.
    """
    moved = {number: motion.forth(places) for number, places in now.items()}
    trees = {number: cKDTree(places) for number, places in before.items()}
    near = {number: {old for old, tree in trees.items() if _is_near(tree, places)} for number, places in moved.items()}
    return tuple(
        Pieces(new, old, _all_inside([now[n] for n in new], [before[n] for n in old], grids, motion))
        for new, old in _together(near, before)
    )


def _is_near(tree: cKDTree, places: Matrix) -> bool:
    distances, _ = tree.query(places, distance_upper_bound=NEAR_MM)
    return bool(np.isfinite(distances).any())


def _together(
    near: dict[int, set[int]], before: dict[int, Matrix]
) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """The connected pieces of "lies near", those of now in their order, then what only was there before."""
    left = dict(near)
    while left:
        first = min(left)
        new, old = {first}, left.pop(first)
        while more := {number for number, touching in left.items() if touching & old}:
            new |= more
            old = old.union(*(left.pop(number) for number in more))
        yield tuple(sorted(new)), tuple(sorted(old))
    found = set().union(*near.values()) if near else set()
    yield from (((), (number,)) for number in sorted(before.keys() - found))


def _all_inside(now: Sequence[Matrix], before: Sequence[Matrix], grids: tuple[Grid, Grid], motion: Motion) -> bool:
    in_before = all(_is_inside(grids[1], motion.forth(places)) for places in now)
    return in_before and all(_is_inside(grids[0], motion.back(places)) for places in before)


def _is_inside(grid: Grid, places: Matrix) -> bool:
    indices = grid.to_index(places)
    return bool(((indices >= 0) & (indices <= np.array(grid.shape) - 1)).all())


def _coarse(volume: Volume) -> SimpleITK.Image:
    """The image on a grid of about COARSE_MM: smoothed, then every n-th voxel of each axis."""
    grid = volume.grid
    steps = np.maximum(1, np.round(COARSE_MM / grid.spacing_mm)).astype(int)
    smooth = gaussian_filter(volume.values, [0.0 if step == 1 else step / 2 for step in steps])
    image = SimpleITK.GetImageFromArray(smooth[:: steps[0], :: steps[1], :: steps[2]])
    image.SetSpacing([float(mm) for mm in (grid.spacing_mm * steps)[::-1]])
    image.SetOrigin([float(mm) for mm in grid.origin_mm])
    image.SetDirection([float(cosine) for cosine in grid.direction[:, ::-1].ravel()])
    return image


def _registered(fixed: SimpleITK.Image, moving: SimpleITK.Image) -> Motion:
    """Raises RuntimeError when SimpleITK cannot."""
    start = SimpleITK.CenteredTransformInitializer(
        fixed, moving, SimpleITK.Euler3DTransform(), SimpleITK.CenteredTransformInitializerFilter.GEOMETRY
    )
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)  # several add up in another order each time
    method = SimpleITK.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, _SMALLEST_STEP, _ITERATIONS)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(_SHRINKS)
    method.SetSmoothingSigmasPerLevel([0.0] * len(_SHRINKS))
    method.SetInitialTransform(start)
    found = method.Execute(fixed, moving)
    origin = np.array(found.TransformPoint((0.0, 0.0, 0.0)))
    columns = [np.array(found.TransformPoint(axis)) - origin for axis in np.eye(3).tolist()]
    return Motion(np.stack(columns, axis=1), origin)


def _correlation(now: Volume, before: Volume, motion: Motion) -> float:
    """Of the values where the images lie on each other; 0 where they hardly do."""
    steps = [slice(None, None, max(1, round(float(COARSE_MM / mm)))) for mm in now.grid.spacing_mm]
    indices = np.stack(np.meshgrid(*[np.arange(n)[step] for n, step in zip(now.grid.shape, steps, strict=True)]), -1)
    indices = indices.reshape(-1, 3)
    there = before.grid.to_index(motion.forth(now.grid.to_world(indices.astype(float))))
    inside = ((there >= 0) & (there <= np.array(before.grid.shape) - 1)).all(axis=1)
    if inside.sum() < FEWEST_COARSE**3:
        return 0.0
    here = now.values[tuple(indices[inside].T)]
    return _pearson(here, map_coordinates(before.values, there[inside].T, order=1))


def _pearson(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    if not one.std() or not other.std():
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
