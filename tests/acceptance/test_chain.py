"""A chain in a folder of the site: a phantom by storescu in, and what Orthanc has of it, or why it has nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from models.manifest import Manifest
from models.phantom import Phantom, abdomen
from models.registry import Package, find, read
from models.training.scores import dice
from service.commands.archive import Orthanc
from service.core.identity import is_uid
from service.derived import content_tree
from service.derived.encoding import encode
from service.derived.frames import frames
from service.derived.synthetic import Subject, ct_series
from tests.node import Node, all_ended, configure, rule, running, until
from tests.unit.models.packages import adapted, chain_written, pinned, put
from tests.validators import faults

CHAIN, TITLE = "liver_in_two_looks", "Liver in two looks"
TOLD = ["Liver", "Liver tumour"]


@dataclass(frozen=True, slots=True)
class Site:
    """A folder of packages: a second look of its own, and the chain of the phantom's model and that."""

    folder: Path
    steps: tuple[Manifest, Manifest]


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """What the PACS has of the study: images by UID, the segmentation, the report."""

    images: list[Dataset]
    segmentation: Dataset
    report: Dataset


def site(folder: Path) -> Site:
    first = find()["phantom_abdomen"]
    second = read(
        adapted(folder / "second_look", "phantom_abdomen", intake={}, name="second_look", title="Second Look")
    )
    steps = (pinned(first), pinned(second, within={"step": 1, "what": "Liver", "margin_mm": 25}, tell=TOLD))
    intake = {"modalities": ["CT"], "spacing_mm": {"minimum": 2, "maximum": 4}, "slices": {"minimum": 40}}
    put(folder / CHAIN, chain_written(*steps, name=CHAIN, title=TITLE, intake=intake))
    return Site(folder, (first.manifest, second.manifest))


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return abdomen(20_000, (60, 104, 112), (3.0, 3.0, 3.0))


@pytest.fixture(scope="module")
def two_looks(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return site(tmp_path_factory.mktemp("packages"))


def sent(node: Node, storescu: str, phantom: Phantom, folder: Path) -> list[Dataset]:
    """The phantom's images, sent, when their one job has ended."""
    images = ct_series(phantom.volume, Subject(seed=folder.name))
    (folder / "images").mkdir()
    for number, image in enumerate(images):
        (folder / "images" / f"{number:03d}.dcm").write_bytes(encode(image))
    assert node.storescu(storescu, "+sd", str(folder / "images")).returncode == 0
    until(lambda: all_ended(node, 1), "one ended job", seconds=400)
    return images


@pytest.fixture(scope="module")
def results(
    tmp_path_factory: pytest.TempPathFactory, pacs: Orthanc, storescu: str, phantom: Phantom, two_looks: Site
) -> Results:
    folder = tmp_path_factory.mktemp("node")
    packages = {"packages": [str(two_looks.folder)]}
    with running(configure(folder, pacs.port, [rule(CHAIN, modality="CT")], inferring=packages)) as node:
        images = sent(node, storescu, phantom, folder)
        assert [(job["state"], job["reason"]) for job in node.jobs()] == [("DELIVERED", "")]
    made = {each.Modality: each for each in pacs.datasets() if each.StudyInstanceUID == images[0].StudyInstanceUID}
    assert set(made) == {"SEG", "SR"}
    return Results(images, made["SEG"], made["SR"])


def test_the_liver_is_where_it_truly_is(results: Results, phantom: Phantom) -> None:
    labels = {segment.SegmentNumber: segment.SegmentLabel for segment in results.segmentation.SegmentSequence}
    assert {str(label).rstrip(" 0123456789") for label in labels.values()} <= set(TOLD)
    grid = phantom.volume.grid
    found = np.zeros(grid.shape, bool)
    slice_of = {str(image.SOPInstanceUID): index for index, image in enumerate(results.images)}
    for frame in frames(results.segmentation):
        index = slice_of[frame.source.sop_instance_uid]
        assert np.abs(frame.position_mm - grid.affine[:3, :] @ (index, 0, 0, 1)).max() < 1e-3
        if labels[frame.segment_number] == "Liver":
            found[index] |= frame.pixels
    assert dice(found, np.isin(phantom.label_map.labels, (1, 2))) > 0.9


def test_the_report_names_the_chain_and_each_of_its_steps(results: Results, two_looks: Site) -> None:
    _, chain, first, second, _ = results.report.ContributingEquipmentSequence
    assert results.report.SeriesDescription == f"AI {TITLE} 1.0.0"
    assert f"package {CHAIN} 1.0.0; weights sha256 " in chain.ContributionDescription
    for number, (item, step) in enumerate(zip((first, second), two_looks.steps, strict=True), start=1):
        assert (item.ManufacturerModelName, item.SoftwareVersions) == (step.title, step.version)
        assert item.ContributionDescription.startswith(
            f"step {number} of 2 of {CHAIN} 1.0.0: package {step.name} {step.version}; "
            f"weights sha256 {step.weights_sha256}; "
        )
        assert is_uid(str(item.DeviceUID))
    (liver, *_) = content_tree.groups(results.report)
    assert liver.numbers[0].value > 500


def test_other_makers_validators_find_no_fault(
    results: Results, outside_tool: Callable[[str], str], tmp_path: Path
) -> None:
    for name, dataset in (("seg", results.segmentation), ("sr", results.report)):
        dataset.save_as(tmp_path / name)
        assert faults(outside_tool("dciodvfy"), tmp_path / name) == []
    assert faults(outside_tool("dsrdump"), tmp_path / "sr") == []


def test_a_step_whose_weights_were_changed_answers_for_nobody(
    tmp_path: Path, pacs: Orthanc, storescu: str, phantom: Phantom
) -> None:
    tampered = site(tmp_path / "packages")
    weights = Package(tampered.folder / "second_look", tampered.steps[1]).weights
    weights.write_bytes(weights.read_bytes() + b"\0")
    before = len(pacs.datasets())
    packages = {"packages": [str(tampered.folder)]}
    with running(configure(tmp_path / "node", pacs.port, [rule(CHAIN, modality="CT")], inferring=packages)) as node:
        sent(node, storescu, phantom, tmp_path / "node")
        (job,) = node.jobs()
    assert job["state"] == "FAILED"
    assert "second_look/weights.safetensors has SHA-256" in str(job["reason"])
    assert len(pacs.datasets()) == before
