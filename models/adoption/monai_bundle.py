"""A MONAI bundle as a folder or a ZIP archive: four of its files, read as data."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile, ZipFile

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from models.adoption.monai_config import Config, known, target_of
from models.adoption.monai_steps import inference, preprocessing
from models.adoption.statement import LARGEST_TEXT, Origin, Statement, read_mapping
from models.architectures import MONAI
from models.packaging import LARGEST_WEIGHTS
from models.registry import PackageError, corrections
from models.sections import Intake

METADATA = "configs/metadata.json"
CONFIGS = ("configs/inference.json", "configs/inference.yaml", "configs/inference.yml")
WEIGHTS, PROGRAM = "models/model.pt", "models/model.ts"
NETWORKS = {
    "UNet": "monai_unet",
    "DynUNet": "monai_dynunet",
    "SegResNet": "monai_segresnet",
    "BasicUNet": "monai_basicunet",
}
MODALITIES = {"CT": "CT", "MR": "MR", "MRI": "MR"}
_NETWORK: TypeAdapter[MONAI] = TypeAdapter(MONAI)


class _Said(BaseModel):
    """Of the metadata, only what is named is read; the rest is prose."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Channels(_Said):
    """What goes in, or comes out."""

    modality: str = ""
    num_channels: int
    channel_def: dict[int, str] = {}


class Formats(_Said):
    """The network's ends by their names."""

    inputs: dict[str, Channels]
    outputs: dict[str, Channels]


class Metadata(_Said):
    """What a bundle says of itself."""

    version: str = ""
    name: str | None = None
    authors: str | None = None
    network_data_format: Formats


class Shape(_Said):
    """The arguments of any network of MONAI that say what goes in and comes out."""

    spatial_dims: Literal[3]
    in_channels: Literal[1]
    out_channels: int


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle's files, unpacked."""

    name: str
    folder: Path


@contextmanager
def opened(source: Path) -> Iterator[Bundle]:
    """The bundle's four files, out of an archive where it is one. Raises PackageError where one is missing."""
    if source.is_dir():
        yield Bundle(str(source), source)
        return
    with tempfile.TemporaryDirectory(prefix="bundle-") as room:
        _unpack(source, Path(room))
        yield Bundle(str(source), Path(room))


def read(bundle: Bundle, person: Statement) -> Origin:
    """What a bundle says, of which nothing is evaluated; what a person says is not looked for there.

    Raises PackageError, before any weight is read, for expressions, TorchScript, and classes that are not known.
    """
    config = known(f"{bundle.name}: {_config(bundle)}", _mapping(bundle, _config(bundle)))
    metadata = _metadata(bundle)
    network, classes = _network(config)
    names = _label_names(bundle, metadata, classes)
    if person.labels is not None and len(person.labels) != classes - 1:
        raise PackageError(
            f"{bundle.name} marks {classes - 1} structures ({', '.join(names)}), not {len(person.labels)}"
        )
    version = metadata.version if metadata.version.replace(".", "").isdecimal() else None
    statement = Statement(
        title=metadata.name,
        version=version if version and version.count(".") == 2 else None,
        manufacturer=metadata.authors,
        intake=_intake(metadata),
        network=network,
        preprocessing=person.preprocessing or preprocessing(config),
        inference=person.inference or inference(config),
    )
    notes = ("Network, preprocessing and window are those of the bundle's configuration; nothing in it was evaluated",)
    return Origin(statement, _weights(bundle), names, classes, notes)


def _network(config: Config) -> tuple[MONAI, int]:
    """The network of the registry, and how many classes it tells apart."""
    written = config.section("network_def")
    name, _ = target_of(written, f"{config.name}: network_def")
    if name not in NETWORKS:
        raise PackageError(f"{config.name}: network_def is {name}: known are {', '.join(NETWORKS)}")
    _, arguments = target_of(config.literal(written, "network_def"), config.name)
    size = {key: value for key, value in arguments.items() if key not in Shape.model_fields}
    try:
        classes = Shape.model_validate(arguments).out_channels
        return _NETWORK.validate_python(size | {"name": NETWORKS[name]}), classes
    except ValidationError as error:
        raise PackageError(f"{config.name}: network_def: {corrections(error)}") from error


