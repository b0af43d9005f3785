"""The folder of an adopted package: manifest, card and weights; and what stands there where nobody said something."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import Any

import torch
import yaml

from models.adoption.statement import Origin, Statement
from models.architectures import NnUNet, OnnxGraph
from models.inference import load
from models.listing import verify_files
from models.manifest import Segmentation
from models.registry import MANIFEST, Package, PackageError, digest, read, segmentation
from models.sections import Evidence, Inference, Licences
from models.tasks.segment import network_of
from models.training.evaluation import CARD

SKELETON = Path(__file__).parent / CARD
NOT_STATED = Licences(training_data="NOASSERTION", weights="NOASSERTION")
COLOURS = ((230, 120, 60), (70, 160, 220), (110, 190, 90), (220, 90, 170), (240, 200, 60), (150, 110, 220))
EXAMPLES = {  # of what a source may leave unsaid
    "intake": "intake: {modalities: [MR], spacing_mm: {minimum: 0.5, maximum: 2.0}, slices: {minimum: 20}}",
    "preprocessing": "preprocessing: {axes: SPL, spacing_mm: [1, 1, 1], intensity: {kind: standardize}}",
    "network": "network: {name: meshnet, width: 5, dilations: [1, 2, 4, 8, 16, 8, 4, 2, 1]}",
    "inference": "inference: {patch: [96, 96, 96], overlap: 0.5}",
    "labels": (
        "labels: [{value: 1, name: Liver, category: {value: '91723000', scheme: SCT, meaning: Anatomical Structure}, "
        "type: {value: '10200004', scheme: SCT, meaning: Liver}, color_rgb: [230, 120, 60]}]"
    ),
}


def write(name: str, origin: Origin, into: Path, source: Path, put_weights: Callable[[Path], Path]) -> Path:
    """The folder of a new package, which comes into its place as a whole.

    `put_weights` writes the weights into a folder and says where. Raises PackageError where the folder is there, and
    where what is complete does not hold.
    """
    target = into / name
    if target.exists():
        raise PackageError(f"{target} exists and is left as it is: choose another name")
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into, prefix=".adopting-") as room:
        folder = Path(room) / "package"
        folder.mkdir()
        weights = put_weights(folder)
        manifest = _manifest(name, origin, {"file": weights.name, "sha256": digest(weights)})
        (folder / MANIFEST).write_text(_text(manifest, missing(origin.statement)), encoding="utf-8")
        (folder / CARD).write_text(_card(name, origin, source), encoding="utf-8")
        if not missing(origin.statement):
            _require_sound(folder, source)
        folder.rename(target)
    return target


def complete(folder: Path, statement: Statement) -> Package:
    """The package in the folder. Raises PackageError that names the sections nobody has filled in yet."""
    if absent := missing(statement):
        raise PackageError(
            f"{folder / MANIFEST} lacks {', '.join(absent)}: fill in what its last lines show, or say it by --labels; "
            "nothing runs it before"
        )
    return read(folder)


def missing(statement: Statement) -> list[str]:
    """The sections that a package needs and nobody has said."""
    return [section for section in EXAMPLES if getattr(statement, section) is None]


def copy_to(weights: Path, name: str) -> Callable[[Path], Path]:
    """Puts a file into the package as it is, under this name."""
    return lambda folder: Path(shutil.copyfile(weights, folder / name))


def _require_sound(folder: Path, source: Path) -> None:
    """Raises PackageError unless the manifest holds, the weights fit its network, and its window passes through it."""
    try:
        package = read(folder)
        if isinstance(segmentation(package).network, NnUNet):  # which nothing runs before the site has allowed it
            verify_files(package)
            return
        load(package, "cpu")
        if not isinstance(segmentation(package).network, OnnxGraph):  # whose runtime has looked at that
            _require_passage(segmentation(package))
    except PackageError as error:
        raise PackageError(f"{source}: {str(error).replace(f'{folder}{os.sep}', '')}") from error


def _require_passage(manifest: Segmentation) -> None:
    """Raises PackageError unless the window passes through the network, as shapes alone: nothing is computed."""
    if not isinstance(manifest.inference, Inference):
        raise PackageError("what is adopted answers for windows in 3-D")
    patch = manifest.inference.patch
    try:
        with torch.device("meta"):
            answer = network_of(manifest)(torch.empty(1, 1, *patch))
    except (RuntimeError, ValueError) as error:
        raise PackageError(
            f"a window of {patch} does not pass through the network ({error}): choose another"
        ) from error
    if answer.shape[2:] != patch:
        raise PackageError(f"the network answers a window of {patch} with one of {tuple(answer.shape[2:])}")


def _manifest(name: str, origin: Origin, weights: dict[str, str]) -> dict[str, Any]:
    said = origin.statement
    written: dict[str, Any] = {
        "name": name,
        "version": said.version or "1.0.0",
        "title": _title(name, said),
        "manufacturer": _manufacturer(said),
        "task": "patches",
        "evidence": Evidence.FOREIGN.value,
        **{section: _plain(getattr(said, section)) for section in EXAMPLES if getattr(said, section) is not None},
        "weights": weights,
        "licences": _plain(said.licences or NOT_STATED),
    }
    if said.labels is None and origin.label_names:
        written["labels"] = [
            {"value": value, "name": label, "color_rgb": list(COLOURS[(value - 1) % len(COLOURS)])}
            for value, label in enumerate(origin.label_names, start=1)
        ]
    return written


def _plain(section: Any) -> Any:
    if isinstance(section, tuple):
        return [_plain(each) for each in section]
    return section.model_dump(mode="json", exclude_unset=True)


def _text(manifest: dict[str, Any], absent: list[str]) -> str:
    text = yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True, width=120)
    if not absent:
        return text
    hints = "\n".join(f"# {EXAMPLES[section]}" for section in absent)
    return f"{text}\n# Missing, for example (labels have codes of PS3.16 CID 7150 and CID 7166):\n{hints}\n"


def _card(name: str, origin: Origin, source: Path) -> str:
    words = {
        "title": _title(name, origin.statement),
        "manufacturer": _manufacturer(origin.statement),
        "source": source.name,
        "source_sha256": digest(source) if source.is_file() else _digest_of_files(source),
        "notes": " ".join(f"{note}." for note in origin.notes) or "As it was.",
    }
    return Template(SKELETON.read_text(encoding="utf-8")).substitute(words)


def _digest_of_files(folder: Path) -> str:
    """One SHA-256 over the names and digests of all files of a folder."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole.update(f"{digest(path)}  {path.relative_to(folder).as_posix()}\n".encode())
    return whole.hexdigest()


def _title(name: str, said: Statement) -> str:
    return said.title or name.replace("_", " ").capitalize()


def _manufacturer(said: Statement) -> str:
    return said.manufacturer or "not stated"
