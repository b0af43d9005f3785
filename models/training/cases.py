"""Where cases come from: folders of NIfTI files in the Decathlon's layout, and phantoms."""

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.nifti import DATASET, IMAGES, LABELS, SUFFIX, read_volume
from models.phantom import abdomen
from models.preparation import Preprocessing
from models.preprocessing import labels_to_network, to_network
from models.training.recipe import Folder, Phantoms, Visits
from models.volume import Grid, LabelMap, Volume

PHANTOM = "phantom_"
_TOWARDS = {  # unit vectors of the LPS world
    "L": (1.0, 0.0, 0.0),
    "R": (-1.0, 0.0, 0.0),
    "P": (0.0, 1.0, 0.0),
    "A": (0.0, -1.0, 0.0),
    "S": (0.0, 0.0, 1.0),
    "I": (0.0, 0.0, -1.0),
}


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A volume and the truth about it, on one grid."""

    name: str
    volume: Volume
    truth: LabelMap


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A case as the network sees it: intensities (z, y, x) float32 and labels (z, y, x) uint8."""

    values: NDArray[np.float32]
    labels: NDArray[np.uint8]


def names_in(folder: Path) -> list[str]:
    """The cases of a folder that have an image and labels, in order."""
    return sorted(
        path.name.removesuffix(SUFFIX)
        for path in (folder / IMAGES).glob(f"*{SUFFIX}")
        if (folder / LABELS / path.name).is_file()
    )


def patients_in(folder: Path) -> dict[str, str]:
    """Whose each case is, where the folder says it: `patients` in its dataset.json, as `isocenter cases` writes it."""
    path = folder / DATASET
    written = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return dict(written.get("patients", {}))


def read_case(folder: Path, name: str, axes: str | None = None) -> Case:
    """One case of a folder, in the LPS world; `axes` say how the axes run where the files are wrong about it."""
    image, labels = folder / IMAGES / f"{name}{SUFFIX}", folder / LABELS / f"{name}{SUFFIX}"
    volume = read_volume(image)
    truth = read_volume(labels)
    if not volume.grid.matches(truth.grid):
        raise ValueError(f"{labels} is not on the grid of {image}")
    grid = _upright(volume.grid, axes) if axes else volume.grid
    return Case(name, Volume(grid, volume.values), LabelMap(grid, np.round(truth.values).astype(np.uint8)))


def case_digest(case: Case) -> str:
    """SHA-256 over the image's values, the true labels and their place in the patient."""
    digest = sha256()
    for array in (case.volume.values, case.truth.labels, case.volume.grid.affine):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _upright(grid: Grid, axes: str) -> Grid:
    """A grid of the same shape and spacing about the origin, whose axes run towards Left, Right, Anterior, ..."""
    affine = np.eye(4)
    affine[:3, :3] = np.stack([_TOWARDS[letter] for letter in axes], axis=1) * grid.spacing_mm
    affine[:3, 3] = -affine[:3, :3] @ ((np.asarray(grid.shape) - 1) / 2)
    return Grid(grid.shape, affine)


def as_example(case: Case, preprocessing: Preprocessing) -> Example:
    """The case through the preprocessing that inference uses."""
    network_input = to_network(case.volume, preprocessing)
    truth = labels_to_network(case.truth, preprocessing)
    return Example(network_input.values, truth.labels)


def phantom_name(seed: int) -> str:
    """The name of the phantom of a seed."""
    return f"{PHANTOM}{seed:05d}"


def open_case(cases: Folder | Phantoms | Visits | None, name: str, source: Path | None) -> Case:
    """The case of that name: made, or read from the folder `source`, as where there is no recipe.

    Raises ValueError when cases of a folder are wanted and none is given, and where patients are rows of a table.
    """
    if isinstance(cases, Visits):
        raise ValueError(f"{name} is a patient of {cases.file}, and has no image")  # noqa: TRY004 - the recipe is wrong
    if isinstance(cases, Phantoms):
        made = abdomen(int(name.removeprefix(PHANTOM)), shape=cases.shape, spacing_mm=cases.spacing_mm)
        return Case(name, made.volume, made.label_map)
    if source is None:
        raise ValueError(f"{name} is a case of a folder: name the folder with --data")
    return read_case(source, name, cases.axes if cases else None)
