"""One file out of a package, and a package out of a file that is trusted in nothing."""

import json
import os
import pickle
import stat
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import pytest
import yaml

from models import packaging
from models.packaging import DIGESTS, Limits, install, pack
from models.registry import Package, PackageError, digest, find, read
from tests.unit.models.packages import with_weights, written

Files = dict[str, bytes]


@pytest.fixture
def package(tmp_path: Path) -> Package:
    """A complete package with a card."""
    made = with_weights(tmp_path / "made" / "tiny")
    (made.folder / "CARD.md").write_text("# Tiny\n", encoding="utf-8")
    return made


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site's folder of packages."""
    return tmp_path / "site"


def files_of(package: Package) -> Files:
    return {path.name: path.read_bytes() for path in package.folder.iterdir()}


def with_digests(files: Files, **changes: object) -> Files:
    contents = {name: {"bytes": len(held), "sha256": sha256(held).hexdigest()} for name, held in files.items()}
    said = {"format": 1, "package": "tiny", "version": "1.0.0", "files": contents} | changes
    return {DIGESTS: json.dumps(said).encode(), **files}


def archive(path: Path, files: Mapping[str, bytes], compression: int = ZIP_STORED) -> Path:
    with ZipFile(path, "w", compression) as packed:
        for name, held in files.items():
            packed.writestr(name, held)
    return path


def sealed(weights: bytes, **changes: object) -> Files:
    """Files whose digests all fit these weights."""
    manifest = written(**changes) | {"weights": {"sha256": sha256(weights).hexdigest()}}
    return {"manifest.yaml": yaml.safe_dump(manifest).encode(), "weights.safetensors": weights}


def test_a_packed_package_is_installed_byte_for_byte(package: Package, site: Path, tmp_path: Path) -> None:
    installed = install(pack(package, tmp_path), site)
    assert installed.folder == site / "tiny"
    assert files_of(installed) == files_of(package)
    assert list(find([site])) == ["tiny"]


def test_the_file_is_the_same_on_any_day_and_of_any_copy(package: Package, tmp_path: Path) -> None:
    first = digest(pack(package, tmp_path))
    for path in package.folder.iterdir():
        os.utime(path, (time.time() - 10_000_000,) * 2)
        path.chmod(0o600)
    assert digest(pack(package, tmp_path)) == first


def test_the_file_names_what_it_holds(package: Package, tmp_path: Path) -> None:
    path = pack(package, tmp_path)
    assert path.name == "tiny-1.0.0.zip"
    with ZipFile(path) as packed:
        assert packed.namelist()[0] == DIGESTS
        said = json.loads(packed.read(DIGESTS))
        assert packed.testzip() is None
    assert said["files"]["weights.safetensors"]["sha256"] == package.manifest.weights_sha256


def test_a_package_with_changed_weights_is_not_packed(package: Package, tmp_path: Path) -> None:
    package.weights.write_bytes(package.weights.read_bytes() + b"\0")
    with pytest.raises(PackageError, match="has SHA-256"):
        pack(package, tmp_path)


@pytest.mark.parametrize("name", ["run.py", ".hidden.json", "weights.bin"])
def test_what_is_no_part_of_a_package_is_not_packed(package: Package, tmp_path: Path, name: str) -> None:
    (package.folder / name).write_text("x", encoding="utf-8")
    with pytest.raises(PackageError, match="is no file of a package"):
        pack(package, tmp_path)


def test_a_link_is_not_packed(package: Package, tmp_path: Path) -> None:
    (package.folder / "notes.txt").symlink_to("/etc/hostname")
    with pytest.raises(PackageError, match="is a link or a folder"):
        pack(package, tmp_path)


def refused(site: Path, file: Path, complaint: str, **options: object) -> None:
    """Nothing is installed, nothing is left behind, and the sentence names the file and says why."""
    before = sorted(site.rglob("*")) if site.exists() else []
    with pytest.raises(PackageError, match=complaint) as error:
        install(file, site, **options)  # type: ignore[arg-type]
    assert str(file) in str(error.value) or str(site) in str(error.value)
    assert (sorted(site.rglob("*")) if site.exists() else []) == before


