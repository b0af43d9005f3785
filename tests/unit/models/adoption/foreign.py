"""Foreign models for tests: what a person says of one, and files as their makers write them."""

import json
from pathlib import Path
from typing import Any

from tests.unit.models.packages import written

LAYER = {"kernel_size": 3, "stride": 1}


def said(folder: Path, *without: str, **changes: Any) -> Path:
    """What a person says of a model of one label, as a file."""
    package = written()
    sections = {name: package[name] for name in ("intake", "preprocessing", "inference", "labels", "licences")}
    sections = {name: section for name, section in (sections | changes).items() if name not in without}
    path = folder / "said.yaml"
    path.write_text(json.dumps(sections), encoding="utf-8")
    return path


def layers(*dilations: int, **changes: Any) -> dict[str, Any]:
    """A MeshNet's layers as Brainchop writes them."""
    body = [
        {"in_channels": -1, "out_channels": 5, "padding": dilation, "dilation": dilation} | LAYER
        for dilation in dilations
    ]
    last = {"in_channels": 5, "out_channels": -1, "kernel_size": 1, "padding": 0, "stride": 1, "dilation": 1}
    return {"header": "small", "bnorm": True, "gelu": True, "dropout_p": 0, "layers": [*body, last]} | changes
