"""A model trained with nnU-Net's own classes, adopted by the command and run by a whole node, beside nnU-Net itself."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform
from numpy.typing import NDArray
from pydicom import Dataset

from models.inference import Predictor, load
from models.nifti import write_labels, write_volume
from models.registry import Package, read
from models.training.evaluation import read_evaluation
from models.training.segmented import SegmentationEvaluation
from models.volume import Grid, LabelMap, Volume
from service.commands.archive import standing_in
from service.derived import synthetic
from tests import factories
from tests.node import all_ended, configure, rule, run_command, running, until

MAKER = Path(__file__).parents[1] / "nnunet" / "make_model.py"
STRUCTURE = {"value": "91723000", "scheme": "SCT", "meaning": "Anatomical Structure"}
LIVER = {"value": "10200004", "scheme": "SCT", "meaning": "Liver"}
NAMES = ("Right", "Left front", "Left upper", "Left lower")
SPACING_MM = (2.6, 1.3, 1.7)
SHAPE = (22, 44, 31)  # with these spacings no side is halfway between two of nnU-Net's grid
LEAST_DICE = 0.5  # between what this small model reaches, and what it reaches when an axis is mirrored
ORIENTATIONS = ("axial", "axial reversed", "sagittal", "coronal", "oblique")
RADII_MM = np.array([14.0, 11.0, 12.0])  # to Superior, Anterior, Right
SAID: dict[str, Any] = {
    "intake": {"modalities": ["CT"], "slices": {"minimum": 10}},
    "labels": [
        {"value": value, "name": name, "category": STRUCTURE, "type": LIVER, "color_rgb": [50 * value, 90, 90]}
        for value, name in enumerate(NAMES, start=1)
    ],
    "licences": {"training_data": "Apache-2.0", "weights": "Apache-2.0"},
}


@pytest.fixture(scope="module")
def nnunet_python() -> Path:
    """The Python of nnU-Net's environment, which no machine of CI has."""
    named = os.environ.get("ISOCENTER_NNUNET_PYTHON")
    if not named:
        pytest.skip(
            "no environment of nnU-Net is named by ISOCENTER_NNUNET_PYTHON: docs/nnunet.md says how to make one"
        )
    return Path(named)


