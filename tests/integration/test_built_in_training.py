"""Each package that is shipped trains from its data folder by one command, twice to the same weights."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from models.registry import BUILT_IN, digest, find, read
from models.training.evaluation import EVALUATION
from models.training.recipe import RECIPE

DATA = {
    "fvc_decline": "osic_fvc",
    "hippocampus": "hippocampus_msd",
    "left_atrium": "left_atrium_msd_2.5mm",
    "phantom_abdomen": None,
    "pneumonia": "cxr_kermany_train224",
}
FEW = {"iterations": 4, "validate_every": 2, "warm_up": 1}

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(1800)]


def isocenter(folder: Path, *words: object) -> None:
    """`isocenter ...` in a folder; one thread, so that sums are added up in one order."""
    run = subprocess.run(
        [sys.executable, "-m", "service", *map(str, words)],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(BUILT_IN.parent.parent)},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def copied(name: str, folder: Path) -> Path:
    return Path(shutil.copytree(find()[name].folder, folder / name))


@pytest.mark.parametrize("name", DATA)
def test_a_package_that_is_shipped_trains_twice_to_the_same_weights(
    name: str, real_images: Callable[[str], Path], tmp_path: Path
) -> None:
    digests = []
    for turn in ("once", "twice"):
        package = copied(name, tmp_path / turn)
        recipe = yaml.safe_load((package / RECIPE).read_text(encoding="utf-8"))
        (package / RECIPE).write_text(yaml.safe_dump(recipe | FEW), encoding="utf-8")
        data = DATA[name]
        given = ("--data", real_images(data)) if data else ()
        isocenter(package.parent, "train", package, *given, "--run", tmp_path / turn / "run")
        digests.append(digest(read(package).weights))
    assert digests[0] == digests[1] != find()[name].manifest.weights_sha256


@pytest.mark.parametrize("name", sorted(DATA.keys() - {"left_atrium"}))  # whose figures are those of five folds
def test_the_figures_of_a_card_come_out_again(name: str, real_images: Callable[[str], Path], tmp_path: Path) -> None:
    package, data = copied(name, tmp_path), DATA[name]
    before = (package / "CARD.md").read_text(encoding="utf-8")
    (package / EVALUATION).unlink()
    isocenter(tmp_path, "evaluate", package, *(("--data", real_images(data)) if data else ()))
    assert (package / "CARD.md").read_text(encoding="utf-8") == before
