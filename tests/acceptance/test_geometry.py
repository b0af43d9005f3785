"""Phantoms in every orientation, order and spacing through the whole node: right in mm, or not at all."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from scipy.ndimage import map_coordinates

from models.phantom import Phantom, abdomen
from models.volume import Grid, LabelMap, Volume
from service.commands.archive import Orthanc
from service.derived.encoding import encode
from service.derived.frames import frames
from service.derived.synthetic import Subject, ct_series, mr_series
from service.edge.storage_scu import store
from tests.enhanced import enhanced
from tests.factories import ORIENTATIONS
from tests.node import Node, all_ended, configure, rule, running, until
from tests.unit.models.packages import adapted

SHAPE, SPACING_MM = (64, 104, 112), (3.0, 3.0, 3.0)
LIVER = (1, 2)  # a liver is drawn with its tumours
CASES = {
    "axial": ("axial", (3.0, 3.0, 3.0)),
    "slices from the head down": ("axial reversed", (3.0, 3.0, 3.0)),
    "sagittal": ("sagittal", (4.0, 3.0, 3.0)),
    "coronal": ("coronal", (4.0, 3.0, 3.0)),
    "oblique": ("oblique", (3.0, 3.0, 3.0)),
    "pixels that are not square": ("axial", (4.0, 2.0, 4.0)),
}


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return abdomen(11, SHAPE, SPACING_MM)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, pacs: Orthanc) -> Iterator[Node]:
    rules = [rule("phantom_abdomen", modality="CT")]
    with running(configure(tmp_path_factory.mktemp("node"), pacs.port, rules)) as node:
        yield node


def seen_on(
    phantom: Phantom, orientation: str, spacing_mm: tuple[float, float, float], tilt_degrees: float = 0.0
) -> Phantom:
    """The same anatomy as another scan would have it: on a grid of that orientation and spacing, same centre."""
    source = phantom.volume.grid
    direction = ORIENTATIONS[orientation].copy()
    nearest = np.abs(direction.T @ source.direction).argmax(axis=1)
    extent = (source.spacing_mm * source.shape)[nearest]
    shape = np.ceil(extent / spacing_mm).astype(int)
    direction[:, 0] += np.tan(np.radians(tilt_degrees)) * direction[:, 1]
    affine = np.eye(4)
    affine[:3, :3] = direction * spacing_mm
    centre = source.to_world((np.array([source.shape]) - 1) / 2)[0]
    affine[:3, 3] = centre - affine[:3, :3] @ ((shape - 1) / 2)
    grid = Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)
    indices = np.indices(grid.shape).reshape(3, -1).T.astype(float)
    places = source.to_index(grid.to_world(indices)).T
    values = map_coordinates(phantom.volume.values, places, order=1, cval=-1000.0).reshape(grid.shape)
    labels = map_coordinates(phantom.label_map.labels, places, order=0).reshape(grid.shape)
    return Phantom(Volume(grid, values.astype(np.float32)), LabelMap(grid, labels))


def send(node: Node, images: list[Dataset], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, image in enumerate(images):
        paths.append(folder / f"{number:04d}.dcm")
        paths[-1].write_bytes(encode(image))
    assert {status for _, status in store(node.remote, paths)} == {0x0000}


def segmentation_of(pacs: Orthanc, series_instance_uid: str) -> Dataset:
    (found,) = [
        dataset
        for dataset in pacs.datasets()
        if dataset.Modality == "SEG" and dataset.ReferencedSeriesSequence[0].SeriesInstanceUID == series_instance_uid
    ]
    return found


def liver_mask(segmentation: Dataset, grid: Grid) -> np.ndarray:
    """The liver as the PACS has it, put on a grid by the position in mm of each frame's pixels."""
    mask = np.zeros(grid.shape, dtype=bool)
    for frame in frames(segmentation):
        if segmentation.SegmentSequence[frame.segment_number - 1].SegmentLabel != "Liver":
            continue
        rows, columns = np.nonzero(frame.pixels)
        down, along = frame.orientation[3:] * frame.spacing_mm[0], frame.orientation[:3] * frame.spacing_mm[1]
        world = frame.position_mm + rows[:, None] * down + columns[:, None] * along
        index = np.rint(grid.to_index(world)).astype(int)
        inside = ((index >= 0) & (index < grid.shape)).all(axis=1)
        mask[tuple(index[inside].T)] = True
    return mask


@pytest.mark.parametrize("case", CASES)
def test_a_segmentation_comes_back_in_the_right_place(
    case: str, phantom: Phantom, node: Node, pacs: Orthanc, tmp_path: Path
) -> None:
    orientation, spacing_mm = CASES[case]
    scan = seen_on(phantom, orientation, spacing_mm)
    assert dice_of_what_comes_back(scan, ct_series(scan.volume, Subject(seed=case)), node, pacs, tmp_path) > 0.9