@pytest.mark.parametrize(
    "name",
    [
        "../outside.json",
        "/etc/outside.json",
        "a/b.json",
        "a\\b.json",
        "C:outside.json",
        ".rc.json",
        "run.py",
        "x\n.md",
    ],
)
def test_a_name_that_could_lead_elsewhere_is_refused(package: Package, site: Path, tmp_path: Path, name: str) -> None:
    file = archive(tmp_path / "bad.zip", with_digests(files_of(package) | {name: b"{}"}))
    refused(site, file, "is no file of a package")
    assert not list(tmp_path.rglob("outside*"))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO], ids=["link", "folder", "pipe"])
def test_what_is_no_plain_file_is_refused(package: Package, site: Path, tmp_path: Path, kind: int) -> None:
    file = archive(tmp_path / "bad.zip", with_digests(files_of(package)))
    with ZipFile(file, "a") as packed:
        entry = ZipInfo("notes.txt")
        entry.create_system, entry.external_attr = 3, (kind | 0o777) << 16
        packed.writestr(entry, "/etc/passwd")
    refused(site, file, "notes.txt is a link or a folder")


def test_a_pickle_that_calls_itself_safetensors_is_refused_unopened(site: Path, tmp_path: Path) -> None:
    witness = tmp_path / "it was run"

    class Trap:
        def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
            return os.system, (f"touch '{witness}'",)

    file = archive(tmp_path / "bad.zip", with_digests(sealed(pickle.dumps(Trap()))))
    refused(site, file, "weights.safetensors is not a safetensors file")
    assert not witness.exists()


def test_weights_that_end_early_are_refused_by_their_own_header(package: Package, site: Path, tmp_path: Path) -> None:
    cut = package.weights.read_bytes()[:-10]
    refused(site, archive(tmp_path / "bad.zip", with_digests(sealed(cut))), "is not a safetensors file")


def test_weights_that_were_changed_after_packing_are_refused(package: Package, site: Path, tmp_path: Path) -> None:
    files = with_digests(files_of(package))
    weights = bytearray(files["weights.safetensors"])
    weights[-1] ^= 1
    file = archive(tmp_path / "bad.zip", files | {"weights.safetensors": bytes(weights)})
    refused(site, file, "weights.safetensors is not what digests.json says")


def test_weights_that_the_manifest_does_not_mean_are_refused(package: Package, site: Path, tmp_path: Path) -> None:
    files = files_of(package)
    files["manifest.yaml"] = yaml.safe_dump(written(weights={"sha256": "1" * 64})).encode()
    refused(site, archive(tmp_path / "bad.zip", with_digests(files)), "the manifest says 1111")


def test_bytes_that_were_flipped_on_the_way_are_refused(package: Package, site: Path, tmp_path: Path) -> None:
    file = pack(package, tmp_path)
    held = bytearray(file.read_bytes())
    held[len(held) // 2] ^= 0xFF
    file.write_bytes(held)
    refused(site, file, "is not a packed package|is not what digests.json says")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        pytest.param({"on_load": "import os"}, "manifest.yaml: .*on_load: Extra inputs", id="unknown key"),
        pytest.param({"name": "../../etc"}, "manifest.yaml: .*name", id="name that is a path"),
        pytest.param({"name": "other"}, "says tiny 1.0.0, its manifest says other", id="name of another"),
        pytest.param({"version": "2.0.0"}, "its manifest says tiny 2.0.0", id="version of another"),
    ],
)
def test_a_manifest_that_is_wrong_is_refused(
    package: Package, site: Path, tmp_path: Path, changes: dict[str, object], complaint: str
) -> None:
    files = sealed(package.weights.read_bytes(), **changes)
    refused(site, archive(tmp_path / "bad.zip", with_digests(files)), complaint)


def test_a_manifest_runs_no_code(package: Package, site: Path, tmp_path: Path) -> None:
    files = files_of(package) | {"manifest.yaml": b"!!python/object/apply:os.system ['exit']"}
    refused(site, archive(tmp_path / "bad.zip", with_digests(files)), "is not YAML")


