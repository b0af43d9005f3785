"""A job that is run again gives the same, bit for bit; and where it does not, it is said what differs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from service.commands.archive import Orthanc
from service.derived.encoding import encode
from service.edge.storage_scu import store
from tests import factories
from tests.node import Node, all_ended, configure, rule, run_command, running, until


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, pacs: Orthanc, packages_folder: Path) -> Iterator[Node]:
    """A node that has answered for one CT."""
    folder = tmp_path_factory.mktemp("node")
    rules = [rule("tiny", modality="CT")]
    with running(configure(folder, pacs.port, rules, inferring={"packages": [str(packages_folder)]})) as node:
        images = [folder / f"{number}.dcm" for number in range(24)]
        series = factories.ct_series(factories.grid(shape=(24, 64, 64), spacing_mm=(3.0, 3.0, 3.0)))
        for path, image in zip(images, series, strict=True):
            path.write_bytes(encode(image))
        assert {status for _, status in store(node.remote, images)} == {0x0000}
        until(lambda: all_ended(node, 1), "the job has ended")
        yield node


def test_a_second_run_is_bit_identical(node: Node) -> None:
    (job,) = node.jobs()
    seen = run_command("replay", job["job_id"][:12], "--config", str(node.settings.folder))
    assert (seen.returncode, seen.stdout) == (0, f"{job['job_id']}, tiny 1.0.0: bit-identical\n"), seen.stderr


def test_an_object_that_differs_is_named_with_its_attribute(node: Node) -> None:
    (job,) = node.jobs()
    (report,) = [
        path
        for path in (node.settings.spool / "outbox" / job["job_id"]).glob("*.dcm")
        if dcmread(path).Modality == "SR"
    ]
    kept = report.read_bytes()
    changed = dcmread(report)
    changed.ContentTime = "000000"
    report.write_bytes(encode(changed))
    seen = run_command("replay", job["job_id"], "--config", str(node.settings.folder))
    report.write_bytes(kept)
    assert seen.returncode == 1
    assert f"SR object {report.stem}: ContentTime" in seen.stdout
