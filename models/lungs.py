"""The lungs on a CT by their density alone: air inside the body, without the windpipe, with the vessels it encloses.

No network is asked. What is dense (consolidation, effusion, large vessels at the hilum) is not counted, and airways
inside the lungs are.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_closing, binary_dilation, binary_fill_holes, find_objects
from scipy.ndimage import label as connected_components

from models.measurement import is_axial
from models.volume import LabelMap, Volume

LUNGS = 1
LUNG_BELOW_HU = -400.0
COARSE_MM = 2.0  # finer than this, volumes do not change and time does
WINDPIPE_MM2 = (50.0, 800.0)  # its section in one plane
WIDENS_BY = 2.0  # from one plane to the next: beyond that it has come to the lungs
GAS_BELOW_HU = -940.0  # the middle of a piece: gas in the bowel or the windpipe is nearly -1000, lung about -800
CANDIDATES = 12  # pieces that are looked at, from the largest
SECOND = 0.1  # of the largest piece: what is smaller is no second lung
VESSELS_MM = 5.0  # what is thinner between air is a vessel of the lung

Mask = NDArray[np.bool_]


def lungs(volume: Volume) -> LabelMap | None:
    """The lungs as label 1 on the volume's own grid; None where its planes are not axial or show none.

    Values are HU.
    """
    if not is_axial(volume.grid):
        return None
    steps = [max(1, int(COARSE_MM / mm)) for mm in volume.grid.voxel_size_mm]
    coarse = volume.values[tuple(slice(None, None, step) for step in steps)]
    spacing_mm = volume.grid.voxel_size_mm * steps
    upwards = bool(volume.grid.affine[2, 0] > 0)
    air = _inside(coarse < LUNG_BELOW_HU)
    windpipe = _windpipe(air[::-1] if upwards else air, float(spacing_mm[1] * spacing_mm[2]))
    pieces = _largest_two(air & ~(windpipe[::-1] if upwards else windpipe), coarse)
    if pieces is None:
        return None
    mask = _with_vessels(pieces, spacing_mm)
    for axis, (step, count) in enumerate(zip(steps, volume.grid.shape, strict=True)):
        mask = np.repeat(mask, step, axis)[(slice(None),) * axis + (slice(count),)]
    return LabelMap(volume.grid, mask.astype(np.uint8) * LUNGS)


def are_whole(label_map: LabelMap) -> bool:
    """True when no lung goes on beyond the first or the last plane: only then is its volume the lung's."""
    return not (label_map.labels[[0, -1]] == LUNGS).any()


def _inside(air: Mask) -> Mask:
    """Air that does not reach the edge of any plane: neither the room, nor what surrounds a round picture."""
    pieces, _ = connected_components(air)
    edges = np.concatenate([pieces[:, [0, -1], :].ravel(), pieces[:, :, [0, -1]].ravel()])
    return air & ~np.isin(pieces, np.unique(edges))


def _windpipe(air: Mask, pixel_mm2: float) -> Mask:
    """The windpipe, followed from the uppermost plane that shows it down to where it widens into the bronchi.

    `air` has its uppermost plane first, and so has the answer.
    """
    found = np.zeros_like(air)
    section: Mask | None = None
    for index, plane in enumerate(air):
        candidates = _sections(plane, pixel_mm2)
        if section is None:
            section = _roundest_near_the_middle(candidates)
        else:
            section = _goes_on(section, candidates)
            if section is None:
                break
        if section is not None:
            found[index] = binary_dilation(section)
    return found


def _sections(plane: Mask, pixel_mm2: float) -> list[Mask]:
    """The pieces of one plane that are as large as a windpipe."""
    pieces, count = connected_components(plane)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1) * pixel_mm2
    least, most = WINDPIPE_MM2
    return [pieces == number for number in range(1, count + 1) if least <= sizes[number] <= most]


def _roundest_near_the_middle(candidates: Sequence[Mask]) -> Mask | None:
    """The windpipe where it begins: as wide as deep, and in the middle third of the picture."""
    for mask in candidates:
        rows, columns = find_objects(mask.astype(np.uint8))[0]
        sides = sorted((rows.stop - rows.start, columns.stop - columns.start))
        middle = (columns.start + columns.stop) / 2 / mask.shape[1]
        if sides[1] <= 2 * sides[0] and 1 / 3 < middle < 2 / 3:
            return mask
    return None


def _goes_on(section: Mask, candidates: Sequence[Mask]) -> Mask | None:
    below = [mask for mask in candidates if (mask & section).any()]
    return next((mask for mask in below if mask.sum() <= WIDENS_BY * section.sum()), None)


def _largest_two(air: Mask, values: NDArray[np.float32]) -> Mask | None:
    """The two largest pieces that are as dense as lung, or the one where the other is small; None without any."""
    pieces, count = connected_components(air)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    by_size = np.argsort(sizes[1:])[::-1][:CANDIDATES] + 1
    largest = [number for number in by_size if np.median(values[pieces == number]) > GAS_BELOW_HU][:2]
    kept = [number for number in largest if sizes[number] > SECOND * sizes[largest[0]]]
    return np.isin(pieces, kept) if kept else None


def _with_vessels(mask: Mask, spacing_mm: NDArray[np.float64]) -> Mask:
    """The lungs with what they enclose in each plane, and with what is thin between their air."""
    reach = np.maximum(1, np.round(VESSELS_MM / spacing_mm[1:] / 2)).astype(int)
    ball = np.hypot(*np.meshgrid(*(np.arange(-n, n + 1) / n for n in reach), indexing="ij")) <= 1
    closed = [binary_closing(np.pad(plane, reach.max()), ball) for plane in mask]
    inner = slice(int(reach.max()), -int(reach.max()))
    return np.stack([binary_fill_holes(plane)[inner, inner] for plane in closed])
