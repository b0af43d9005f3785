"""A model folder of nnU-Net is run only as it was allowed, in a process of its own whose end is told in words."""

import resource
import tempfile
import time
from ast import literal_eval
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from models.inference import load
from models.packaging import pack
from models.preprocessing import closest_turn
from models.registry import Package, PackageError, digest, read
from models.runtimes.apart import Ended
from models.verification import checks
from models.volume import Grid, Volume
from tests import factories
from tests.unit.models.nnunet_folders import adopted, environment
from tests.unit.models.packages import CODE, manifest

GRID = factories.grid("oblique", shape=(7, 9, 11), spacing_mm=(3.0, 2.0, 1.0))


def volume(grid: Grid = GRID) -> Volume:
    values = np.random.default_rng(1).uniform(0, 200, grid.shape).astype(np.float32)
    return Volume(grid, values)


@pytest.mark.parametrize("orientation", ["axial", "sagittal", "coronal", "oblique"])
def test_labels_come_back_where_the_image_is_bright(tmp_path: Path, orientation: str) -> None:
    package = adopted(tmp_path)
    shown = volume(factories.grid(orientation, shape=(7, 9, 11), spacing_mm=(3.0, 2.0, 1.0)))
    findings = load(package, "cpu", environment(tmp_path, package))(shown)
    assert np.array_equal(findings.layers[0].labels, shown.values > 100)


def test_the_image_is_given_along_the_axes_of_the_manifest_with_its_spacing_in_their_order(tmp_path: Path) -> None:
    package = adopted(tmp_path)
    seen = tmp_path / "seen"
    special = f"Path({str(seen)!r}).write_text(repr((image.shape, properties['spacing'], float(image[0, -1, 0, 0]))))"
    shown = volume(factories.grid("sagittal", shape=(7, 9, 11), spacing_mm=(3.0, 2.0, 1.0)))
    load(package, "cpu", environment(tmp_path, package, special))(shown)
    turn = closest_turn(shown.grid, "SAR")
    turned = np.flip(shown.values.transpose(turn.order), turn.flipped)
    spacing_mm = [float(shown.grid.spacing_mm[axis]) for axis in turn.order]
    assert seen.read_text(encoding="utf-8") == repr(((1, *turned.shape), spacing_mm, float(turned[-1, 0, 0])))
    assert turn.order != (0, 1, 2)


def test_a_sheared_volume_is_shown_upright_and_its_labels_come_back_on_its_own_grid(tmp_path: Path) -> None:
    affine = factories.grid("axial", shape=(9, 24, 20), spacing_mm=(4.0, 2.0, 2.0)).affine.copy()
    affine[1, 0] = 1.0
    grid = Grid((9, 24, 20), affine)
    values = np.zeros(grid.shape, dtype=np.float32)
    values[3:6, 8:16, 6:14] = 200
    package = adopted(tmp_path)
    labels = load(package, "cpu", environment(tmp_path, package))(Volume(grid, values)).layers[0].labels
    assert labels.shape == grid.shape
    assert 2 * np.sum(labels * (values > 100)) / (np.sum(labels) + np.sum(values > 100)) > 0.85


def test_a_probability_is_told_where_a_label_asks_for_it(tmp_path: Path) -> None:
    label = {"value": 1, "name": "Liver", "category": CODE, "type": CODE, "color_rgb": [1, 2, 3]}
    package = adopted(tmp_path, labels=[label | {"measure": ["probability"]}])
    findings = load(package, "cpu", environment(tmp_path, package))(volume())
    assert findings.regions[0].probability == pytest.approx(1.0)


def test_the_process_stays_between_images(tmp_path: Path) -> None:
    package = adopted(tmp_path)
    seen = tmp_path / "seen"
    special = f"import os; Path({str(seen)!r}).open('a').write(f'{{os.getpid()}} ')"
    predictor = load(package, "cpu", environment(tmp_path, package, special))
    predictor(volume())
    predictor(volume())
    first, second = seen.read_text(encoding="utf-8").split()
    assert first == second


