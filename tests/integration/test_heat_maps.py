"""Heat maps of volumes before the validators and readers of other makers."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from nibabel.affines import apply_affine
from numpy.typing import NDArray
from pydicom import Dataset

from models.findings import Findings, HeatMap
from service.core.entities import Stack
from service.core.profiles import Profile
from service.core.stacking import split
from service.derived import heat_map, heat_map_proof
from service.derived.encoding import decode, encode
from service.edge.part10 import read_frame_headers, read_instance
from tests import factories
from tests.validators import faults

FORMS = {"plain": Profile(), "compressed": Profile.model_validate({"segmentation": "labelmap", "compression": "rle"})}
REAL = {"MR, cropped": ("hippocampus_dicom", "Study3_PGBM-003/11_HCropVolume")}
HALF_A_STEP = 0.5 / 255 + 1e-6

Tool = Callable[[str], str]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A series on disk, its heat map, and the object of each form."""

    images: list[Path]
    findings: Findings
    objects: dict[str, Path]


@pytest.fixture(params=["CT, oblique", *REAL])
def case(request: pytest.FixtureRequest, tmp_path: Path, real_images: Callable[[str], Path]) -> Case:
    if request.param in REAL:
        name, folder = REAL[request.param]
        images = sorted(path for path in (real_images(name) / folder).rglob("*") if path.is_file())
    else:
        series = factories.ct_series(factories.grid("oblique"))
        images = [_write(tmp_path / f"image{number}.dcm", image) for number, image in enumerate(series)]
    paths = {(each := read_instance(path)).sop_instance_uid: (path, each) for path in images}
    (stack,) = split([each for _, each in paths.values()])
    assert isinstance(stack, Stack)
    sources = read_frame_headers([(paths[each.instance.sop_instance_uid][0], each.reference) for each in stack.slices])
    heat = HeatMap(factories.PNEUMONIA, factories.heat(stack.grid.shape))
    findings = replace(factories.findings(stack.grid), heat_maps=(heat,))
    objects = {name: _object(tmp_path / f"{name}.dcm", sources, findings, form) for name, form in FORMS.items()}
    return Case(images, findings, objects)


def _object(path: Path, sources: list[Dataset], findings: Findings, form: Profile) -> Path:
    made_of = factories.material(sources, findings, profile=form)
    (drawn,) = heat_map.build(made_of, {})
    _write(path, drawn)
    heat_map_proof.prove([decode(path.read_bytes())], made_of, {})
    return path


def _write(path: Path, dataset: Dataset) -> Path:
    path.write_bytes(encode(dataset))
    return path


def test_dciodvfy_finds_no_fault(case: Case, outside_tool: Tool) -> None:
    dciodvfy = outside_tool("dciodvfy")
    assert {name: faults(dciodvfy, path) for name, path in case.objects.items()} == {name: [] for name in FORMS}


def test_dcentvfy_finds_patient_and_study_equal_to_those_of_the_images(case: Case, outside_tool: Tool) -> None:
    dcentvfy = outside_tool("dcentvfy")
    about_the_images_alone = set(faults(dcentvfy, *case.images))
    assert set(faults(dcentvfy, *case.images, *case.objects.values())) <= about_the_images_alone


def test_dcmqi_sees_every_value_where_the_heat_map_has_it(case: Case, outside_tool: Tool, tmp_path: Path) -> None:
    command = [outside_tool("segimage2itkimage"), "--inputDICOM", str(case.objects["plain"])]
    run = subprocess.run(
        [*command, "--outputDirectory", str(tmp_path), "-t", "nii"], capture_output=True, text=True, check=False
    )
    assert "ERROR" not in run.stdout + run.stderr
    seen = _seen_by_dcmqi(tmp_path / "1.nii.gz", case.findings)
    assert np.abs(seen - case.findings.heat_maps[0].values).max() <= HALF_A_STEP


def _seen_by_dcmqi(path: Path, findings: Findings) -> NDArray[np.float64]:
    """Values of a NIfTI (RAS mm) at the indices of the heat map where they lie in the patient."""
    image = nibabel.load(path)
    stored = np.asarray(image.dataobj)
    indices = np.argwhere(stored > 0)
    places = findings.grid.to_index(apply_affine(np.diag((-1.0, -1.0, 1.0, 1.0)) @ image.affine, indices))
    assert np.abs(places - np.rint(places)).max() < 0.01
    seen = np.zeros(findings.grid.shape)
    seen[tuple(np.rint(places).astype(np.intp).T)] = stored[stored > 0] / 255
    return seen
