"""Pictures of a finished job: what a node sends to a PACS without a segmentation viewer, and `isocenter render`."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from pydicom import Dataset

from service.commands.archive import standing_in
from service.derived.encoding import encode
from service.edge.storage_scu import store
from tests import factories
from tests.node import all_ended, configure, rule, run_command, running, until
from tests.unit.models import packages

OBJECTS = ["segmentation", "report", "capture", "presentation", "document", "key images"]


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """A node that has done its one job, and what the archive has of it."""

    config: str
    job: str
    received: list[Dataset]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Done]:
    folder = tmp_path_factory.mktemp("node")
    packages.with_weights(folder / "packages" / "tiny")
    files = []
    for number, image in enumerate(factories.ct_series(factories.grid(shape=(24, 40, 40), spacing_mm=(3, 3, 3)))):
        files.append(folder / f"{number}.dcm")
        files[-1].write_bytes(encode(image))
    with standing_in(folder / "archive") as archive:
        rules = [rule("tiny", modality="CT")]
        settings = configure(folder / "site", archive.port, rules, inferring={"packages": [str(folder / "packages")]})
        written = settings.folder / "destinations.yaml"
        destinations = yaml.safe_load(written.read_text())
        destinations["destinations"][0]["profile"] = {"objects": OBJECTS}
        written.write_text(yaml.safe_dump(destinations))
        with running(settings) as node:
            assert [status for _, status in store(node.remote, files)] == [0] * len(files)
            until(lambda: all_ended(node, 1), "the job has ended", seconds=240)
            received = archive.datasets()
        config = str(settings.folder)
        (job,) = json.loads(run_command("jobs", "--json", "--config", config).stdout)
        assert job["state"] == "DELIVERED", job["reason"]
        yield Done(config, job["job_id"], received)


def test_every_object_of_the_profile_reaches_the_archive_each_kind_in_a_series_of_its_own(done: Done) -> None:
    series = {dataset.Modality: dataset.SeriesInstanceUID for dataset in done.received if dataset.Modality != "CT"}

    assert set(series) == {"SEG", "SR", "OT", "PR", "DOC", "KO"}
    assert len(set(series.values())) == len(series)


def test_render_writes_the_picture_that_was_sent(done: Done, tmp_path: Path) -> None:
    seen = run_command("render", done.job[:8], "--config", done.config, "--output", str(tmp_path / "pictures"))

    assert seen.returncode == 0, seen.stderr
    (first, *_) = sorted((tmp_path / "pictures").iterdir())
    capture = next(each for each in done.received if each.Modality == "OT" and each.InstanceNumber == 1)
    sent = np.frombuffer(capture.PixelData, np.uint8)
    with Image.open(first) as picture:
        drawn = np.asarray(picture)
    assert np.array_equal(sent[: drawn.size], drawn.ravel())


@pytest.mark.exhaustive  # twenty seconds
def test_render_writes_contact_sheets_as_jpeg(done: Done, tmp_path: Path) -> None:
    words = ["render", done.job, "--config", done.config, "--output", str(tmp_path), "--format", "jpeg"]
    alone = run_command(*words).stdout.split()
    with_slices = run_command(*words, "--all-slices").stdout.split()

    assert len(with_slices) > len(alone) > 0
    for path in with_slices:
        with Image.open(path) as picture:
            assert picture.format == "JPEG"


def test_render_names_a_job_that_is_not_there(done: Done, tmp_path: Path) -> None:
    seen = run_command("render", "nothing", "--config", done.config, "--output", str(tmp_path / "pictures"))

    assert seen.returncode == 1
    assert seen.stderr.strip() == "no jobs begin with 'nothing': `isocenter jobs` lists them all"
    assert not (tmp_path / "pictures").exists()
