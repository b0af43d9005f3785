"""Stored values as the modality means them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.pixels import get_decoder

from service.core.entities import FrameReference, ImageScale, PixelSpacing
from service.core.errors import Broken, Unsuitable
from service.core.transfer_syntaxes import ACCEPTED
from service.derived.encoding import encode
from service.edge.pixels import read_planes, read_radiograph, read_volume
from service.edge.spool import Spool
from tests import factories
from tests.arriving import receive

GRID = factories.grid(shape=(4, 6, 5))


@pytest.fixture
def image() -> Dataset:
    return factories.ct_series(GRID)[0]


def plane(image: Dataset, folder: Path) -> np.ndarray:
    (folder / "image.dcm").write_bytes(encode(image))
    return next(read_planes(folder / "image.dcm"))


def store(image: Dataset, values: np.ndarray) -> None:
    image.PixelData = values.tobytes()


def test_hounsfield_units_come_from_slope_and_intercept(image: Dataset, tmp_path: Path) -> None:
    store(image, np.full((6, 5), 1000, dtype="<u2"))
    image.RescaleSlope, image.RescaleIntercept = 2, -1024
    assert np.all(plane(image, tmp_path) == 976.0)


def test_each_slice_has_its_own_slope(tmp_path: Path) -> None:
    series = factories.mr_series(GRID)
    for number, each in enumerate(series, start=1):
        store(each, np.full((6, 5), 10, dtype="<u2"))
        each.RescaleSlope, each.RescaleIntercept, each.RescaleType = number, 0, "US"
        (tmp_path / f"{number}.dcm").write_bytes(encode(each))
    volume = read_volume([(tmp_path / f"{number}.dcm", FrameReference(str(number))) for number in (1, 2, 3, 4)], GRID)
    assert volume.values[:, 0, 0].tolist() == [10.0, 20.0, 30.0, 40.0]


def test_signed_values_in_fewer_bits_than_allocated_keep_their_sign(image: Dataset, tmp_path: Path) -> None:
    store(image, np.full((6, 5), -5, dtype="<i2") & 0x0FFF)
    image.PixelRepresentation, image.BitsStored, image.HighBit = 1, 12, 11
    image.RescaleSlope, image.RescaleIntercept = 1, 0
    assert np.all(plane(image, tmp_path) == -5.0)


def test_padding_becomes_the_lowest_value_of_the_image(image: Dataset, tmp_path: Path) -> None:
    values = np.full((6, 5), 1100, dtype="<u2")
    values[0], values[1] = 63536, 900
    store(image, values)
    image.BitsStored, image.HighBit = 16, 15
    image.add_new("PixelPaddingValue", "US", 63536)
    assert sorted(set(plane(image, tmp_path).ravel().tolist())) == [-124.0, 76.0]


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        pytest.param(factories.ct_series, 1000.0 - 1024.0, id="CT: HU stay what they are"),
        pytest.param(factories.mr_series, 4095.0 - 1000.0, id="MR: white is high again"),
    ],
)
def test_monochrome1_is_turned_only_where_values_have_no_unit(
    series: Callable[..., list[Dataset]], expected: float, tmp_path: Path
) -> None:
    image = series(GRID)[0]
    store(image, np.full((6, 5), 1000, dtype="<u2"))
    image.PhotometricInterpretation = "MONOCHROME1"
    assert np.all(plane(image, tmp_path) == expected)


def test_a_colour_image_is_not_for_any_model(image: Dataset, tmp_path: Path) -> None:
    image.SamplesPerPixel, image.PhotometricInterpretation = 3, "RGB"
    with pytest.raises(Unsuitable, match="colour"):
        plane(image, tmp_path)


def test_a_declared_size_is_bounded_before_anything_is_decoded(image: Dataset, tmp_path: Path) -> None:
    image.Rows = image.Columns = 65535
    with pytest.raises(Unsuitable, match="8589672450 bytes"):
        plane(image, tmp_path)


def test_a_file_that_ends_early_is_named(image: Dataset, tmp_path: Path) -> None:
    (tmp_path / "short.dcm").write_bytes(encode(image)[:-20])
    with pytest.raises(Broken, match=r"short\.dcm"):
        next(read_planes(tmp_path / "short.dcm"))


@pytest.mark.parametrize("syntax", ACCEPTED)
def test_every_transfer_syntax_that_is_accepted_can_be_decoded(syntax: str) -> None:
    if syntax.startswith("1.2.840.10008.1.2.4") or syntax.endswith(".1.2.5"):
        assert get_decoder(syntax).is_available


def test_the_same_image_in_every_lossless_syntax_has_the_same_values(
    real_images: Callable[[str], Path],
) -> None:
    folder = real_images("mr_transfer_syntaxes_dcm_qa_ts")
    names = {"1.2.840.10008.1.2.1", *ACCEPTED}
    decoded = [next(read_planes(path)) for path in sorted(folder.rglob("*.dcm")) if _syntax(path) in names]
    assert len(decoded) > 3
    assert all(np.array_equal(values, decoded[0]) for values in decoded[1:])


def _syntax(path: Path) -> str:

    return str(dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID)


def test_a_bit_that_turned_on_the_disk_is_found_before_the_pixels_are_used(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    image = factories.ct_series(factories.grid(shape=(5, 8, 8)))[0]
    assert receive(spool, image).status == 0x0000
    (path,) = (spool.root / "incoming").iterdir()
    next(read_planes(path))
    content = bytearray(path.read_bytes())
    content[-7] ^= 4
    path.write_bytes(content)
    with pytest.raises(Broken, match="is not what was received"):
        next(read_planes(path))


def radiograph(photometric: str) -> Dataset:
    image = factories.ct_series(GRID)[0]
    store(image, np.arange(30, dtype="<u2").reshape(6, 5) * 100)
    image.RescaleSlope, image.RescaleIntercept = 1, 0
    image.PhotometricInterpretation, image.Modality = photometric, "DX"
    image.WindowCenter, image.WindowWidth = 1500, 1000
    return image


def test_a_radiograph_is_windowed_as_its_header_says(tmp_path: Path) -> None:
    (tmp_path / "image.dcm").write_bytes(encode(radiograph("MONOCHROME2")))
    shown = read_radiograph(tmp_path / "image.dcm", None, FrameReference("1.2.3"))
    assert shown.spacing_mm is None
    assert shown.values[0, 0] == shown.values[1, 4] == shown.values.min()  # 0 and 900: below the window
    assert shown.values[4, 1] == shown.values[5, 4] == shown.values.max()  # 2100 and 2900: above it
    assert shown.values[3, 0] > shown.values[2, 1]


def test_monochrome1_is_turned_so_that_bright_is_dense(tmp_path: Path) -> None:
    for name in ("MONOCHROME1", "MONOCHROME2"):
        (tmp_path / f"{name}.dcm").write_bytes(encode(radiograph(name)))
    scale = ImageScale(PixelSpacing(0.2, 0.3), "calibrated by geometry", calibrated=True)
    one, two = (
        read_radiograph(tmp_path / f"{name}.dcm", scale, FrameReference("1.2.3"))
        for name in ("MONOCHROME1", "MONOCHROME2")
    )
    assert np.allclose(one.values, two.values.max() + two.values.min() - two.values)
    assert (one.spacing_mm, one.calibrated) == ((0.2, 0.3), True)