def dice_of_what_comes_back(scan: Phantom, images: list[Dataset], node: Node, pacs: Orthanc, folder: Path) -> float:
    """Send the images of a scan, and compare the liver in the PACS with the truth, in mm."""
    before = len(node.jobs())
    send(node, images, folder)
    until(lambda: all_ended(node, before + 1), "the job has ended")
    found = liver_mask(segmentation_of(pacs, images[0].SeriesInstanceUID), scan.volume.grid)
    truth = np.isin(scan.label_map.labels, LIVER)
    return float(2 * (found & truth).sum() / (found.sum() + truth.sum()))


def test_a_tilted_gantry_is_straightened_for_the_model_and_its_frames_are_drawn_where_they_lie(
    phantom: Phantom, node: Node, pacs: Orthanc, tmp_path: Path
) -> None:
    scan = seen_on(phantom, "axial", (4.0, 3.0, 3.0), tilt_degrees=15.0)
    assert dice_of_what_comes_back(scan, ct_series(scan.volume, Subject(seed="tilt")), node, pacs, tmp_path) > 0.9


@pytest.mark.exhaustive  # half a minute
def test_uneven_slices_are_interpolated_for_a_model_that_allows_it_and_drawn_where_they_lie(
    phantom: Phantom, pacs: Orthanc, tmp_path: Path
) -> None:
    allowing = {"irregular_spacing": True, "spacing_mm": {"minimum": 1, "maximum": 6.5}}
    package = adapted(tmp_path / "packages" / "tolerant", "phantom_abdomen", name="tolerant", intake=allowing)
    kept = [index for index in range(SHAPE[0]) if index % 3]  # 3 and 6 mm apart
    images = ct_series(phantom.volume, Subject(seed="uneven"))
    rules = [rule("phantom_abdomen", modality="CT"), rule("tolerant", modality="CT")]
    settings = configure(tmp_path / "node", pacs.port, rules, inferring={"packages": [str(package.parent)]})
    with running(settings) as node:
        send(node, [images[index] for index in kept], tmp_path / "images")
        until(lambda: all_ended(node, 1), "the job has ended")
        assert [(job["model"], job["state"]) for job in node.jobs()] == [("tolerant", "DELIVERED")]
        (row,) = node.series()
        assert "irregular spacing: 42 slices, 3 to 6 mm apart" in row["geometry"]
    found = liver_mask(segmentation_of(pacs, images[0].SeriesInstanceUID), phantom.volume.grid)
    truth = np.isin(phantom.label_map.labels, LIVER)
    assert not found[::3].any()
    assert 2 * (found & truth)[kept].sum() / (found[kept].sum() + truth[kept].sum()) > 0.9


def test_an_enhanced_multi_frame_image_is_segmented_frame_by_frame(
    phantom: Phantom, node: Node, pacs: Orthanc, tmp_path: Path
) -> None:
    images = ct_series(phantom.volume, Subject(seed="enhanced"))
    Random(7).shuffle(images)
    together = enhanced(images)
    assert dice_of_what_comes_back(phantom, [together], node, pacs, tmp_path) > 0.9
    segmentation = segmentation_of(pacs, images[0].SeriesInstanceUID)
    heights = {number: image.ImagePositionPatient[2] for number, image in enumerate(images, start=1)}
    for frame in frames(segmentation):
        assert frame.source.sop_instance_uid == together.SOPInstanceUID
        assert frame.position_mm[2] == pytest.approx(heights[frame.source.number or 0], abs=1e-3)


def test_random_order_between_another_series_gives_the_identical_result(
    phantom: Phantom, tmp_path: Path, pacs: Orthanc, node: Node
) -> None:
    images = ct_series(phantom.volume, Subject(seed="axial"))
    other = mr_series(abdomen(12, SHAPE, SPACING_MM).volume, Subject(seed="another"))  # no rule wants it
    ordered = segmentation_of(pacs, images[0].SeriesInstanceUID)
    shuffled = images + other
    Random(5).shuffle(shuffled)
    rules = [rule("phantom_abdomen", modality="CT")]
    with running(configure(tmp_path / "second", pacs.port, rules)) as second:
        send(second, shuffled, tmp_path / "images")
        until(lambda: all_ended(second, 1) and len(second.series()) == 2, "the job has ended, both Series are closed")
        sent = {path.stem: path for path in second.settings.spool.glob("outbox/*/*.dcm")}
    assert ordered.SOPInstanceUID in sent
    again = dcmread(sent[ordered.SOPInstanceUID])
    assert again.PixelData == ordered.PixelData
    assert again.PerFrameFunctionalGroupsSequence == ordered.PerFrameFunctionalGroupsSequence
