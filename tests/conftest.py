"""What every test may ask for: real images, and the tools of other makers."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import pytest

from tests.durability.disks import DiskRefusedError, Ext4, ext4

_DEBIAN = "/usr/bin:/usr/sbin"  # first: pynetdicom brings a storescu of its own, and DCMTK's is meant
_BESIDE_PYTHON = Path(sys.executable).parent  # where pip puts dcmqi
_JARS = [
    Path("/usr/share/java") / f"{jar}.jar" for jar in ("pixelmed", "vecmath", "commons-codec", "slf4j-api", "slf4j-nop")
]
_JAVA = [  # its style sheets are larger than what Java allows by itself
    *(f"-Djdk.xml.xpath{limit}=0" for limit in ("ExprGrpLimit", "ExprOpLimit", "TotalOpLimit")),
    "-Xss64m",
    "-Xmx3g",
]
DICOM_WEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_images() -> Callable[[str], Path]:
    """A folder of real images by name; skips with a reason where the images are absent."""

    def folder(name: str) -> Path:
        path = SHARED_DATA / name
        if not path.is_dir():
            pytest.skip(f"the real images {name} are not beside this checkout")
        return path

    return folder


@pytest.fixture(scope="session")
def outside_tool() -> Callable[[str], str]:
    """The path of a program of another maker; absent it is a skip with a reason, and in CI a failure."""

    def path(program: str) -> str:
        found = shutil.which(program, path=_DEBIAN) or shutil.which(program) or shutil.which(_BESIDE_PYTHON / program)
        if found:
            return found
        _is_absent(program)

    return path


@pytest.fixture(scope="session")
def pixelmed(outside_tool: Callable[[str], str]) -> list[str]:
    """How to start a program of PixelMed: its class and arguments follow; absent as `outside_tool`."""
    java = outside_tool("java")
    if not _JARS[0].is_file():
        _is_absent(_JARS[0].name)
    return [java, *_JAVA, "-cp", ":".join(map(str, _JARS))]


@pytest.fixture(scope="session")
def dicom_web_plugin() -> Path:
    """The DICOMweb plugin of Orthanc; absent as `outside_tool`."""
    if not DICOM_WEB_PLUGIN.is_file():
        _is_absent(DICOM_WEB_PLUGIN.name)
    return DICOM_WEB_PLUGIN


def _is_absent(program: str) -> NoReturn:
    message = f"{program} is not installed: run `make tools` as root on Debian or Ubuntu"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Ext4]:
    """A disk whose power can be cut; skips with a reason where none can be mounted."""
    with ExitStack() as stack:
        try:
            lent = stack.enter_context(ext4(tmp_path / "power"))
        except DiskRefusedError as reason:
            pytest.skip(str(reason))
        yield lent
