"""A study through a whole node, to a DICOMweb server and into a folder, as others read what came there."""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
import yaml
from numpy.typing import NDArray
from pydicom import Dataset, dcmread

from models.phantom import abdomen
from service.commands.archive import Orthanc, free_port
from service.derived.encoding import encode
from service.derived.frames import frames
from service.derived.synthetic import ct_series
from service.edge.part10 import read_reference
from service.edge.storage_scu import store
from service.roles.reaching import carrier_for
from service.settings import Settings, load
from tests.node import all_ended, configure, run_command, running, until

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """A node that has done its one job, and where it was told to put the results."""

    settings: Settings
    doctor: str
    images: list[Dataset]
    job: str
    share: Path
    pacs: Orthanc

    def beside(self, name: str) -> Path:
        """A file that lies in the job's folder of the share."""
        return self.share / self.job / name

    def in_share(self, modality: str) -> list[Dataset]:
        """The objects of a modality in the folder."""
        found = [dcmread(path) for path in sorted(self.share.rglob("*.dcm"))]
        return [dataset for dataset in found if dataset.Modality == modality]


@pytest.fixture(scope="module")
def done(pacs: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("node")
    (folder / "share").mkdir()
    images = ct_series(abdomen(30007, (48, 88, 92), (4.0, 3.9, 3.8)).volume)
    files = []
    for number, image in enumerate(images):
        files.append(folder / f"{number}.dcm")
        files[-1].write_bytes(encode(image))
    configure(folder / "site", free_port(), [])
    destinations = [
        {"name": "web", "kind": "dicomweb", "url": f"http://127.0.0.1:{pacs.http_port}/dicom-web/"},
        {"name": "share", "kind": "folder", "path": "../share", "nifti": True},
    ]
    to_both = {"name": "abdomen", "model": "phantom_abdomen", "destinations": ["web", "share"], "when": {}}
    for name, content in {"destinations": destinations, "rules": [to_both]}.items():
        (folder / "site" / f"{name}.yaml").write_text(yaml.safe_dump({name: content}))
    settings = load(folder / "site")
    doctor = run_command("doctor", "--config", str(settings.folder)).stdout
    with running(settings) as node:
        assert [status for _, status in store(node.remote, files)] == [0] * len(files)
        until(lambda: all_ended(node, 1), "the job has ended", seconds=240)
        (job,) = node.jobs()
    assert job["state"] == "DELIVERED", job["reason"]
    return Done(settings, doctor, images, job["job_id"], folder / "share", pacs)


def test_doctor_tells_of_both_destinations(done: Done) -> None:
    lines = [line for line in done.doctor.splitlines() if "destination " in line]
    assert lines == [
        f"ok    destination web: http://127.0.0.1:{done.pacs.http_port}/dicom-web answers QIDO-RS",
        f"ok    destination share: folder {done.settings.folder}/../share with NIfTI can be written",
    ]


def test_qido_finds_segmentation_and_report(done: Done) -> None:
    study = done.images[0].StudyInstanceUID
    found = done.pacs.ask(f"/dicom-web/studies/{study}/instances")
    classes = {item["00080016"]["Value"][0] for item in found}
    assert classes == {"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.88.34"}


def test_each_destination_holds_all_that_was_sent(done: Done) -> None:
    sent = sorted((done.settings.spool / "outbox" / done.job).glob("*.dcm"))
    assert len(sent) == 2
    for destination in done.settings.destinations:
        carrier = carrier_for(done.settings, destination)
        assert carrier.held([read_reference(path) for path in sent]) == {path.stem for path in sent}


Places = dict[tuple[float, ...], int]  # centre of a voxel in LPS mm, rounded -> its value


def placed(centres_lps: NDArray[np.float64], values: Iterable[int]) -> Places:
    return dict(zip(map(tuple, np.round(centres_lps, 2) + 0.0), map(int, values), strict=True))


@pytest.fixture(scope="module")
def expected(done: Done) -> dict[str, Places]:
    """By file, the value at each place of a segment: places by the Segmentation alone, values by findings.json."""
    (segmentation,) = done.in_share("SEG")
    regions = {region["name"]: region for region in json.loads(done.beside("findings.json").read_text())["regions"]}
    names = {int(item.SegmentNumber): str(item.SegmentLabel) for item in segmentation.SegmentSequence}
    drawn: dict[str, Places] = defaultdict(dict)
    for frame in frames(segmentation):
        region = regions[names[frame.segment_number]]
        rows, columns = np.nonzero(frame.pixels)
        along_row, down_column = frame.orientation[:3], frame.orientation[3:]
        steps = np.outer(columns * frame.spacing_mm[1], along_row) + np.outer(rows * frame.spacing_mm[0], down_column)
        drawn[region["file"]] |= placed(frame.position_mm + steps, [region["value"]] * len(rows))
    return drawn


def test_the_label_maps_are_those_of_the_segmentation(done: Done, expected: dict[str, Places]) -> None:
    assert sorted(expected) == [path.name for path in sorted(done.beside("").glob("*.nii.gz"))]
    assert min(map(len, expected.values())) > 20


def test_nibabel_reads_the_segmentation_voxel_for_voxel(done: Done, expected: dict[str, Places]) -> None:
    for name, places in expected.items():
        image = nibabel.load(done.beside(name))
        array = np.asarray(image.dataobj)
        to_lps = RAS_TO_LPS @ image.affine
        assert placed(np.argwhere(array) @ to_lps[:3, :3].T + to_lps[:3, 3], array[array > 0]) == places


def test_simpleitk_reads_the_segmentation_voxel_for_voxel(done: Done, expected: dict[str, Places]) -> None:
    for name, places in expected.items():
        image = SimpleITK.ReadImage(str(done.beside(name)))
        array = SimpleITK.GetArrayFromImage(image)  # (slice, row, column); its world is LPS
        steps = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
        centres = np.argwhere(array)[:, ::-1] @ steps.T + np.array(image.GetOrigin())
        assert placed(centres, array[array > 0]) == places


def test_the_log_of_the_node_names_no_patient(done: Done) -> None:
    log = (done.settings.folder / "node.log").read_text()
    assert str(done.images[0].PatientID) not in log
    assert "HTTP Request" not in log
