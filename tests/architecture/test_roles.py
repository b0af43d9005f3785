"""What each role loads when it starts: a fresh interpreter, and its modules."""

import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "monai",
    "sqlalchemy",
    "alembic",
    "SimpleITK",
    "highdicom",
    "nibabel",
    "scipy",
    "apscheduler",
    "cryptography",
    "pynetdicom",
    "pydicom",
)
_DICOM = {"pynetdicom", "pydicom"}
_DISPATCHING = _DICOM | {"sqlalchemy", "alembic", "apscheduler", "cryptography"}
MAY_LOAD = {
    "service.roles.receiver": set(),
    "service.roles.acceptor": _DICOM,
    "service.roles.dispatcher": _DISPATCHING,
    "service.roles.node": _DISPATCHING,
    "service.edge.decoder": {"pydicom"},
    "service.cli": set(),
}


@pytest.mark.parametrize("module", sorted(MAY_LOAD))
def test_a_role_loads_no_heavy_library_that_it_has_no_use_for(module: str) -> None:
    program = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert set(loaded) <= MAY_LOAD[module]
