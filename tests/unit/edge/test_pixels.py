"""Stored values as the modality means them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset

from models.volume import Radiograph, Volume
from service.assemble import record_of
from service.core.entities import FrameReference, ImageScale, PixelSpacing, Projection, Stack, StackRecord
from service.core.errors import Broken, Unsuitable
from service.core.stacking import split
from service.derived.encoding import encode
from service.edge.part10 import read_instance
from service.edge.pixels import read_image, read_planes, read_radiograph, read_volume
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


PET_SLOPES = (0.4823913, 1.0, 3.0e-5)


@pytest.mark.parametrize("slope", PET_SLOPES)
def test_fractions_of_a_slope_are_rounded_once(slope: float, image: Dataset, tmp_path: Path) -> None:
    stored = np.random.default_rng(0).integers(-32768, 32768, (6, 5))
    store(image, stored.astype("<i2"))
    image.PixelRepresentation, image.BitsStored, image.HighBit = 1, 16, 15
    image.RescaleSlope, image.RescaleIntercept = str(slope), "-0.125"
    assert np.array_equal(plane(image, tmp_path), (stored * slope - 0.125).astype(np.float32))


def test_whole_numbers_keep_every_digit(image: Dataset, tmp_path: Path) -> None:
    store(image, np.full((6, 5), 65535, dtype="<u2"))
    image.BitsStored, image.HighBit, image.RescaleSlope, image.RescaleIntercept = 16, 15, 257, 8_000_003
    assert np.all(plane(image, tmp_path) == np.float32(65535 * 257 + 8_000_003))


@pytest.mark.parametrize(
    ("slope", "intercept", "reason"),
    [
        pytest.param("2", None, "both are needed", id="no intercept"),
        pytest.param("1e400", "0", "must be finite", id="infinite"),
    ],
)
def test_a_rescale_that_says_nothing_clear_is_refused(
    slope: str, intercept: str | None, reason: str, image: Dataset, tmp_path: Path
) -> None:
    image.RescaleSlope = slope
    del image.RescaleIntercept
    if intercept is not None:
        image.RescaleIntercept = intercept
    with pytest.raises(Broken, match=reason):
        plane(image, tmp_path)


@pytest.mark.parametrize(
    ("vr", "written"),
    [
        pytest.param("US", [7, 300, 65000], id="as US"),
        pytest.param("OW", np.array([7, 300, 65000], dtype="<u2").tobytes(), id="as OW"),
    ],
)
def test_a_modality_lut_gives_its_entries_and_its_ends_beyond_them(
    vr: str, written: object, image: Dataset, tmp_path: Path
) -> None:
    values = np.full((6, 5), -4, dtype="<i2")
    values[0], values[1], values[2] = -3, -2, 2000
    store(image, values)
    image.PixelRepresentation, image.BitsStored, image.HighBit = 1, 16, 15
    del image.RescaleSlope, image.RescaleIntercept
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [3, 65536 - 4, 16])  # the first value mapped is -4
    table.add_new("LUTData", vr, written)
    table.ModalityLUTType = "US"
    image.ModalityLUTSequence = [table]
    assert plane(image, tmp_path)[:4, 0].tolist() == [300.0, 65000.0, 65000.0, 7.0]


def test_a_modality_lut_that_is_too_short_is_refused(image: Dataset, tmp_path: Path) -> None:
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [4, 0, 16], "US"
    table.add_new("LUTData", "US", [1, 2, 3])
    image.ModalityLUTSequence = [table]
    with pytest.raises(Broken, match="4 entries and has 3"):
        plane(image, tmp_path)


def test_padding_may_be_a_range_and_be_written_as_unsigned(image: Dataset, tmp_path: Path) -> None:
    values = np.full((6, 5), 50, dtype="<i2")
    values[0], values[1], values[2] = -2000, -1990, 10
    store(image, values)
    image.PixelRepresentation, image.BitsStored, image.HighBit = 1, 16, 15
    image.RescaleSlope, image.RescaleIntercept = 1, 0
    image.add_new("PixelPaddingValue", "US", 65536 - 2000)
    image.add_new("PixelPaddingRangeLimit", "US", 65536 - 1990)
    assert plane(image, tmp_path)[:4, 0].tolist() == [10.0, 10.0, 10.0, 50.0]


def test_signed_monochrome1_is_turned_without_running_over(image: Dataset, tmp_path: Path) -> None:
    values = np.full((6, 5), -2048, dtype="<i2")
    values[0] = 2047
    store(image, values)
    image.Modality, image.PhotometricInterpretation, image.PixelRepresentation = "DX", "MONOCHROME1", 1
    image.RescaleSlope, image.RescaleIntercept = 1, 0
    assert plane(image, tmp_path)[:2, 0].tolist() == [-2048.0, 2047.0]


def enhanced(image: Dataset, frames: int) -> Dataset:
    """A multi-frame image whose frame n holds n and has the slope n + 0.5."""
    image.NumberOfFrames = frames
    image.PixelData = b"".join(np.full((6, 5), n, dtype="<u2").tobytes() for n in range(1, frames + 1))
    items = []
    for number in range(1, frames + 1):
        transformation, item = Dataset(), Dataset()
        transformation.RescaleSlope, transformation.RescaleIntercept = number + 0.5, -1
        item.PixelValueTransformationSequence = [transformation]
        items.append(item)
    image.PerFrameFunctionalGroupsSequence = items
    return image


def test_each_frame_has_the_rescale_of_its_functional_group(image: Dataset, tmp_path: Path) -> None:
    (tmp_path / "enhanced.dcm").write_bytes(encode(enhanced(image, 3)))
    planes = read_planes(tmp_path / "enhanced.dcm", [3, 1])
    assert [float(values[0, 0]) for values in planes] == [3 * 3.5 - 1, 1 * 1.5 - 1]


def test_a_frame_that_is_not_there_is_named(image: Dataset, tmp_path: Path) -> None:
    (tmp_path / "enhanced.dcm").write_bytes(encode(enhanced(image, 3)))
    with pytest.raises(Broken, match=r"enhanced\.dcm: it has 3 frames, and no frame 4"):
        next(read_planes(tmp_path / "enhanced.dcm", [4]))


def test_a_grid_that_no_memory_holds_is_refused_before_any_is_taken(tmp_path: Path) -> None:
    grid = factories.grid(shape=(2000, 65535, 65535))
    with pytest.raises(Unsuitable, match="2000 slices of 65535 x 65535 pixels"):
        read_volume([(tmp_path / "absent.dcm", FrameReference("1"))], grid)


def image_of(images: Sequence[Dataset], folder: Path) -> Radiograph | Volume:
    """What the record of a stack of these images shows."""
    paths = {str(each.SOPInstanceUID): folder / f"{number}.dcm" for number, each in enumerate(images)}
    for each in images:
        paths[str(each.SOPInstanceUID)].write_bytes(encode(each))
    (part,) = split([read_instance(path) for path in paths.values()])
    assert isinstance(part, (Projection, Stack))
    stack = record_of(part, datetime(2026, 1, 1, tzinfo=UTC))
    assert isinstance(stack, StackRecord)
    return read_image([(paths[frame.sop_instance_uid], frame) for frame in stack.frames], stack)


def test_the_record_of_a_radiograph_is_shown_with_the_scale_of_its_header(tmp_path: Path) -> None:
    sent = factories.dx_image()
    shown = image_of([sent], tmp_path)
    assert isinstance(shown, Radiograph)
    assert (shown.spacing_mm, shown.calibrated) == ((0.2, 0.2), False)
    assert np.corrcoef(shown.values.ravel(), factories.chest().ravel())[0, 1] > 0.9999


def test_the_record_of_a_volume_is_shown_on_its_grid(tmp_path: Path) -> None:
    shown = image_of(factories.ct_series(GRID), tmp_path)
    assert isinstance(shown, Volume)
    assert shown.grid.matches(GRID)
