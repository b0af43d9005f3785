"""Facts read without a parser are those that the parser reads."""

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import Dataset

from service.core.errors import Broken
from service.derived.encoding import encode
from service.edge.part10 import is_dicom, read_instance, read_instance_thoroughly
from service.edge.quick_header import Wanted, read_quickly
from tests import factories

WANTED = Wanted(["SeriesDescription", "Rows", "DiffusionBValue", "EchoTime", "ImageType", "PatientID"])


@pytest.fixture
def image() -> Dataset:
    return factories.ct_series(factories.grid(shape=(5, 8, 8)))[0]


def stored(image: Dataset, folder: Path) -> Path:
    (folder / "image.dcm").write_bytes(encode(image))
    return folder / "image.dcm"


def test_every_real_image_has_the_same_facts_both_ways(real_images: Callable[[str], Path]) -> None:
    quick = 0
    for name in ("mr_prostatex_0001", "ct_philips_S21570_localizer_axial_sc", "ibsi_sts", "seg_sr_examples"):
        for path in filter(is_dicom, (each for each in real_images(name).rglob("*") if each.is_file())):
            quick += read_quickly(path, WANTED) is not None
            assert facts(read_instance, path) == facts(read_instance_thoroughly, path), path.name
    assert quick > 200


def facts(read: Callable[[Path], object], path: Path) -> object:
    try:
        return read(path)
    except Broken as error:
        return str(error)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        pytest.param("SeriesDescription", " Schädel nativ ", id="an umlaut and blanks"),
        pytest.param("SeriesDescription", "", id="an empty value"),
        pytest.param("SeriesDescription", "頭部", id="two-byte characters"),
        pytest.param("DiffusionBValue", 800.5, id="a double"),
        pytest.param("EchoTime", "2.50", id="a number in text"),
        pytest.param("ImageType", ["ORIGINAL", "PRIMARY", "M", "ND"], id="several values"),
        pytest.param("PatientID", "A\\B", id="a backslash in an identifier"),
        pytest.param("StudyDescription", "x" * 3000, id="a value that is far too long"),
    ],
)
def test_a_value_is_the_same_both_ways(image: Dataset, tmp_path: Path, keyword: str, value: object) -> None:
    setattr(image, keyword, value)
    path = stored(image, tmp_path)
    assert read_quickly(path, WANTED) is not None
    assert read_instance(path) == read_instance_thoroughly(path)


def test_a_header_longer_than_the_first_bytes_is_parsed(image: Dataset, tmp_path: Path) -> None:
    image.add_new(0x00091010, "OB", b"\0" * 100_000)
    path = stored(image, tmp_path)
    assert read_quickly(path, WANTED) is None
    assert read_instance(path).sop_instance_uid == image.SOPInstanceUID


def test_what_was_not_wanted_cannot_be_asked_for(image: Dataset, tmp_path: Path) -> None:
    quick = read_quickly(stored(image, tmp_path), WANTED)
    assert quick is not None
    with pytest.raises(KeyError):
        quick.header.get("KVP")