def test_the_process_has_no_network_and_nothing_of_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "secret")
    package, seen = adopted(tmp_path), tmp_path / "seen"
    special = f"import os, socket; Path({str(seen)!r}).write_text(repr((sorted(os.environ), socket.if_nameindex())))"
    load(package, "cpu", environment(tmp_path, package, special))(volume())
    names, interfaces = literal_eval(seen.read_text(encoding="utf-8"))
    assert set(names) <= {"HOME", "LANG", "LC_CTYPE", "OMP_NUM_THREADS", "PATH", "TMPDIR", "CUDA_VISIBLE_DEVICES"}
    assert [name for _, name in interfaces] == ["lo"]


@pytest.mark.parametrize(
    ("special", "error", "words"),
    [
        pytest.param("os = __import__('os'); os._exit(7)", Ended, r"died \(exit code 7\)", id="dies"),
        pytest.param(
            "import os; sys.stderr.write('first\\nlast words\\n'); sys.stderr.flush(); os._exit(7)",
            Ended,
            "exit code 7.: last words",
            id="dies with words",
        ),
        pytest.param("import os; os.kill(os.getpid(), 9)", Ended, "exit code -9", id="is killed"),
        pytest.param("__import__('time').sleep(60)", Ended, "took longer than 4 s", id="hangs"),
        pytest.param("raise MemoryError('too large')", MemoryError, "too large", id="memory"),
        pytest.param("bytearray(2**40)", MemoryError, "tiny", id="more memory than it may have"),
        pytest.param("raise RuntimeError('odd')", PackageError, "says RuntimeError: odd", id="raises"),
        pytest.param("return np.zeros((1, 2, 3), np.uint8)", PackageError, "answers with uint8", id="wrong shape"),
        pytest.param("return np.full(image[0].shape, 9)", PackageError, "answers with label 9", id="unknown label"),
    ],
)
def test_a_process_that_does_not_answer_is_told_in_words_and_started_again(
    tmp_path: Path, special: str, error: type[Exception], words: str
) -> None:
    package = adopted(tmp_path)
    once = tmp_path / "once"
    first = f"if not Path({str(once)!r}).exists(): Path({str(once)!r}).touch(); {special}"
    site = replace(environment(tmp_path, package, first), seconds=4.0, memory_bytes=4 * 2**30)
    predictor = load(package, "cpu", site)
    with pytest.raises(error, match=words):
        predictor(volume())
    assert predictor(volume()).found


def test_nothing_of_it_is_left_when_it_is_not_wanted_any_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = tmp_path / "room"
    room.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(room))
    package, seen = adopted(tmp_path), tmp_path / "seen"
    site = environment(tmp_path, package, f"import os; Path({str(seen)!r}).write_text(str(os.getpid()))")
    predictor = load(package, "cpu", site)
    predictor(volume())
    assert list(room.iterdir())
    del predictor
    assert not list(room.iterdir())
    until = time.monotonic() + 5
    while Path(f"/proc/{seen.read_text(encoding='utf-8')}").exists():
        assert time.monotonic() < until


def changed(package: Package, path: str, content: bytes) -> None:
    (package.folder / path).write_bytes(content)


def linked(package: Package, path: str) -> None:
    file = package.folder / path
    elsewhere = package.folder.parent / "elsewhere"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)


CHECKPOINT = "model/fold_0/checkpoint_final.pth"


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        pytest.param(lambda package: changed(package, CHECKPOINT, b"another"), "has SHA-256", id="checkpoint"),
        pytest.param(lambda package: changed(package, "model/plans.json", b"{}"), "has SHA-256", id="plans"),
        pytest.param(lambda package: changed(package, "files.sha256", b""), "the manifest says", id="listing"),
        pytest.param(lambda package: changed(package, "model/more.py", b""), "not in files.sha256", id="extra file"),
        pytest.param(lambda package: linked(package, CHECKPOINT), "is a link", id="link out of the folder"),
        pytest.param(lambda package: linked(package, "model/fold_0"), "is a link", id="link to a folder"),
        pytest.param(lambda package: (package.folder / CHECKPOINT).unlink(), "cannot be read", id="missing"),
    ],
)
def test_a_package_that_was_tampered_with_is_refused_before_anything_starts(
    tmp_path: Path, tamper: Any, words: str
) -> None:
    package = adopted(tmp_path)
    tamper(package)
    site = replace(environment(tmp_path, package), python=Path("/nowhere"))
    with pytest.raises(PackageError, match=words):
        load(package, "cpu", site)
    assert words in next(checks(package)).words


