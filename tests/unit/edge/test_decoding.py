"""Every transfer syntax gives back the stored values bit for bit; what contradicts itself is refused by name."""

import subprocess
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRBigEndian

from service.commands.survey import look, parts
from service.core.entities import Stack
from service.core.errors import Broken, Unsuitable
from service.core.transfer_syntaxes import ACCEPTED, EXPLICIT_BIG_ENDIAN
from service.derived.encoding import encode
from service.edge.pixels import read_volume
from service.edge.stored_values import StoredImage, can_decode
from tests import factories

SHAPE = (37, 33)  # odd, so that 8-bit frames have an odd length
RLE, JPEG_LS, JPEG_2000 = (UID(f"1.2.840.10008.1.2.{end}") for end in ("5", "4.80", "4.90"))
ENCODERS = [
    pytest.param(RLE, "pydicom", id="RLE"),
    pytest.param(JPEG_LS, "pyjpegls", id="JPEG-LS"),
    pytest.param(JPEG_2000, "pylibjpeg", id="JPEG 2000"),
]


@dataclass(frozen=True)
class Depth:
    """How the samples of a case lie."""

    allocated: int
    stored: int
    signed: bool
    garbage: bool = False  # anything in the bits that are not stored

    def __str__(self) -> str:
        return f"{self.stored} of {self.allocated} {'signed' if self.signed else 'unsigned'}{' garbage' * self.garbage}"


DEPTHS = [
    Depth(8, 8, False),
    Depth(8, 8, True),
    Depth(8, 5, False, True),
    Depth(16, 10, True),
    Depth(16, 12, False),
    Depth(16, 12, False, True),
    Depth(16, 12, True),
    Depth(16, 12, True, True),
    Depth(16, 16, False),
    Depth(16, 16, True),
]