@pytest.fixture(scope="module")
def model(nnunet_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder that nnU-Net has trained, or the one that ISOCENTER_NNUNET_MODEL keeps from an earlier run."""
    kept = os.environ.get("ISOCENTER_NNUNET_MODEL")
    into = Path(kept) if kept else tmp_path_factory.mktemp("trained")
    if not list(into.glob("*/fold_0/checkpoint_final.pth")):
        subprocess.run([nnunet_python, str(MAKER), str(into)], check=True, timeout=900)
    return next(into.iterdir())


@pytest.fixture(scope="module")
def package(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Package:
    """The model, adopted by the command."""
    folder = tmp_path_factory.mktemp("adopted")
    words = folder / "said.yaml"
    words.write_text(json.dumps(SAID), encoding="utf-8")
    into = ("--into", str(folder / "packages"), "--name", "halves", "--labels", str(words))
    run = run_command("models", "adopt", str(model), *into)
    assert run.returncode == 0, run.stderr
    package = read(folder / "packages" / "halves")
    assert package.manifest.weights_sha256 in run.stdout
    return package


@pytest.fixture(scope="module")
def inferring(package: Package, nnunet_python: Path) -> dict[str, Any]:
    """What a site writes to allow it."""
    nnunet = {"python": str(nnunet_python), "allowed": [package.manifest.weights_sha256], "memory_gib": 16}
    return {"packages": [str(package.folder.parent)], "device": "cpu", "nnunet": nnunet}


@pytest.fixture(scope="module")
def predictor(package: Package, inferring: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """The model, warm, as the settings of the site have it."""
    settings = configure(tmp_path_factory.mktemp("config"), 1, [], inferring=inferring)
    return load(package, "cpu", settings.environment)


@pytest.fixture(scope="module")
def expected(
    nnunet_python: Path, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, NDArray[np.uint8]]:
    """What nnU-Net's own command says of each volume as NIfTI in RAS, on the volume's grid by nibabel."""
    folder = tmp_path_factory.mktemp("command")
    (folder / "in").mkdir()
    ways_back = {}
    for number, orientation in enumerate(ORIENTATIONS):
        write_volume(folder / "whole.nii.gz", shown(orientation)[0])
        whole = nibabel.load(folder / "whole.nii.gz")
        nibabel.save(nibabel.as_closest_canonical(whole), folder / "in" / f"case{number}_0000.nii.gz")
        ways_back[orientation] = ornt_transform(axcodes2ornt("RAS"), io_orientation(whole.affine))
    _predict(nnunet_python, model, folder)
    answers = (np.asarray(nibabel.load(path).dataobj) for path in sorted((folder / "out").glob("case*.nii.gz")))
    return {
        orientation: apply_orientation(answer, back).astype(np.uint8).transpose(2, 1, 0)
        for (orientation, back), answer in zip(ways_back.items(), answers, strict=True)
    }


def _predict(python: Path, model: Path, folder: Path) -> None:
    command = [str(python.parent / "nnUNetv2_predict_from_modelfolder"), "-m", str(model), "-f", "0"]
    places = ["-i", str(folder / "in"), "-o", str(folder / "out"), "-device", "cpu", "-npp", "1", "-nps", "1"]
    variables = {f"nnUNet_{name}": str(folder / name) for name in ("raw", "preprocessed", "results")}
    subprocess.run([*command, *places], env=os.environ | variables, check=True, timeout=600)


def shown(orientation: str) -> tuple[Volume, NDArray[np.uint8]]:
    """An ellipsoid in noise on a grid that is neither cubic nor of one spacing, and what is true of it in the body."""
    axes = factories.ORIENTATIONS[orientation]
    affine = np.eye(4)
    affine[:3, :3] = axes * np.array(SPACING_MM)
    affine[:3, 3] = (-20.0, 15.0, 40.0)
    grid = Grid(SHAPE, affine)
    places = grid.to_world(np.argwhere(np.ones(SHAPE)).astype(np.float64))
    middle = grid.to_world(np.array([[11.0, 20.0, 16.0]]))
    toward = axes[:, [int(np.argmax(np.abs(axes[world]))) for world in range(3)]]
    toward = toward * np.sign(np.diag(toward))  # columns: the axes nearest to Left, Posterior, Superior
    left, behind, upper = ((places - middle) @ toward).T
    upper, front, right = (np.stack([upper, -behind, -left]) / RADII_MM[:, None]).reshape(3, *SHAPE)
    inside = upper**2 + front**2 + right**2 <= 1
    truth = np.where(right >= 0, 1, np.where(front >= 0, 2, np.where(upper >= 0, 3, 4))) * inside
    values = inside * 100 + np.random.default_rng(7).normal(0, 15, SHAPE)
    return Volume(grid, np.rint(values).astype(np.float32)), truth.astype(np.uint8)


def dice(found: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """The mean over the labels."""
    pairs = [(found == value, truth == value) for value in range(1, len(NAMES) + 1)]
    return float(np.mean([2 * np.sum(one & other) / (np.sum(one) + np.sum(other)) for one, other in pairs]))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_labels_are_those_of_nnunets_own_command_voxel_for_voxel(
    predictor: Predictor, expected: dict[str, NDArray[np.uint8]], orientation: str
) -> None:
    volume, truth = shown(orientation)
    found = predictor(volume).layers[0].labels
    assert np.array_equal(found, expected[orientation])
    assert dice(found, truth) > LEAST_DICE


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_model_would_be_wrong_if_an_axis_were_mirrored(predictor: Predictor, axis: int) -> None:
    volume, truth = shown("axial")
    mirrored = Volume(volume.grid, np.ascontiguousarray(np.flip(volume.values, axis)))
    assert dice(np.flip(predictor(mirrored).layers[0].labels, axis), truth) < LEAST_DICE


def test_verify_says_what_is_missing_and_then_that_it_runs(
    package: Package, inferring: dict[str, Any], tmp_path: Path
) -> None:
    configure(tmp_path, 1, [])
    alone = run_command("models", "verify", str(package.folder), "--config", str(tmp_path))
    assert "name it by inferring.nnunet in node.yaml" in alone.stdout
    configure(tmp_path, 1, [], inferring=inferring)
    verified = run_command("models", "verify", str(package.folder), "--config", str(tmp_path))
    assert (verified.returncode, verified.stdout.count("ok  ")) == (0, 6), verified.stdout


def test_it_is_evaluated_in_its_environment(package: Package, inferring: dict[str, Any], tmp_path: Path) -> None:
    configure(tmp_path, 1, [], inferring=inferring)
    images, labels = tmp_path / "data" / "images", tmp_path / "data" / "labels"
    for folder in (images, labels):
        folder.mkdir(parents=True)
    for orientation in ("axial", "oblique"):
        volume, truth = shown(orientation)
        write_volume(images / f"{orientation}.nii.gz", volume)
        write_labels(labels / f"{orientation}.nii.gz", LabelMap(volume.grid, truth))
    words = ("--data", str(tmp_path / "data"), "--config", str(tmp_path))
    run = run_command("evaluate", str(package.folder), *words)
    assert run.returncode == 0, run.stderr
    written = read_evaluation(package.folder)
    assert isinstance(written, SegmentationEvaluation)
    assert [case.name for case in written.cases] == ["axial", "oblique"]
    assert min(case.mean_dice for case in written.cases) > LEAST_DICE


@pytest.mark.timeout(900)
def test_a_node_answers_a_study_with_the_segmentation_of_nnunets_own_command(
    inferring: dict[str, Any],
    expected: dict[str, NDArray[np.uint8]],
    tmp_path: Path,
    outside_tool: Callable[[str], str],
) -> None:
    volume, _ = shown("oblique")
    paths = [str(tmp_path / f"{number}.dcm") for number in range(SHAPE[0])]
    for path, image in zip(paths, synthetic.ct_series(volume, synthetic.Subject(seed="nnunet")), strict=True):
        image.save_as(path, enforce_file_format=True)
    with standing_in(tmp_path / "archive") as archive:
        settings = configure(tmp_path / "config", archive.port, [rule("halves", modality="CT")], inferring=inferring)
        with running(settings) as node:
            assert node.storescu(outside_tool("storescu"), *paths).returncode == 0
            until(lambda: all_ended(node, 1), "the job ends", seconds=400)
            assert [job["state"] for job in node.jobs()] == ["DELIVERED"], node.jobs()
        (segmentation,) = (each for each in archive.datasets() if each.Modality == "SEG")
    assert np.array_equal(drawn(segmentation, volume.grid), expected["oblique"])


def drawn(segmentation: Dataset, grid: Grid) -> NDArray[np.uint8]:
    """The segments of a Segmentation on a grid, frame by frame at their own positions."""
    labels = np.zeros(grid.shape, dtype=np.uint8)
    groups = segmentation.PerFrameFunctionalGroupsSequence
    for group, frame in zip(groups, segmentation.pixel_array, strict=True):
        position = np.array([group.PlanePositionSequence[0].ImagePositionPatient], dtype=np.float64)
        number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        labels[round(float(grid.to_index(position)[0, 0]))][frame > 0] = number
    return labels
