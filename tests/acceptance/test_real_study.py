"""A real study by storescu in, a SEG and a report in Orthanc out, read by other makers' programs."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from pydicom import Dataset, dcmread

from models.inference import load as load_model
from models.nifti import read_volume
from models.registry import find
from models.volume import LabelMap
from service.commands.archive import Orthanc
from service.core.stacking import split
from service.derived.frames import frames
from service.edge.part10 import read_instance
from service.edge.storage_scu import store
from tests.node import Node, all_ended, configure, rule, running, until
from tests.validators import faults

CROP = "11_HCropVolume"
SEG, SR = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.88.34"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, pacs: Orthanc, storescu: str, real_study: Path) -> Iterator[Node]:
    """A node that has done all its work on the real study, which the PACS holds too."""
    folder = tmp_path_factory.mktemp("node")
    for file in sorted(path for path in real_study.rglob("*") if path.is_file()):
        pacs.post("/instances", file.read_bytes())
    with running(configure(folder, pacs.port, [rule("hippocampus", modality="MR")])) as node:
        assert node.storescu(storescu, "+sd", "+r", str(real_study)).returncode == 0
        until(lambda: len(node.series()) == 6 and all_ended(node, 1), "six series and one ended job")
        yield node


@pytest.fixture(scope="module")
def sources(real_study: Path) -> dict[str, Dataset]:
    return {ds.SOPInstanceUID: ds for ds in map(dcmread, sorted((real_study / CROP).iterdir()))}


@pytest.fixture(scope="module")
def results(node: Node, pacs: Orthanc) -> dict[str, Dataset]:
    """SOP Class UID -> dataset of what the node sent."""
    assert node.jobs()[0]["state"] == "DELIVERED"
    return {ds.SOPClassUID: ds for ds in pacs.datasets() if ds.get("Manufacturer") == "Isocenter"}


@pytest.fixture(scope="module")
def files(results: dict[str, Dataset], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("results")
    for uid, dataset in results.items():
        dataset.save_as(folder / f"{uid}.dcm")
    return {uid: folder / f"{uid}.dcm" for uid in results}


def test_one_job_on_the_crop_and_a_reason_for_each_of_the_other_five(node: Node, sources: dict[str, Dataset]) -> None:
    (job,) = node.jobs()
    assert job["series_instance_uid"] == next(iter(sources.values())).SeriesInstanceUID
    assert (job["model"], job["state"]) == ("hippocampus", "DELIVERED")
    others = [row for row in node.series() if row["series"] != job["series_instance_uid"]]
    assert len(others) == 5
    for row in others:
        assert "the model was validated on" in row["decision"]


def test_the_pacs_holds_one_seg_and_one_report_in_the_same_study(
    results: dict[str, Dataset], pacs: Orthanc, sources: dict[str, Dataset]
) -> None:
    assert set(results) == {SEG, SR}
    assert len(pacs.ask("/instances")) == 150 + 2
    assert len(pacs.ask("/studies")) == 1
    source = next(iter(sources.values()))
    for result in results.values():
        assert (result.StudyInstanceUID, result.PatientID) == (source.StudyInstanceUID, source.PatientID)


def test_every_frame_lies_on_its_source_frame(results: dict[str, Dataset], sources: dict[str, Dataset]) -> None:
    seen = list(frames(results[SEG]))
    assert seen
    for frame in seen:
        source = sources[frame.source.sop_instance_uid]
        assert np.abs(frame.position_mm - np.array(source.ImagePositionPatient, float)).max() < 1e-3
        assert np.abs(frame.orientation - np.array(source.ImageOrientationPatient, float)).max() < 1e-6
        assert np.abs(frame.spacing_mm - np.array(source.PixelSpacing, float)).max() < 1e-6


def test_volumes_in_the_report_are_voxels_times_voxel_volume(
    results: dict[str, Dataset], files: dict[str, Path], outside_tool: Callable[[str], str], tmp_path: Path
) -> None:
    counts: dict[int, int] = {}
    for frame in frames(results[SEG]):
        counts[frame.segment_number] = counts.get(frame.segment_number, 0) + int(frame.pixels.sum())
    measured = _dcmqi_report(files[SR], outside_tool, tmp_path)
    assert len(measured) == len(counts) == 2
    for group in measured:
        (item,) = group["measurementItems"]
        assert item["units"]["CodeValue"] in {"ml", "cm3"}
        assert float(item["value"]) == pytest.approx(counts[group["ReferencedSegment"]] * 1e-3, rel=1e-5)


def _dcmqi_report(report: Path, outside_tool: Callable[[str], str], tmp_path: Path) -> list[dict[str, Any]]:
    target = tmp_path / "report.json"
    line = [outside_tool("tid1500reader"), "--inputDICOM", str(report), "--outputMetadata", str(target)]
    subprocess.run(line, check=True, capture_output=True)
    return list(json.loads(target.read_text())["Measurements"])


def test_other_makers_validators_find_no_fault(
    files: dict[str, Path], real_study: Path, outside_tool: Callable[[str], str]
) -> None:
    found = {
        "dciodvfy SEG": faults(outside_tool("dciodvfy"), files[SEG]),
        "dciodvfy SR": faults(outside_tool("dciodvfy"), files[SR]),
        "dsrdump SR": faults(outside_tool("dsrdump"), files[SR]),
        "dcentvfy": faults(outside_tool("dcentvfy"), *sorted((real_study / CROP).iterdir()), *files.values()),
    }
    assert found == {program: [] for program in found}


def test_dcmqi_reads_the_same_voxels_at_the_same_places(
    results: dict[str, Dataset], files: dict[str, Path], outside_tool: Callable[[str], str], tmp_path: Path
) -> None:
    line = [outside_tool("segimage2itkimage"), "--inputDICOM", str(files[SEG])]
    subprocess.run([*line, "--outputDirectory", str(tmp_path), "-t", "nii"], check=True, capture_output=True)
    ours: dict[int, set[tuple[float, ...]]] = {1: set(), 2: set()}
    for frame in frames(results[SEG]):
        for row, column in np.argwhere(frame.pixels):
            place = frame.position_mm + frame.orientation[3:] * row + frame.orientation[:3] * column
            ours[frame.segment_number].add(tuple(np.round(place, 2)))
    for number, places in ours.items():
        image = nibabel.load(tmp_path / f"{number}.nii.gz")
        world = nibabel.affines.apply_affine(image.affine, np.argwhere(np.asarray(image.dataobj) > 0)) * (-1, -1, 1)
        assert {tuple(point) for point in np.round(world, 2)} == places


def test_the_same_voxels_as_nifti_give_the_same_labels_in_the_same_places(
    results: dict[str, Dataset], real_study: Path, tmp_path: Path
) -> None:
    (stack,) = split([read_instance(path) for path in (real_study / CROP).iterdir()])
    pixels = {ds.SOPInstanceUID: ds.pixel_array for ds in map(dcmread, (real_study / CROP).iterdir())}
    array = np.stack([pixels[instance.sop_instance_uid] for instance in stack.instances])
    flip = np.diag([-1.0, -1.0, 1.0, 1.0]) @ stack.grid.affine[:, [2, 1, 0, 3]]  # type: ignore[union-attr]
    ras = nibabel.Nifti1Image(array.transpose(2, 1, 0), flip)
    nibabel.save(nibabel.as_closest_canonical(ras), tmp_path / "crop.nii.gz")
    predicted = load_model(find()["hippocampus"], "cpu")(read_volume(tmp_path / "crop.nii.gz")).layers[0]
    assert nibabel.aff2axcodes(nibabel.load(tmp_path / "crop.nii.gz").affine) == ("R", "A", "S")
    for number in (1, 2):
        assert _places(predicted, number) == _segment_places(results[SEG], number)


def _places(label_map: LabelMap, label: int) -> set[tuple[float, ...]]:
    world = label_map.grid.to_world(np.argwhere(label_map.labels == label).astype(float))
    return {tuple(point) for point in np.round(world, 2)}


def _segment_places(segmentation: Dataset, number: int) -> set[tuple[float, ...]]:
    return {
        tuple(np.round(frame.position_mm + frame.orientation[3:] * row + frame.orientation[:3] * column, 2))
        for frame in frames(segmentation)
        if frame.segment_number == number
        for row, column in np.argwhere(frame.pixels)
    }


def test_no_patient_is_named_in_the_log(node: Node, sources: dict[str, Dataset]) -> None:
    source = next(iter(sources.values()))
    log = node.log.read_text()
    assert node.events()
    for secret in (str(source.PatientName), "Dumbledore", str(source.PatientID)):
        assert secret not in log


def test_the_same_study_again_is_no_new_work(node: Node, pacs: Orthanc, storescu: str, real_study: Path) -> None:
    def associations() -> int:
        return sum(event["event"] == "association ended" for event in node.events())

    before = len(node.jobs()), len(pacs.ask("/instances"))
    ended = associations()
    assert node.storescu(storescu, "+sd", "+r", str(real_study)).returncode == 0
    until(lambda: associations() == ended + 1, "the second association ended")
    time.sleep(2)  # longer than a gapless Series stays open
    assert (len(node.jobs()), len(pacs.ask("/instances"))) == before


def test_results_sent_back_to_the_node_are_never_analysed(node: Node, files: dict[str, Path]) -> None:
    assert {status for _, status in store(node.remote, list(files.values()))} == {0x0000}
    until(lambda: len(node.series()) == 8, "the results are listed as series")
    listed = [row for row in node.series() if "made by this node" in row["geometry"]]
    assert len(listed) == 2
    assert len(node.jobs()) == 1
