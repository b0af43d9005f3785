"""Two models of others, taken over by commands alone: what a PACS gets of them is what their makers' own code says."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.inferers import SlidingWindowInferer
from numpy.typing import NDArray
from pydicom import Dataset

from models.nifti import read_volume
from models.preprocessing import to_network, to_source
from models.registry import read, segmentation
from models.volume import Grid, Volume
from service.commands.archive import Orthanc
from service.derived.encoding import encode
from service.derived.frames import frames
from service.derived.synthetic import Subject, ct_series, mr_series
from tests import factories
from tests.integration.test_adopt_command import SIDE, adopted, answered, foreign
from tests.node import all_ended, configure, rule, run_command, running, until
from tests.unit.models.adoption.foreign import said
from tests.unit.models.adoption.test_monai_bundle import WINDOW, bundle, network

__all__ = ["foreign"]


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """What a model was asked about, as images, and its makers' own answer: labels (slice, row, column)."""

    images: list[Dataset]
    expected: NDArray[np.uint8]


@pytest.fixture
def brain(foreign: Path, tmp_path: Path) -> Asked:
    """A block of a real T1 head, for Brainchop's MeshNet, adopted from its state dict."""
    adopted(foreign, tmp_path, inference={"patch": [SIDE] * 3, "overlap": 0}, intake={"modalities": ["MR"]})
    whole = read_volume(foreign / "t1_crop.nii.gz")
    values = np.ascontiguousarray(whole.values[96 : 96 + SIDE, 98 : 98 + SIDE, 100 : 100 + SIDE])
    lowest, highest = np.percentile(values, (2, 98))
    images = mr_series(Volume(Grid(values.shape, whole.grid.affine), values), Subject(seed="brain"))
    return Asked(images, answered(foreign, np.clip((values - lowest) / (highest - lowest), 0, 1).astype(np.float32)))


@pytest.fixture
def liver(tmp_path: Path) -> Asked:
    """Noise, for a U-Net in MONAI's bundle format, adopted from its folder."""
    labels = said(tmp_path, "preprocessing", "inference", "intake")
    into = ("--into", str(tmp_path / "site"), "--name", "liver", "--labels", str(labels))
    run = run_command("models", "adopt", str(bundle(tmp_path)), *into)
    assert run.returncode == 0, run.stderr
    noise = factories.volume(factories.grid("axial", shape=(20, 45, 50), spacing_mm=(3.0, 2.0, 2.0)))
    volume = Volume(noise.grid, np.rint(noise.values))
    prepared = to_network(volume, segmentation(read(tmp_path / "site" / "liver")).preprocessing)
    with torch.inference_mode():
        logits = SlidingWindowInferer(**WINDOW)(torch.from_numpy(prepared.values)[None, None], network())
    return Asked(ct_series(volume, Subject(seed="liver")), to_source(logits.softmax(1)[0].numpy(), prepared).labels)


def test_the_pacs_gets_of_models_of_others_what_their_makers_code_says(
    brain: Asked, liver: Asked, pacs: Orthanc, storescu: str, tmp_path: Path
) -> None:
    (tmp_path / "images").mkdir()
    for image in (*brain.images, *liver.images):
        (tmp_path / "images" / f"{image.SOPInstanceUID}.dcm").write_bytes(encode(image))
    rules = [rule("gwm", modality="MR"), rule("liver", modality="CT")]
    site = {"packages": [str(tmp_path / "site")]}
    with running(configure(tmp_path / "node", pacs.port, rules, inferring=site)) as node:
        assert node.storescu(storescu, "+sd", str(tmp_path / "images")).returncode == 0
        until(lambda: all_ended(node, 2), "two ended jobs", seconds=200)
        assert {job["state"] for job in node.jobs()} == {"DELIVERED"}, [job["reason"] for job in node.jobs()]
    made = pacs.datasets()
    for asked in (brain, liver):
        of_study = [each for each in made if each.StudyInstanceUID == asked.images[0].StudyInstanceUID]
        assert sorted(each.Modality for each in of_study) == ["SEG", "SR"]
        (segmentation_,) = (each for each in of_study if each.Modality == "SEG")
        found = labels_in(segmentation_, asked)
        assert len(np.unique(asked.expected)) > 1
        assert np.mean(found == asked.expected) > 0.999  # ties, and MR values as 12 bits


def labels_in(segmentation_: Dataset, asked: Asked) -> NDArray[np.uint8]:
    place = {str(image.SOPInstanceUID): index for index, image in enumerate(asked.images)}
    found = np.zeros_like(asked.expected)
    for frame in frames(segmentation_):
        found[place[frame.source.sop_instance_uid]][frame.pixels] = frame.segment_number
    return found
