"""A volume that several processes decode."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import JPEGLSLossless

from service.core.entities import FrameReference
from service.core.errors import Broken
from service.derived.encoding import encode
from service.edge.pixels import read_volume
from service.edge.sharing import Task, read_together
from tests import factories

GRID = factories.grid(shape=(9, 40, 30))
Files = list[Path]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A synthetic CT in JPEG-LS, in the order of its slices."""
    paths = []
    for index, image in enumerate(factories.ct_series(GRID)):
        image.compress(JPEGLSLossless, encoding_plugin="pyjpegls", generate_instance_uid=False)
        paths.append(tmp_path / f"{index}.dcm")
        paths[-1].write_bytes(encode(image))
    return paths


def tasks(files: Files) -> list[Task]:
    return [Task(path, [(index, None)]) for index, path in enumerate(files)]


def frames(files: Files) -> list[tuple[Path, FrameReference]]:
    return [(path, FrameReference("1.2.3")) for path in files]


@pytest.mark.parametrize("parent_helps", [True, False])
def test_all_processes_together_decode_what_one_does(parent_helps: bool, files: Files) -> None:
    alone = read_volume(frames(files), GRID)
    together = read_together(tasks(files), GRID.shape, 2, parent_helps=parent_helps)
    assert np.ptp(alone.values) > 0
    assert np.array_equal(together, alone.values)


def test_values_outlive_the_processes_and_can_be_changed(files: Files) -> None:
    values = read_together(tasks(files), GRID.shape, 1, parent_helps=False)
    values += 1
    assert values.flags.writeable


def test_what_a_child_cannot_decode_is_told_with_its_name(files: Files) -> None:
    files[4].write_bytes(files[4].read_bytes()[:-700])
    with pytest.raises(Broken, match=r"4\.dcm: "):
        read_together(tasks(files), GRID.shape, 2, parent_helps=False)


def test_a_codestream_that_crashes_its_decoder_ends_a_child_and_not_us(
    files: Files, tmp_path: Path, outside_tool: Callable[[str], str]
) -> None:
    """GDCM aborts where the Huffman tables of a JPEG frame should begin and do not."""
    target = tmp_path / "lossless.dcm"
    subprocess.run([outside_tool("dcmdjpls"), files[0], tmp_path / "plain.dcm"], check=True, capture_output=True)
    subprocess.run([outside_tool("dcmcjpeg"), "+e1", tmp_path / "plain.dcm", target], check=True, capture_output=True)
    grid = factories.grid(shape=(1, 40, 30))
    assert read_volume(frames([target]), grid).values.any()
    content = target.read_bytes()
    target.write_bytes(content.replace(b"\xff\xc4", b"\x65\xc4", 1))
    with pytest.raises(Broken, match="made its decoder crash"):
        read_volume(frames([target]), grid)