@pytest.mark.parametrize("path", ["../secret", "model/../../secret", "/etc/passwd", "model//x", "other/x"])
def test_a_listing_that_names_a_path_out_of_its_folder_is_refused(tmp_path: Path, path: str) -> None:
    package = adopted(tmp_path)
    package.weights.write_text(f"{'0' * 64}  {path}\n", encoding="utf-8")
    file = package.folder / "manifest.yaml"
    written = yaml.safe_load(file.read_text(encoding="utf-8"))
    written["weights"]["sha256"] = digest(package.weights)
    file.write_text(yaml.safe_dump(written), encoding="utf-8")
    again = read(package.folder)
    with pytest.raises(PackageError, match="is no SHA-256 with a path below model/"):
        load(again, "cpu", environment(tmp_path, again))


def test_without_an_environment_or_leave_the_package_is_refused_with_the_cure(tmp_path: Path) -> None:
    package = adopted(tmp_path)
    with pytest.raises(PackageError, match=r"name it by inferring\.nnunet in node\.yaml"):
        load(package, "cpu")
    with pytest.raises(PackageError, match=f"add {package.manifest.weights_sha256} to inferring.nnunet.allowed"):
        load(package, "cpu", environment(tmp_path, package, allowed=frozenset({"0" * 64})))


def test_a_python_that_is_not_there_is_refused_with_the_cure(tmp_path: Path) -> None:
    package = adopted(tmp_path)
    with pytest.raises(PackageError, match=r"/nowhere cannot be started \(No such file"):
        load(package, "cpu", environment(tmp_path, package, python=Path("/nowhere")))


def test_without_room_for_the_copy_it_is_no_fault_of_the_package_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, rooms = adopted(tmp_path), tmp_path / "rooms"
    site = environment(tmp_path, package)
    rooms.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(rooms))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            load(package, "cpu", site)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(rooms.iterdir()) == []


def test_a_python_without_nnunet_is_refused_with_what_it_says(tmp_path: Path) -> None:
    package = adopted(tmp_path)
    site = environment(tmp_path, package)
    (site.python.parents[1] / "lib").rename(site.python.parents[1] / "gone")
    with pytest.raises(PackageError, match="ModuleNotFoundError: No module named"):
        load(package, "cpu", site)


@pytest.mark.parametrize(
    ("section", "changes", "words"),
    [
        pytest.param("inference", {"patch": [16, 16, 32]}, r"inference.patch: the manifest says", id="patch"),
        pytest.param("inference", {"mirror_axes": [0]}, r"inference.mirror_axes", id="mirroring"),
        pytest.param("preprocessing", {"spacing_mm": [1, 1, 1]}, "preprocessing.spacing_mm: the", id="spacing"),
    ],
)
def test_a_manifest_that_says_other_than_the_checkpoint_is_refused(
    tmp_path: Path, section: str, changes: dict[str, Any], words: str
) -> None:
    package = adopted(tmp_path)
    path = package.folder / "manifest.yaml"
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    written[section] |= changes
    path.write_text(yaml.safe_dump(written), encoding="utf-8")
    with pytest.raises(PackageError, match=words):
        load(read(package.folder), "cpu", environment(tmp_path, package))


def test_such_a_package_does_not_travel_as_an_archive(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="is no file of a package"):
        pack(adopted(tmp_path), tmp_path)


def test_the_makers_own_intensities_are_for_nnunet_alone(tmp_path: Path) -> None:
    own = {"spacing_mm": [1, 1, 1], "intensity": {"kind": "own"}}
    with pytest.raises(ValueError, match="of kind own for nnunet"):
        manifest(preprocessing=own)
