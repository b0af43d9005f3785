"""Networks of others as ONNX graphs, run by onnxruntime, which is an extra: nothing else here needs it."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models.manifest import Segmentation
from models.registry import Package, PackageError, segmentation, verify

# Tensors in other files are named by an entry with this key; the digest of the graph would not vouch for them.
ELSEWHERE = b"location"
ONE_IMAGE = 5  # axes: image, channel, z, y, x


class Graph(nn.Module):
    """A session of onnxruntime in the place of a network: (n, 1, z, y, x) -> (n, classes, z, y, x) logits."""

    def __init__(self, session: Any) -> None:
        super().__init__()
        self.session = session
        self.place = nn.Parameter(torch.empty(0), requires_grad=False)  # says that images go in from the CPU

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits, one image at a time: makers often fix the number of images at one."""
        name = self.session.get_inputs()[0].name
        answers = [self.session.run(None, {name: image[None].numpy()})[0] for image in images]
        return torch.from_numpy(np.concatenate(answers))


def load(package: Package, device: str) -> nn.Module:
    """The package's graph, ready to predict; on a GPU where onnxruntime has one and `device` is that.

    Raises PackageError when the file is not the one of the manifest, keeps tensors elsewhere, is no graph that
    onnxruntime takes, or does not take the manifest's windows; and where onnxruntime is not installed.
    """
    verify(package)
    session = _session(package.weights, device)
    _require_windows(session, segmentation(package), package.weights)
    return Graph(session).eval()


def _session(path: Path, device: str) -> Any:
    held = path.read_bytes()
    if ELSEWHERE in held:
        raise PackageError(f"{path} keeps tensors in other files, or says so: write all of it into one file")
    try:
        runtime = import_module("onnxruntime")
    except ImportError as error:
        raise PackageError(f"{path} wants onnxruntime: install the extra, `pip install isocenter[onnx]`") from error
    wanted = ["CUDAExecutionProvider"] if device.startswith("cuda") else []
    there = [name for name in (*wanted, "CPUExecutionProvider") if name in runtime.get_available_providers()]
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        return runtime.InferenceSession(held, options, providers=there)
    except Exception as error:  # onnxruntime's own errors have no class in common but this one
        raise PackageError(f"{path} is no graph that onnxruntime takes: {error}") from error


def _require_windows(session: Any, manifest: Segmentation, path: Path) -> None:
    """Raises PackageError unless the graph takes one image of the manifest's window and answers with its classes."""
    ends = (*session.get_inputs(), *session.get_outputs())
    if len(ends) != 2 or any(end.type != "tensor(float)" or len(end.shape) != ONE_IMAGE for end in ends):
        said = ", ".join(f"{end.name} {end.type} {end.shape}" for end in ends)
        raise PackageError(f"{path} has {said}: one image goes in and one answer comes out, (n, channels, z, y, x)")
    patch = getattr(manifest.inference, "patch", None)
    wanted = ((1, 1, *(patch or ())), (1, len(manifest.labels) + 1, *(patch or ())))
    for end, shape in zip(ends, wanted, strict=True):
        if patch is None or any(isinstance(is_, int) and is_ != of for is_, of in zip(end.shape, shape, strict=True)):
            raise PackageError(f"{path}: {end.name} is {end.shape}, and the manifest wants {list(shape)}")
