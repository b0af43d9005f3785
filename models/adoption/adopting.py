"""`isocenter models adopt`: which reader a source wants, and the package that comes of it."""

import re
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from models import networks
from models.adoption import brainchop, monai_bundle, nnunet_folder, tensors
from models.adoption.statement import Origin, Statement, read_statement
from models.adoption.writing import complete, copy_to, write
from models.architectures import OnnxGraph
from models.registry import ONNX_SUFFIX, Package, PackageError
from models.runtimes import safetensors

NAME = re.compile(r"[a-z][a-z0-9_]*")
ARCHIVE = ".zip"
GRAPH = "model.onnx"
WEIGHTS = "weights.safetensors"


def adopt(
    source: Path, into: Path, name: str | None = None, said: Path | None = None, layers: Path | None = None
) -> Package:
    """The package of a foreign model, in a folder of packages; `said` is what a person says of it, as YAML.

    Raises PackageError, before anything is loaded, for a source that holds code or is not of a known form; with the
    folder written, where sections are missing that nobody has said.
    """
    person, called = read_statement(said), _name(source, name)
    if layers and (source.is_dir() or source.suffix not in tensors.SUFFIXES):
        raise PackageError(f"{source} says itself which network it is of: --layers is for a state dict")
    if nnunet_folder.is_one(source):
        return complete(*_from_model_folder(source, into, called, person))
    if source.is_dir() or source.suffix == ARCHIVE:
        return complete(*_from_bundle(source, into, called, person))
    if source.suffix == ONNX_SUFFIX:
        return complete(*_from_graph(source, into, called, person))
    return complete(*_from_state_dict(source, into, called, person, layers))


def _name(source: Path, name: str | None) -> str:
    """The package's name. Raises PackageError for one that cannot be."""
    wanted = name or source.stem.lower()
    if not NAME.fullmatch(wanted):
        raise PackageError(f"a package cannot be named {wanted!r}: say --name with a-z, 0-9 and _, a letter first")
    return wanted


def _from_bundle(source: Path, into: Path, name: str, person: Statement) -> tuple[Path, Statement]:
    with monai_bundle.opened(source) as bundle:
        found = monai_bundle.read(bundle, person)
        origin = replace(found, statement=found.statement.under(person))
        return _write_tensors(name, origin, tensors.read_tensors(origin.weights), into, source)


def _from_model_folder(source: Path, into: Path, name: str, person: Statement) -> tuple[Path, Statement]:
    found = nnunet_folder.read(source, person)
    return write(name, found.origin, into, source, found.put), found.origin.statement


def _from_graph(source: Path, into: Path, name: str, person: Statement) -> tuple[Path, Statement]:
    said = Statement(network=OnnxGraph(name="onnx")).under(person)
    origin = Origin(said, source, notes=("The graph is the makers' own file, byte for byte",))
    return write(name, origin, into, source, copy_to(source, GRAPH)), said


def _from_state_dict(
    source: Path, into: Path, name: str, person: Statement, layers: Path | None
) -> tuple[Path, Statement]:
    held = tensors.read_tensors(source)
    said = Statement(network=brainchop.read_layers(layers, held)) if layers else Statement()
    origin = Origin(said.under(person), source, notes=("The weights are those of the source in their own precision",))
    return _write_tensors(name, origin, held, into, source)


def _write_tensors(
    name: str, origin: Origin, held: tensors.Tensors, into: Path, source: Path
) -> tuple[Path, Statement]:
    network = _network(origin, last=len(list(held.values())[-1]))
    fitting = tensors.fitting(held, network, str(source)) if network else held

    def put(folder: Path) -> Path:
        safetensors.keep(fitting, folder / WEIGHTS)
        return folder / WEIGHTS

    return write(name, origin, into, source, put), origin.statement


def _network(origin: Origin, last: int) -> nn.Module | None:
    """The network on no device, without values; None where nobody says which one it is.

    Where nobody says how many classes it tells apart either, they are as many as the `last` tensor is long.
    """
    said = origin.statement
    if said.network is None:
        return None
    with torch.device("meta"):
        return networks.build(said.network, len(said.labels) + 1 if said.labels else origin.classes or last)
