"""Tensors out of files of other makers: never anything else that a file may hold."""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import torch
from safetensors.torch import load_file
from torch import nn

from models.packaging import LARGEST_WEIGHTS, require_safetensors
from models.registry import SAFETENSORS_SUFFIX, PackageError

PICKLES = (".pth", ".pt", ".ckpt", ".bin")
SUFFIXES = (*PICKLES, SAFETENSORS_SUFFIX)
WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model",
    "network_weights",
)  # where makers put the tensors in a checkpoint
SOME = 5  # keys that a sentence names

Tensors = Mapping[str, torch.Tensor]


def read_tensors(path: Path) -> Tensors:
    """The tensors of a state dict by their names, on the CPU.

    Raises PackageError for a file that holds code or anything but tensors; none of it is run.
    """
    if not path.is_file():
        raise PackageError(f"{path} is no file: name one with weights")
    if path.stat().st_size > LARGEST_WEIGHTS:
        raise PackageError(f"{path} has {path.stat().st_size} bytes: weights have at most {LARGEST_WEIGHTS}")
    if path.suffix == SAFETENSORS_SUFFIX:
        require_safetensors(path)
        loaded: Tensors = load_file(path)
        return loaded
    if path.suffix not in PICKLES:
        raise PackageError(f"{path} is of no known kind: a state dict ends in {' '.join(SUFFIXES)}")
    _require_no_program(path)
    return _tensors(path, _unpickled(path))


def fitting(tensors: Tensors, network: nn.Module, name: str) -> Tensors:
    """The tensors under the names of the network's parameters, a prefix that all have in common left out.

    Raises PackageError that names what is missing, left over, or of another shape.
    """
    wanted = network.state_dict()
    found = max((tensors, _without_prefix(tensors)), key=lambda named: len(named.keys() & wanted.keys()))
    counters = {key for key in wanted if key.endswith("num_batches_tracked")}  # of no effect on an answer
    wrong = (
        _listed("missing", wanted.keys() - found.keys() - counters),
        _listed("not of this network", found.keys() - wanted.keys()),
        _listed("of another shape", {k for k in wanted.keys() & found.keys() if wanted[k].shape != found[k].shape}),
    )
    if any(wrong):
        raise PackageError(f"{name} does not fit the network: {'; '.join(filter(None, wrong))}")
    return {key: tensor for key, tensor in found.items() if key not in counters}


def _require_no_program(path: Path) -> None:
    """Raises PackageError for TorchScript, which is a program beside its weights."""
    try:
        with ZipFile(path) as archive:
            names = archive.namelist()
    except BadZipFile:
        return  # torch's form before 1.6, which is looked at by its own reader
    if any(name.endswith("/constants.pkl") or "/code/" in name for name in names):
        raise PackageError(f"{path} is TorchScript, a program: ask its makers for a state dict; nothing of it was run")


def _unpickled(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, AttributeError, TypeError) as error:
        named = re.search(r"nsupported (?:global: )?(?:GLOBAL|class) ([\w.]+)", str(error))
        what = f"it asks for {named[1]}" if named else f"torch says {type(error).__name__}"
        raise PackageError(
            f"{path} is not a file of tensors alone ({what}); nothing of it was run: ask its makers for a state dict"
        ) from error


def _tensors(path: Path, held: object) -> Tensors:
    for key in WRAPPERS:
        if isinstance(held, dict) and isinstance(held.get(key), dict):
            held = held[key]
    if not isinstance(held, dict) or not held:
        raise PackageError(f"{path} holds a {type(held).__name__}: a state dict is wanted")
    strange = {
        str(key) for key, value in held.items() if not isinstance(value, torch.Tensor) or not isinstance(key, str)
    }
    if strange:
        raise PackageError(f"{path} holds more than tensors: {_listed('not a tensor', strange)}")
    return held


def _without_prefix(tensors: Tensors) -> Tensors:
    prefixes = {key.partition(".")[0] for key in tensors}
    if len(prefixes) != 1:
        return tensors
    return {key.partition(".")[2]: tensor for key, tensor in tensors.items()}


def _listed(what: str, keys: set[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - SOME} more" if len(keys) > SOME else ""
    return f"{what}: {', '.join(sorted(keys)[:SOME])}{more}"