def test_a_manifest_without_end_is_refused(package: Package, site: Path, tmp_path: Path) -> None:
    files = files_of(package) | {"manifest.yaml": b"[" * 100_000}
    refused(site, archive(tmp_path / "bad.zip", with_digests(files)), "nested too deeply")


def test_a_file_that_no_digest_vouches_for_is_refused(package: Package, site: Path, tmp_path: Path) -> None:
    file = archive(tmp_path / "bad.zip", with_digests(files_of(package)) | {"extra.txt": b"x"})
    refused(site, file, "extra.txt is in digests.json or in the archive, and not in both")


def test_a_file_that_is_promised_and_not_there_is_named(package: Package, site: Path, tmp_path: Path) -> None:
    files = with_digests(files_of(package))
    del files["CARD.md"]
    refused(site, archive(tmp_path / "bad.zip", files), "CARD.md is in digests.json")


def test_an_archive_without_digests_is_refused(package: Package, site: Path, tmp_path: Path) -> None:
    refused(site, archive(tmp_path / "bad.zip", files_of(package)), "has no digests.json")


def test_what_is_no_archive_is_refused(site: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.zip").write_bytes(b"no archive")
    refused(site, tmp_path / "bad.zip", "is not a packed package")


def test_a_bomb_is_refused_before_it_is_unpacked(package: Package, site: Path, tmp_path: Path) -> None:
    files = with_digests(files_of(package) | {"notes.txt": b"\0" * 10_000_000})
    refused(site, archive(tmp_path / "bad.zip", files, ZIP_DEFLATED), "compressed or encrypted")


def test_files_larger_than_allowed_are_refused(package: Package, site: Path, tmp_path: Path) -> None:
    file = pack(package, tmp_path)
    refused(site, file, "weights.safetensors has .* more than the 100 allowed", limits=Limits(weights=100))
    refused(site, file, "more than the 10 allowed", limits=Limits(text=10))


def test_too_many_files_are_refused(package: Package, site: Path, tmp_path: Path) -> None:
    many = {f"note_{number}.txt": b"" for number in range(packaging.MOST_FILES)}
    refused(site, archive(tmp_path / "bad.zip", with_digests(files_of(package) | many)), "at most 64")


def test_the_same_name_twice_is_refused(package: Package, site: Path, tmp_path: Path) -> None:
    file = archive(tmp_path / "bad.zip", with_digests(files_of(package) | {"card.md": b"another"}))
    refused(site, file, "twice")


def test_a_package_that_is_there_stays_unless_it_is_to_be_replaced(
    package: Package, site: Path, tmp_path: Path
) -> None:
    file = pack(package, tmp_path)
    install(file, site)
    (site / "tiny" / "CARD.md").write_text("# Ours\n", encoding="utf-8")
    refused(site, file, r"is there \(1.0.0\): say --replace")
    assert (site / "tiny" / "CARD.md").read_text(encoding="utf-8") == "# Ours\n"
    install(file, site, replace=True)
    assert (site / "tiny" / "CARD.md").read_text(encoding="utf-8") == "# Tiny\n"
    assert [path.name for path in site.iterdir()] == ["tiny"]


def test_a_failed_replacement_leaves_the_package_that_was_there(package: Package, site: Path, tmp_path: Path) -> None:
    install(pack(package, tmp_path), site)
    files = with_digests(files_of(package)) | {"CARD.md": b"# Changed\n"}
    refused(site, archive(tmp_path / "bad.zip", files), "CARD.md is not what", replace=True)
    assert read(site / "tiny").manifest == package.manifest


def test_a_built_in_name_is_taken(package: Package, site: Path, tmp_path: Path) -> None:
    files = sealed(package.weights.read_bytes(), name="hippocampus")
    file = archive(tmp_path / "bad.zip", with_digests(files, package="hippocampus"))
    refused(site, file, "a package named hippocampus is built in", replace=True)


def test_a_folder_of_the_same_name_that_is_no_package_is_left_alone(
    package: Package, site: Path, tmp_path: Path
) -> None:
    (site / "tiny").mkdir(parents=True)
    (site / "tiny" / "notes").write_text("mine", encoding="utf-8")
    refused(site, pack(package, tmp_path), "of no version")
