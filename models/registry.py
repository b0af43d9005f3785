"""Model packages on disk, listed and checked without torch."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from models.architectures import NnUNet, OnnxGraph
from models.manifest import Chain, Classification, Location, Manifest, Regression, Segmentation, parse

BUILT_IN = Path(__file__).parent / "packages"
MANIFEST = "manifest.yaml"
SAFETENSORS_SUFFIX = ".safetensors"
ONNX_SUFFIX = ".onnx"
LISTING_SUFFIX = ".sha256"


class PackageError(ValueError):
    """A model package is not what it should be; the sentence names the file and the cure."""


@dataclass(frozen=True, slots=True)
class Package:
    """A folder with a manifest, a card and weights."""

    folder: Path
    manifest: Manifest
    steps: tuple["Package", ...] = ()  # of a chain that was bound to them: models/chains.py

    @property
    def weights(self) -> Path:
        """Where the weights lie. Raises PackageError for a chain, which has none of its own."""
        if self.manifest.weights is None:
            raise PackageError(f"{self.folder} has no weights of its own: they are those of its steps")
        return self.folder / self.manifest.weights.file


def segmentation(package: Package) -> Segmentation:
    """The manifest of a package that marks structures. Raises PackageError for any other kind of model."""
    if not isinstance(package.manifest, Segmentation):
        raise PackageError(f"{package.folder} is no segmentation: its task is {package.manifest.task}")
    return package.manifest


def classification(package: Package) -> Classification:
    """The manifest of a package that judges radiographs. Raises PackageError for any other kind of model."""
    if not isinstance(package.manifest, Classification):
        raise PackageError(f"{package.folder} is no classification: its task is {package.manifest.task}")
    return package.manifest


def regression(package: Package) -> Regression:
    """The manifest of a package that predicts a quantity. Raises PackageError for any other kind of model."""
    if not isinstance(package.manifest, Regression):
        raise PackageError(f"{package.folder} is no regression: its task is {package.manifest.task}")
    return package.manifest


def location(package: Package) -> Location:
    """The manifest of a package that puts boxes around structures. Raises PackageError for any other kind of model."""
    if not isinstance(package.manifest, Location):
        raise PackageError(f"{package.folder} is no location: its task is {package.manifest.task}")
    return package.manifest


def find(folders: Iterable[Path] = (BUILT_IN,)) -> dict[str, Package]:
    """The packages in the folders by name: every subfolder that holds a manifest.

    Raises PackageError for a folder that is not there, a wrong manifest, or a name that occurs twice.
    """
    packages: dict[str, Package] = {}
    for folder in folders:
        if not folder.is_dir():
            raise PackageError(f"{folder} is not a folder: name an existing folder of model packages")
        for manifest in sorted(folder.glob(f"*/{MANIFEST}")):
            package = read(manifest.parent)
            _require_new(package, packages)
            packages[package.manifest.name] = package
    return packages


def read(folder: Path) -> Package:
    """The package in one folder; its weights are looked at by `verify` only.

    Raises PackageError when the manifest is absent or wrong.
    """
    path = folder / MANIFEST
    try:
        written = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Package(folder, parse(written))
    except (OSError, UnicodeDecodeError) as error:
        raise PackageError(f"{path} cannot be read ({error}): restore it or remove the folder") from error
    except yaml.YAMLError as error:
        raise PackageError(f"{path} is not YAML: {error}") from error
    except ValidationError as error:
        raise PackageError(f"{path}: {corrections(error, below=1)}") from error


def verify(package: Package) -> None:
    """Raises PackageError unless the weights are the file that was evaluated, of the form it has, byte for byte.

    Of a chain, those of the steps that it was bound to.
    """
    if isinstance(package.manifest, Chain):
        for step in package.steps:
            verify(step)
        return
    path, manifest, suffix = package.weights, package.folder / MANIFEST, weights_suffix(package.manifest)
    if path.parent != package.folder or path.suffix != suffix:
        raise PackageError(f"{manifest}: weights are one {suffix} file beside it, not {path}")
    if not path.is_file():
        raise PackageError(f"{path} is missing: restore it, or train it with `isocenter train`")
    found = digest(path)
    if found != package.manifest.weights_sha256:
        raise PackageError(
            f"{path} has SHA-256 {found}, the manifest says {package.manifest.weights_sha256}: "
            "restore the weights, or train and evaluate again"
        )


def weights_suffix(manifest: Manifest) -> str:
    """How the name of the file with the weights ends."""
    network = manifest.network if isinstance(manifest, Segmentation) else None
    if isinstance(network, NnUNet):
        return LISTING_SUFFIX
    return ONNX_SUFFIX if isinstance(network, OnnxGraph) else SAFETENSORS_SUFFIX


def digest(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def corrections(error: ValidationError, below: int = 0) -> str:
    """What is wrong where with something written, in one line.

    The first `below` parts of each place are left out: pydantic begins with the kind of model, no key of a file.
    """
    places = (".".join(map(str, item["loc"][below:])) or "manifest" for item in error.errors())
    return "; ".join(f"{place}: {item['msg']}" for place, item in zip(places, error.errors(), strict=True))


def _require_new(package: Package, packages: dict[str, Package]) -> None:
    name = package.manifest.name
    if name in packages:
        raise PackageError(f"{package.folder} and {packages[name].folder} are both named {name}: remove one of them")