def picture(depth: Depth, frames: int = 1) -> tuple[Dataset, NDArray[np.int64]]:
    """An image of a depth, and its stored values, (frame, row, column), with both ends of the range in each frame."""
    random = np.random.default_rng(depth.stored)
    low = -(1 << depth.stored - 1) if depth.signed else 0
    high = low + (1 << depth.stored) - 1
    walk = np.cumsum(random.integers(-40, 41, (frames, *SHAPE)), axis=2)
    values = np.clip(walk + (low + high) // 2, low, high)
    values[:, 0, 0], values[:, 0, 1] = low, high
    mask = (1 << depth.stored) - 1
    words = values & (mask if depth.garbage else (1 << depth.allocated) - 1)
    if depth.garbage:
        words |= random.integers(0, 1 << depth.allocated - depth.stored, words.shape) << depth.stored
    return _image(depth, words.astype(f"<u{depth.allocated // 8}")), values


def _image(depth: Depth, words: NDArray[np.unsignedinteger]) -> Dataset:
    image = factories.ct_series(factories.grid(shape=(4, *SHAPE)))[0]
    image.BitsAllocated, image.BitsStored, image.HighBit = depth.allocated, depth.stored, depth.stored - 1
    image.PixelRepresentation = int(depth.signed)
    if len(words) > 1:
        image.NumberOfFrames = len(words)
    content = words.tobytes()
    image.PixelData = content + b"\0" * (len(content) % 2)
    image["PixelData"].VR = "OB" if depth.allocated == 8 else "OW"
    return image


def stored(content: bytes) -> NDArray[np.int64]:
    image = StoredImage(content)
    return np.stack([image.frame(number + 1) for number in range(image.layout.frames)]).astype(np.int64)


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("depth", DEPTHS, ids=str)
def test_uncompressed_values_come_back(depth: Depth, frames: int) -> None:
    image, values = picture(depth, frames)
    assert np.array_equal(stored(encode(image)), values)


@pytest.mark.parametrize("depth", DEPTHS, ids=str)
def test_big_endian_values_come_back(depth: Depth, tmp_path: Path, outside_tool: Callable[[str], str]) -> None:
    image, values = picture(depth, frames=3)
    (tmp_path / "little.dcm").write_bytes(encode(image))
    command: list[str | Path] = [outside_tool("dcmconv"), "+tb", tmp_path / "little.dcm", tmp_path / "big.dcm"]
    subprocess.run(command, check=True, capture_output=True)
    content = (tmp_path / "big.dcm").read_bytes()
    assert StoredImage(content).syntax == EXPLICIT_BIG_ENDIAN
    assert np.array_equal(stored(content), values)


def test_eight_bit_samples_in_big_endian_words_come_back() -> None:
    image, values = picture(Depth(8, 8, False), frames=2)
    image.PixelData = np.frombuffer(image.PixelData, "<u2").byteswap().tobytes()
    image["PixelData"].VR = "OW"
    image.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    assert np.array_equal(stored(encode(image)), values)


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("depth", DEPTHS, ids=str)
@pytest.mark.parametrize("tool", ["dcmcrle", "dcmcjpeg +e1", "dcmcjpeg +el", "dcmcjpls"])
def test_values_that_dcmtk_compressed_come_back(
    tool: str, depth: Depth, frames: int, tmp_path: Path, outside_tool: Callable[[str], str]
) -> None:
    image, values = picture(depth, frames)
    assert np.array_equal(stored(by_dcmtk(tool, image, tmp_path, outside_tool)), values)


def by_dcmtk(tool: str, image: Dataset, folder: Path, outside_tool: Callable[[str], str]) -> bytes:
    program, *options = tool.split()
    (folder / "source.dcm").write_bytes(encode(image))
    command: list[str | Path] = [outside_tool(program), *options, folder / "source.dcm", folder / "made.dcm"]
    subprocess.run(command, check=True, capture_output=True)
    return (folder / "made.dcm").read_bytes()


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("depth", [depth for depth in DEPTHS if not depth.garbage], ids=str)
@pytest.mark.parametrize(("syntax", "plugin"), ENCODERS)
def test_values_that_pydicom_compressed_come_back(syntax: UID, plugin: str, depth: Depth, frames: int) -> None:
    image, values = picture(depth, frames)
    image.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
    assert np.array_equal(stored(encode(image)), values)


@pytest.mark.parametrize(
    ("tool", "depth", "reference"),
    [
        pytest.param("dcmcjpeg +eb", Depth(8, 8, False), "dcmdjpeg", id="JPEG Baseline"),
        pytest.param("dcmcjpeg +ee", Depth(8, 8, False), "dcmdjpeg", id="JPEG Extended, 8 bits"),
        pytest.param("dcmcjpeg +ee", Depth(16, 12, False), "dcmdjpeg", id="JPEG Extended, 12 bits"),
        pytest.param("dcmcjpls +en", Depth(16, 12, False, True), "dcmdjpls", id="JPEG-LS near-lossless"),
    ],
)
def test_lossy_frames_decode_to_what_dcmtk_decodes_them_to(
    tool: str, depth: Depth, reference: str, tmp_path: Path, outside_tool: Callable[[str], str]
) -> None:
    image, values = picture(depth, frames=3)
    ours = stored(by_dcmtk(tool, image, tmp_path, outside_tool))
    command: list[str | Path] = [outside_tool(reference), tmp_path / "made.dcm", tmp_path / "decoded.dcm"]
    subprocess.run(command, check=True, capture_output=True)
    assert np.array_equal(ours, stored((tmp_path / "decoded.dcm").read_bytes()))
    assert 0 < np.abs(ours - values).max() < 50


# 11 rows, 9 columns, 12 bits signed, by OpenJPH 0.26
HTJ2K_LOSSLESS = """
/0//UQApQAAAAAAJAAAACwAAAAAAAAAAAAAACQAAAAsAAAAAAAAAAAABjwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCIkJCQkJCQ
kJCQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAOYAAf+TwAAl9QDHdAAAwAATQAATQAATALL6Awd0ACD+Agd0AG/5
A4d0AMAAE8AAE8AAEwAiktUDA3QAkp/mAKI0AMb4A4d0AMAAFdAABasAAFaA7nCAQ55gEwb+C/mCtQDucK3v/uI458lIzGv4AwLcQgG/mADe
4bUe+oV/8NM44pQAwAAtuAAF0EAALUD/fZ//f8M//P9vf/993/93n/7vlkoIVxygWAD/fY//fve//37733//fR//ff9/gCgsgrGEcI5gfKBd
AP93/3y//3v/f/t//oDCtk8c4FgA/9k=
"""
HTJ2K_LOSSY = """
/0//UQApQAAAAAAJAAAACwAAAAAAAAAAAAAACQAAAAsAAAAAAAAAAAABjwEB/1AACAACAAAAKv9SAAwAAgABAAUEBEAA/1wAIyK3GLbqtuq2
vK8ArwCu4qdMp0ynZJADkAOQRpfSl9KXYf9kABcAAU9wZW5KUEggVmVyIDAuMjYuMy7/kAAKAAAAAAEVAAH/k8AAATCh/gIHdAAAwAACaAAA
TQAACYCy9gQHdAD++AMHdACX9AQHdADAAATwAAE8AABM/slsA4N0AOrfoQDCNAC6+AOHdADAABXQAAWrAABWgKZSpyMTgpUx4QWZgrUAmLC/
dS8pG80SA0QD5hxLzIQAf5gAkkC59HTB1zTdOOKUAMAAF1MAAF1sAAF0gE78ExxdOe8srWSEwxBxA3lPjXMcHPBDx06FU4AI4w3ZOSPFaIwA
IbkA2JMAR1jJK8qqpfQ5tMh2rDAU2IM8Ckx8NEYTSRhoMf4AMC7O5wRMD4wAIr0AAiEhxKD55BvHzY48XJo9TSAbmNNhC/AEHQbxAn3UJEgQ
E5kA/9k=
"""


@pytest.mark.parametrize(
    ("end", "codestream", "error"),
    [
        pytest.param("201", HTJ2K_LOSSLESS, 0, id="lossless"),
        pytest.param("202", HTJ2K_LOSSLESS, 0, id="lossless with RPCL"),
        pytest.param("203", HTJ2K_LOSSY, 2, id="lossy"),
    ],
)
def test_high_throughput_jpeg_2000_decodes(end: str, codestream: str, error: int) -> None:
    y, x = np.mgrid[:11, :9]
    expected = (y * 157 + x * 389 + x * y * 71) % 4096 - 2048
    image = compressed([b64decode(codestream)], UID(f"1.2.840.10008.1.2.4.{end}"))
    image.Rows, image.Columns, image.PixelRepresentation = 11, 9, 1
    assert np.abs(stored(encode(image))[0] - expected).max() <= error


def compressed(frames: list[bytes], syntax: UID) -> Dataset:
    """An image whose Pixel Data is those fragments."""
    image, _ = picture(Depth(16, 12, False), len(frames))
    image.PixelData = encapsulate(frames, has_bot=False)
    image["PixelData"].VR = "OB"
    image["PixelData"].is_undefined_length = True
    image.file_meta.TransferSyntaxUID = syntax
    return image


@pytest.mark.parametrize("syntax", ACCEPTED)
def test_every_transfer_syntax_that_is_accepted_has_its_decoder_here(syntax: str) -> None:
    assert can_decode(syntax)


def test_the_same_slice_in_nine_files_has_the_same_values(real_images: Callable[[str], Path]) -> None:
    paths = sorted((real_images("mr_transfer_syntaxes_dcm_qa_ts") / "In").glob("*.dcm"))
    first, *others = [stored(path.read_bytes()) for path in paths]
    assert len(others) == 8
    assert all(np.array_equal(values, first) for values in others)


@pytest.mark.parametrize("kind", ["", "_j2k", "_jpeg", "_jpegls", "_rle"])
def test_a_real_series_has_the_values_of_its_reference_however_it_is_compressed(
    kind: str, real_images: Callable[[str], Path]
) -> None:
    folder = real_images("dicom2nifti_generic_ts") / f"compressed{kind}"
    found = look(folder / "001")
    (part,) = parts(found)
    assert isinstance(part, Stack)
    ours = read_volume(found.files(part), part.grid)
    reference = nibabel.load(folder / "001_ground_truth.nii.gz")
    indices = np.indices(ours.grid.shape).reshape(3, -1).T.astype(np.float64)
    world = ours.grid.to_world(indices) * (-1, -1, 1)  # LPS to RAS
    i, j, k = np.rint(nibabel.affines.apply_affine(np.linalg.inv(reference.affine), world)).astype(int).T
    assert np.array_equal(np.asarray(reference.dataobj)[i, j, k], ours.values.reshape(-1))


def test_a_real_series_in_colour_is_refused_by_name(real_images: Callable[[str], Path]) -> None:
    path = next(path for path in (real_images("dicom2nifti_generic_ts") / "rgb" / "001").iterdir())
    with pytest.raises(Unsuitable, match=r"in colour \(Photometric Interpretation"):
        StoredImage(path.read_bytes())


def jpeg_ls(frames: int = 1) -> Dataset:
    image, _ = picture(Depth(16, 12, False), frames)
    image.compress(JPEG_LS, encoding_plugin="pyjpegls", generate_instance_uid=False)
    return image


def _replaced(image: Dataset, old: bytes, new: bytes) -> Dataset:
    assert old in image.PixelData
    image.PixelData = image.PixelData.replace(old, new, 1)
    return image


def _declaring(image: Dataset, **values: object) -> Dataset:
    for keyword, value in values.items():
        setattr(image, keyword, value)
    return image


def _rle(frame: bytes) -> Dataset:
    return compressed([frame], RLE)


_ITEM = b"\xfe\xff\x00\xe0"
_HOSTILE: dict[str, tuple[Callable[[], Dataset], str]] = {
    "no fragments": (lambda: _declaring(jpeg_ls(), PixelData=_ITEM + bytes(4)), "0 fragments for 1 frames"),
    "no items": (
        lambda: _declaring(jpeg_ls(), PixelData=_ITEM + bytes(4) + b"\x01" * 64),
        "byte 8 .* no whole fragment",
    ),
    "fewer fragments than frames": (lambda: _declaring(jpeg_ls(3), NumberOfFrames=4), "3 fragments for 4 frames"),
    "more fragments than frames": (lambda: _declaring(jpeg_ls(3), NumberOfFrames=2), "3 offsets for 2 frames"),
    "a million frames": (lambda: _declaring(jpeg_ls(), NumberOfFrames=1_000_000), "1 fragments for 1000000 frames"),
    "offsets beside the fragments": (
        lambda: _replaced(jpeg_ls(3), b"\x0c\x00\x00\x00" + bytes(4), b"\x0c\x00\x00\x00" + b"\x08" + bytes(3)),
        "offset table begins .8, ",
    ),
    "a fragment longer than the file": (
        lambda: _declaring(jpeg_ls(), PixelData=_ITEM + bytes(4) + _ITEM + b"\xff\xff\xff\x7f" + bytes(64)),
        "byte 8 .* no whole fragment",
    ),
    "another size in the codestream": (lambda: _declaring(jpeg_ls(), Rows=SHAPE[0] + 1), "37 x 33 .* says 38 x 33"),
    "a huge size in the codestream": (
        lambda: _replaced(jpeg_ls(), b"\xff\xf7\x00\x0b\x0c\x00\x25\x00\x21", b"\xff\xf7\x00\x0b\x0c\xff\xff\xff\xff"),
        "65535 x 65535",
    ),
    "more bits than allocated": (
        lambda: _declaring(jpeg_ls(), BitsAllocated=8, BitsStored=8, HighBit=7),
        "bits a pixel, 8 are allocated",
    ),
    "a fragment of anything": (lambda: compressed([bytes(range(256))], JPEG_2000), "no header of JPEG"),
    "a JPEG without an end": (lambda: compressed([b"\xff\xd8\xff\xe0\xff\xff"], JPEG_LS), "no header of JPEG"),
    "an RLE frame of a few bytes": (lambda: _rle(bytes(20)), "RLE frame has 20 bytes"),
    "an RLE frame of other segments": (lambda: _rle(b"\x01" + bytes(63)), "1 segments for samples of 2 bytes"),
    "an RLE frame that ends early": (
        lambda: _rle(b"\x02\0\0\0\x40\0\0\0\x42\0\0\0" + bytes(60)),
        "unpacks to .* of 1221",
    ),
    "fewer bytes than declared": (lambda: _declaring(picture(DEPTHS[4])[0], PixelData=bytes(80)), "80 bytes, 2442"),
    "no rows": (lambda: _declaring(jpeg_ls(), Rows=0), "1 frames of 0 x 33"),
    "a number of frames that is none": (lambda: _declaring(jpeg_ls(), NumberOfFrames="-2"), "-2 frames of"),
}


@pytest.mark.parametrize("case", _HOSTILE)
def test_pixel_data_that_contradicts_itself_is_refused_by_name(case: str) -> None:
    make, reason = _HOSTILE[case]
    content = encode(make())
    with pytest.raises(Broken, match=reason):
        stored(content)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        pytest.param({"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}, "of 1 allocated", id="bits"),
        pytest.param({"BitsStored": 17}, "17 bits stored", id="more bits stored than allocated"),
        pytest.param({"HighBit": 15}, "High Bit is 15", id="compressed samples that do not begin at bit 0"),
        pytest.param({"PhotometricInterpretation": "PALETTE COLOR"}, "PALETTE COLOR", id="a palette"),
        pytest.param({"NumberOfFrames": 5_000_000}, "5000000 frames of 2442 bytes", id="more frames than are read"),
    ],
)
def test_samples_that_are_not_decoded_here_are_refused_by_name(values: dict[str, object], reason: str) -> None:
    content = encode(_declaring(jpeg_ls(), **values))
    with pytest.raises(Unsuitable, match=reason):
        stored(content)


def test_an_rle_segment_that_unpacks_to_gigabytes_is_read_no_further_than_its_header_says() -> None:
    run = b"\x81\x00" * 1_000_000  # 128 MB each
    header = np.array([2, 64, 64 + len(run), *[0] * 13], dtype="<u4").tobytes()
    assert not stored(encode(_rle(header + run + run))).any()


def test_values_above_bit_zero_are_read_from_where_high_bit_says() -> None:
    image, values = picture(Depth(16, 12, False))
    image.PixelData, image.HighBit = (values << 4).astype("<u2").tobytes(), 15
    assert np.array_equal(stored(encode(image)), values)
