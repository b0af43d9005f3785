"""What other makers send, in every syntax, is kept byte for byte in a valid file."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from service.commands.archive import free_port, orthanc
from service.derived.encoding import encode
from service.edge.file_meta import data_set_offset
from service.edge.listening import listening
from service.edge.spool import Spool
from service.edge.storage_scp import Door, StorageScp
from service.edge.storage_scu import Remote, store
from service.receive import Receiver
from tests import factories
from tests.node import until

SLICES = 3
MAKERS = {
    "explicit little endian": ["dcmconv", "+te"],
    "implicit little endian": ["dcmconv", "+ti"],
    "JPEG lossless": ["dcmcjpeg", "+e1"],
    "JPEG-LS lossless": ["dcmcjpls", "+el"],
    "RLE lossless": ["dcmcrle"],
}
PROPOSES = {
    "explicit little endian": "-xe",
    "implicit little endian": "-xi",
    "JPEG lossless": "-xs",
    "JPEG-LS lossless": "-xt",
    "RLE lossless": "-xr",
}


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture(params=["fast", "stock"])
def port(request: pytest.FixtureRequest, spool: Spool) -> Iterator[int]:
    receiver = Receiver(spool, refuse_below_free=0.0)
    with listening(StorageScp(Door("ISOCENTER", engine=request.param), receiver.begin, receiver.note_end)) as port:
        yield port


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "made"
    folder.mkdir()
    for number, image in enumerate(factories.ct_series(factories.grid(shape=(SLICES, 16, 16)))):
        (folder / f"{number}.dcm").write_bytes(encode(image))
    return sorted(folder.iterdir())


def converted(files: list[Path], outside_tool: Callable[[str], str], syntax: str) -> list[Path]:
    program, *options = MAKERS[syntax]
    made = [path.with_suffix(".sent") for path in files]
    for source, target in zip(files, made, strict=True):
        subprocess.run([outside_tool(program), *options, str(source), str(target)], check=True, capture_output=True)
    return made


def data_set_of(path: Path) -> bytes:
    content = path.read_bytes()
    return content[data_set_offset(content[:144]) :]


def require_kept(spool: Spool, sent: list[Path], outside_tool: Callable[[str], str]) -> None:
    """Fails unless every data set lies in the spool as it was sent, in a file that DCMTK takes for one."""
    kept = sorted((spool.root / "incoming").iterdir())
    assert sorted(map(data_set_of, kept)) == sorted(map(data_set_of, sent))
    for path in kept:
        meta = dcmread(path, stop_before_pixels=True)
        assert meta.file_meta.MediaStorageSOPInstanceUID == meta.SOPInstanceUID
        assert meta.file_meta.TransferSyntaxUID == dcmread(sent[0], stop_before_pixels=True).file_meta.TransferSyntaxUID
        said = subprocess.run([outside_tool("dcmftest"), str(path)], capture_output=True, text=True, check=False)
        assert (said.returncode, said.stdout[:4]) == (0, "yes:")


@pytest.mark.parametrize("syntax", MAKERS)
def test_storescu(port: int, spool: Spool, files: list[Path], outside_tool: Callable[[str], str], syntax: str) -> None:
    sent = converted(files, outside_tool, syntax)
    line = [outside_tool("storescu"), PROPOSES[syntax], "-aec", "ISOCENTER", "127.0.0.1", str(port), *map(str, sent)]
    subprocess.run(line, check=True, capture_output=True)
    require_kept(spool, sent, outside_tool)


@pytest.mark.parametrize("syntax", [syntax for syntax in MAKERS if "implicit" not in syntax])  # it sends as explicit
def test_dcmsend(port: int, spool: Spool, files: list[Path], outside_tool: Callable[[str], str], syntax: str) -> None:
    sent = converted(files, outside_tool, syntax)
    line = [outside_tool("dcmsend"), "--decompress-never", "-aec", "ISOCENTER", "127.0.0.1", str(port), *map(str, sent)]
    subprocess.run(line, check=True, capture_output=True)
    require_kept(spool, sent, outside_tool)


def test_jpeg_2000_by_dcmsend(
    port: int, spool: Spool, real_images: Callable[[str], Path], outside_tool: Callable[[str], str]
) -> None:
    files = [path for path in real_images("mr_transfer_syntaxes_dcm_qa_ts").rglob("*.dcm") if _is_jpeg_2000(path)][:1]
    assert files
    line = [
        outside_tool("dcmsend"),
        "--decompress-never",
        "-aec",
        "ISOCENTER",
        "127.0.0.1",
        str(port),
        *map(str, files),
    ]
    subprocess.run(line, check=True, capture_output=True)
    require_kept(spool, files, outside_tool)


def _is_jpeg_2000(path: Path) -> bool:
    return str(dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID) == "1.2.840.10008.1.2.4.90"


def test_pynetdicom(port: int, spool: Spool, files: list[Path], outside_tool: Callable[[str], str]) -> None:
    assert {status for _, status in store(Remote("CT01", "ISOCENTER", "127.0.0.1", port), files)} == {0x0000}
    require_kept(spool, files, outside_tool)


def test_orthanc(
    port: int, spool: Spool, files: list[Path], outside_tool: Callable[[str], str], tmp_path: Path
) -> None:
    with orthanc(outside_tool("Orthanc"), tmp_path / "orthanc", port=free_port(), node_port=port) as archive:
        keys = [archive.post("/instances", path.read_bytes())["ID"] for path in files]
        assert archive.post("/modalities/node/store", keys)["FailedInstancesCount"] == 0
    until(lambda: len(list(spool.arrivals())) == SLICES, "all are kept", seconds=10)
    require_kept(spool, files, outside_tool)
