"""A MONAI bundle's configuration as data: what is read of it, and every expression refused by its name.

MONAI itself evaluates such a file. Of its sections four are read here; those that only say how MONAI's own engine runs
are passed over unread, whatever stands in them; anything else has to be plain values, which the four may refer to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.registry import PackageError

READ = frozenset({"network_def", "preprocessing", "inferer", "postprocessing"})
OF_THE_ENGINE = frozenset(
    [
        "amp",
        "bundle_root",
        "checkpoint",
        "data_list_file_path",
        "dataloader",
        "dataset",
        "dataset_dir",
        "datalist",
        "device",
        "evaluating",
        "evaluator",
        "finalize",
        "handlers",
        "initialize",
        "output_dir",
        "run",
        "test_datalist",
    ]
)
OF_THE_LIBRARY = frozenset(
    ["$import glob", "$import json", "$import numpy as np", "$import os", "$import pathlib", "$import torch"]
)
THE_NETWORK_ITSELF = frozenset(["@network_def", "$@network_def", "$@network_def.to(@device)"])
PASSED_ON = frozenset(["@device", "@preprocessing"])  # references whose meaning is ours anyway
NONE_IS = "none is evaluated; write its value there"
TARGET, REMARK = "_target_", "_desc_"


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration whose every part is known."""

    name: str
    written: Mapping[str, Any]

    def section(self, section: str) -> Any:
        """One of the sections that are read, as it is written. Raises PackageError where it is absent."""
        if section not in self.written:
            raise PackageError(f"{self.name} has no {section}: say what it stands for by --labels")
        return self.written[section]

    def literal(self, value: Any, place: str) -> Any:
        """A value without expressions, references to plain values followed. Raises PackageError with the place."""
        match value:
            case str():
                return self._plain(value, place)
            case dict():
                _require_known_keys(value, f"{self.name}: {place}")
                return {k: self.literal(v, f"{place}.{k}") for k, v in value.items() if k != REMARK}
            case list():
                return [self.literal(each, f"{place}.{number}") for number, each in enumerate(value)]
        return value

    def _plain(self, text: str, place: str) -> Any:
        if text in PASSED_ON or text[:1] not in ("$", "@", "%"):
            return text
        target = self.written.get(text[1:]) if text[0] == "@" else None
        if target is None or _expression(target):
            raise PackageError(f"{self.name}: {place} is the expression {text!r}: {NONE_IS}")
        return target


def known(name: str, written: Mapping[str, Any]) -> Config:
    """The configuration. Raises PackageError for code of the bundle's own, and for expressions that would matter."""
    for statement in _listed(written.get("imports", [])):
        if statement not in OF_THE_LIBRARY:
            raise PackageError(f"{name}: imports has {statement!r}: a bundle that needs code of its own is not adopted")
    if (network := written.get("network", "@network_def")) not in THE_NETWORK_ITSELF:
        raise PackageError(f"{name}: network is {network!r}: it has to be network_def itself")
    for key, value in written.items():
        if not str(
            key
        ).isidentifier():  # MONAI reads "network_def#channels" and "+network_def" as changes of another key
            raise PackageError(f"{name}: {key} is no plain name: write what it changes in its place")
        if key in READ | OF_THE_ENGINE | {"imports", "network"}:
            continue
        if found := _expression(value):
            raise PackageError(f"{name}: {key} is the expression {found!r}: {NONE_IS}")
    return Config(name, written)


def target_of(written: Any, place: str) -> tuple[str, dict[str, Any]]:
    """The class that a part names, without MONAI's package before it, and its arguments. Raises PackageError."""
    if not isinstance(written, dict) or not isinstance(written.get(TARGET), str):
        raise PackageError(f"{place} has no {TARGET}: a class of MONAI and its arguments are wanted")
    module, _, name = written[TARGET].rpartition(".")
    if module and not module.startswith("monai."):
        raise PackageError(f"{place}: {written[TARGET]} is no class of MONAI: code of others is not loaded")
    return name, {key: value for key, value in written.items() if key not in (TARGET, REMARK)}


def _require_known_keys(written: Mapping[Any, Any], place: str) -> None:
    for key in written:
        if not isinstance(key, str) or (key.startswith("_") and key not in (TARGET, REMARK)):
            raise PackageError(f"{place} says {key}: that decides how MONAI evaluates a file, and nothing is evaluated")


def _expression(value: Any) -> str:
    """The first text in a value that MONAI would evaluate; empty where there is none."""
    match value:
        case str():
            return value if value[:1] in ("$", "@", "%") else ""
        case dict():
            return next((f"{key}: {v}" for key, v in value.items() if key == TARGET or _expression(v)), "")
        case list():
            return next(filter(None, map(_expression, value)), "")
    return ""


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
