"""A reader opens the node's answers in OHIF: the segments are listed, and coloured where the mask is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from models.manifest import Segmentation
from models.registry import find, segmentation
from service.commands.archive import Orthanc
from tests.viewer import overlay
from tests.viewer.browser import WINDOW, Picture, Viewer
from tests.viewer.overlay import Labels, Mask
from tests.viewer.web import served

pytestmark = [pytest.mark.viewer, pytest.mark.timeout(600)]

CASES = {
    "CT in OHIF 3.13.2": ("phantom_abdomen", "3.13.2"),
    "CT in OHIF 3.12.10": ("phantom_abdomen", "3.12.10"),
    "MR in OHIF 3.13.2": ("hippocampus", "3.13.2"),
    "MR in OHIF 3.12.10": ("hippocampus", "3.12.10"),
}


# 3.12 shows no fractional segmentation, 3.13.2 misreads one-bit pixels where rows x columns is no multiple of 8
PROFILES = {"3.13.2": "ohif", "3.12.10": "usual"}
KINDS = {"ohif": {"SEG", "OT", "DOC"}, "usual": {"SEG", "SR"}}


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What was on the screen, and what had to be there."""

    manifest: Segmentation
    release: str
    described: list[Dataset]
    series: list[str]
    segments: list[str]
    complaints: list[str]
    expected: Labels
    elsewhere: dict[str, Labels]
    drawn: Picture
    bare: Picture

    @property
    def mask(self) -> Mask:
        """Where any segment belongs."""
        return self.expected > 0

    @property
    def coloured(self) -> Mask:
        """Where any segment was drawn."""
        return overlay.coloured(self.drawn, self.bare)


@pytest.fixture(scope="module")
def seen(
    request: pytest.FixtureRequest, answered: Callable[[str], Orthanc], ohif: Callable[[str], Path], browser: Any
) -> Iterator[Seen]:
    """A study that the node has answered, opened in a release of OHIF on the slice that tells most."""
    model, release = CASES[request.param]
    manifest, pacs = segmentation(find()[model]), answered(PROFILES[release])
    shown = _segmentation(pacs, manifest)
    plane = overlay.most_telling(overlay.planes(shown))
    aside = overlay.aside(plane)
    page = browser.new_page(viewport=WINDOW)
    with served(ohif(release), pacs.http_port) as address:
        viewer = Viewer(page, address)
        viewer.open(shown.StudyInstanceUID)
        viewer.load_segmentation()
        viewer.show(plane.sop_instance_uid)
        drawn, bare = viewer.drawn_and_bare()
        _keep(request, f"{model}-{release}.png", viewer.screenshot())
        expected, *others = [overlay.expected(one, viewer.to_canvas, drawn.shape) for one in (plane, *aside.values())]
        elsewhere = dict(zip(aside, others, strict=True))
        described = list(shown.SegmentSequence)
        listed = (viewer.series(), viewer.segments(), viewer.complaints)
        yield Seen(manifest, release, described, *listed, expected, elsewhere, drawn, bare)
        page.close()


def _segmentation(pacs: Orthanc, manifest: Segmentation) -> Dataset:
    found = [dataset for dataset in pacs.datasets() if dataset.Modality == "SEG"]
    ours = [dataset for dataset in found if manifest.title in dataset.SeriesDescription]
    if not ours:
        pytest.skip(f"nothing to open: the images for {manifest.name} are not beside this checkout")
    return ours[0]


def _keep(request: pytest.FixtureRequest, name: str, picture: bytes) -> None:
    folder = request.config.getoption("--pictures", default=None)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture)


@pytest.mark.parametrize("seen", CASES, indirect=True)
def test_the_results_are_listed_by_the_name_of_the_model(seen: Seen) -> None:
    name = f"AI {seen.manifest.title} {seen.manifest.version}"
    listed = {row.removesuffix(name).strip() for row in seen.series if row.endswith(name)}
    assert listed == KINDS[PROFILES[seen.release]]


@pytest.mark.parametrize("seen", CASES, indirect=True)
def test_every_segment_is_listed_by_its_label(seen: Seen) -> None:
    assert seen.segments == [segment.SegmentLabel for segment in seen.described]


@pytest.mark.parametrize("seen", CASES, indirect=True)
def test_nothing_is_refused_and_nothing_breaks(seen: Seen) -> None:
    assert seen.complaints == []


@pytest.mark.parametrize("seen", CASES, indirect=True)
def test_the_coloured_region_is_the_mask(seen: Seen) -> None:
    assert overlay.dice(seen.coloured, seen.mask) > 0.98


@pytest.mark.parametrize("seen", CASES, indirect=True)
def test_the_mask_one_pixel_aside_or_mirrored_fits_clearly_less(seen: Seen) -> None:
    fits = overlay.dice(seen.coloured, seen.mask)
    elsewhere = {name: overlay.dice(seen.coloured, labels > 0) for name, labels in seen.elsewhere.items()}
    assert {name: dice for name, dice in elsewhere.items() if dice > fits - 0.03} == {}


@pytest.mark.parametrize("seen", CASES, indirect=True)
def test_each_segment_has_the_colour_of_its_label(seen: Seen) -> None:
    """But for lesions in an organ that includes them: there the two colours blend."""
    blended = {value for label in seen.manifest.labels for value in label.includes}
    labels = {label.name: label for label in seen.manifest.labels if label.value not in blended}
    for segment in seen.described:
        where = seen.expected == segment.SegmentNumber
        if where.any() and segment.SegmentLabel in labels:
            due = labels[segment.SegmentLabel].color_rgb
            assert np.abs(overlay.fill_colour(seen.drawn, seen.bare, where) - due).max() < 12
