"""Finding structures in a volume: an upright box in the patient around each, or no answer."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from models import networks
from models.boxes import Corners, around, ends, outer_edges
from models.edges import AXES, SIDES, EdgeNetwork, expectation
from models.findings import Box, Findings, Measurement
from models.intake import Declined
from models.manifest import Location
from models.measurement import MILLIMETRE
from models.preprocessing import NetworkInput, to_network
from models.sections import BoxStructure
from models.tasks.identity import algorithm
from models.tasks.slices import centred, overlap
from models.terms import Code
from models.volume import Volume

WIDTH = Code(value="103355008", scheme="SCT", meaning="Width")
DEPTH = Code(value="131197000", scheme="SCT", meaning="Depth")
HEIGHT = Code(value="121207", scheme="DCM", meaning="Height")
_SIZES = (WIDTH, DEPTH, HEIGHT)  # along x, y, z of the patient
_HALF = np.array([[-0.5], [0.5]])  # from the middle of the first and the last voxel to their outer faces


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """Outer faces of each structure's first and last voxel, in indices of the network's grid, and how sure they are.

    Places and one deviation of each in voxels, both (structures, 2, 3), the axes z, y, x.
    """

    at: NDArray[np.float64]
    spread: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Locator:
    """A network and the manifest that says how it is asked."""

    manifest: Location
    network: EdgeNetwork

    def __call__(self, volume: Volume, places: Sequence[float] = ()) -> Findings:
        """A box around each structure, cut where the volume ends, with its sizes in mm; there is no label map.

        A box is upright in the patient: from low to high along each axis of the LPS world. The network finds it along
        its own axes, which lie as the volume's do. Where they are oblique, the box is the upright one around the
        oblique one, and larger than what it is around.

        Raises Declined when the network is not sure of an edge, when a structure may go on beyond what the network
        sees or lies outside of the volume, and when a size is not plausible: a wrong box is worse than none. Raises
        ValueError when the network answers with anything that is not a finite number, and MemoryError when the device
        has too little memory.
        """
        del places  # boxes lie in the patient, and not on planes
        seen = to_network(volume, self.manifest.preprocessing)
        try:
            edges = find_edges(self.network, seen.values, self.manifest.window)
        except torch.OutOfMemoryError as error:
            raise MemoryError(str(error)) from error
        boxes = (
            self._box(structure, at, spread, seen)
            for structure, at, spread in zip(self.manifest.structures, edges.at, edges.spread, strict=True)
        )
        return Findings(algorithm(self.manifest), boxes=tuple(boxes))

    def _box(
        self, structure: BoxStructure, at: NDArray[np.float64], spread: NDArray[np.float64], seen: NetworkInput
    ) -> Box:
        self._require_sure(structure, spread * seen.grid.spacing_mm)
        self._require_whole(structure, at, seen)
        corners = around(seen.grid.to_world(ends(_within_source(structure, at, seen))))
        sizes = np.ptp(corners, axis=0).tolist()
        _require_plausible(structure, sizes)
        measured = (Measurement(code, size, MILLIMETRE) for code, size in zip(_SIZES, sizes, strict=True))
        return Box(structure.term, tuple(corners[0].tolist()), tuple(corners[1].tolist()), None, tuple(measured))

    def _require_sure(self, structure: BoxStructure, spread_mm: NDArray[np.float64]) -> None:
        if (spread_mm > self.manifest.inference.spread_mm).any():
            raise Declined(
                f"the network is not sure where {structure.name} ends: an edge deviates by {spread_mm.max():.1f} mm, "
                f"and {self.manifest.inference.spread_mm:g} mm are allowed"
            )

    def _require_whole(self, structure: BoxStructure, at: NDArray[np.float64], seen: NetworkInput) -> None:
        """A structure that ends where the window does, and the volume not, may go on."""
        there, here = overlap(seen.values.shape, self.manifest.window)
        for axis, (inner, shown) in enumerate(zip(there, here, strict=True)):
            low, high = inner.start - shown.start, inner.start - shown.start + self.manifest.window[axis]
            cut = inner.stop - inner.start < seen.values.shape[axis]
            if cut and (at[0, axis] < low + 0.5 or at[1, axis] > high - 1.5):
                found = f"from {at[0, axis]:.1f} to {at[1, axis]:.1f}"
                raise Declined(
                    f"{structure.name} may go on beyond what the network sees: {found} of voxels {low} to {high - 1} "
                    f"along axis {axis}"
                )


def locating_network(manifest: Location) -> EdgeNetwork:
    """The manifest's network with fresh weights: votes for two edges along three axes of each structure."""
    return EdgeNetwork(networks.build(manifest.network, len(manifest.structures) * SIDES * AXES))


def find_edges(network: EdgeNetwork, values: NDArray[np.float32], window: tuple[int, int, int]) -> Edges:
    """The edges of each structure in the middle of the values, (z, y, x).

    Raises ValueError when the network answers with anything that is not a finite number.
    """
    there, here = overlap(values.shape, window)
    start = np.array([inner.start - shown.start for inner, shown in zip(there, here, strict=True)])
    shown = torch.from_numpy(centred(values, window))[None, None].to(next(network.parameters()).device)
    with torch.inference_mode():
        expected, spread = (each[0].cpu().numpy().astype(np.float64) for each in expectation(network(shown)))
    if not np.isfinite(expected).all() or not np.isfinite(spread).all():
        raise ValueError("the network answered with values that are not finite numbers")
    return Edges(expected + start + _HALF, spread)


def _within_source(structure: BoxStructure, at: NDArray[np.float64], seen: NetworkInput) -> Corners:
    """Edges in indices of the network's grid, cut where the source ends. Raises Declined where nothing is left."""
    reach = around(seen.grid.to_index(seen.source.to_world(ends(outer_edges(seen.source)))))
    cut = np.clip(at, reach[0], reach[1])
    if (cut[1] - cut[0] <= 0).any():
        raise Declined(
            f"{structure.name} lies outside of the volume, or ends before it begins: "
            f"from {np.round(at[0], 1).tolist()} to {np.round(at[1], 1).tolist()} on a grid of {seen.grid.shape}"
        )
    return cut


def _require_plausible(structure: BoxStructure, sizes_mm: Sequence[float]) -> None:
    for code, plausible, size in zip(_SIZES, structure.plausible_mm.spans, sizes_mm, strict=True):
        if not plausible.holds(size):
            found = f"a {code.meaning.lower()} of {size:.1f} mm is not plausible for {structure.name}"
            raise Declined(f"{found}: expected {plausible} mm")