def _label_names(bundle: Bundle, metadata: Metadata, classes: int) -> tuple[str, ...]:
    """The structures in the order of their values, without background."""
    outputs = list(metadata.network_data_format.outputs.values())
    named = outputs[0].channel_def if len(outputs) == 1 else {}
    if sorted(named) != list(range(classes)):
        raise PackageError(f"{bundle.name}: {METADATA} names the channels {sorted(named)}, the network has {classes}")
    if named[0].lower() != "background":
        raise PackageError(f"{bundle.name}: {METADATA} calls channel 0 {named[0]!r}, and it has to be background")
    return tuple(named[value] for value in range(1, classes))


def _intake(metadata: Metadata) -> Intake | None:
    inputs = list(metadata.network_data_format.inputs.values())
    modality = MODALITIES.get(inputs[0].modality.upper()) if len(inputs) == 1 else None
    return Intake(modalities=(modality,)) if modality else None


def _metadata(bundle: Bundle) -> Metadata:
    try:
        return Metadata.model_validate(_mapping(bundle, METADATA))
    except ValidationError as error:
        raise PackageError(f"{bundle.name}: {METADATA}: {corrections(error)}") from error


def _mapping(bundle: Bundle, name: str) -> dict[str, Any]:
    try:
        return read_mapping((bundle.folder / name).read_bytes(), f"{bundle.name}: {name}")
    except OSError as error:
        raise PackageError(f"{bundle.name} has no {name} that can be read: a MONAI bundle is wanted") from error


def _config(bundle: Bundle) -> str:
    found = [name for name in CONFIGS if (bundle.folder / name).is_file()]
    if len(found) != 1:
        raise PackageError(f"{bundle.name} has {len(found)} of {', '.join(CONFIGS)}: exactly one is wanted")
    return found[0]


def _weights(bundle: Bundle) -> Path:
    path = bundle.folder / WEIGHTS
    if path.is_file():
        return path
    if (bundle.folder / PROGRAM).is_file():
        raise PackageError(f"{bundle.name} has TorchScript, {PROGRAM}, alone: it is a program; {WEIGHTS} is wanted")
    raise PackageError(f"{bundle.name} has no {WEIGHTS}")


def _unpack(source: Path, room: Path) -> None:
    """The files of a bundle out of an archive, under their own names and no other, and no more of each than may be."""
    try:
        with ZipFile(source) as archive:
            root = _root(source, archive.namelist())
            for name in (METADATA, *CONFIGS, WEIGHTS, PROGRAM):
                if f"{root}{name}" not in archive.namelist():
                    continue
                limit = LARGEST_WEIGHTS if name in (WEIGHTS, PROGRAM) else LARGEST_TEXT
                if archive.getinfo(f"{root}{name}").file_size > limit:  # zipfile reads no more than is said there
                    raise PackageError(f"{source}: {name} has more than {limit} bytes")
                (room / name).parent.mkdir(exist_ok=True)
                with archive.open(f"{root}{name}") as packed, (room / name).open("wb") as file:
                    shutil.copyfileobj(packed, file)
    except (BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise PackageError(f"{source} is no archive that can be read: {error}") from error


def _root(source: Path, names: list[str]) -> str:
    """The folder in which the bundle lies in its archive."""
    roots = [name.removesuffix(METADATA) for name in names if name == METADATA or name.endswith(f"/{METADATA}")]
    if len(roots) != 1:
        raise PackageError(f"{source} has {len(roots)} of {METADATA}: one MONAI bundle is wanted")
    return roots[0]
