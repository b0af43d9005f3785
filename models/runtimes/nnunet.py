"""Model folders of nnU-Net v2, run by nnU-Net itself in the environment that the site names, if the site trusts them.

A checkpoint there is a pickle, which is a program: nothing of it is opened before its digest, that of every other file,
and the site's list were compared.
"""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.architectures import NnUNet
from models.environment import Environment
from models.listing import copy_verified
from models.manifest import Segmentation
from models.registry import Package, PackageError, segmentation
from models.runtimes.apart import Apart
from models.sections import Inference

RUNNER = Path(__file__).parent / "nnunet_runner.py"
SAME_SPACING = 1e-3  # of a millimetre that a manifest may write otherwise than the plans


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What nnU-Net says of an image: labels (z, y, x), and where they are wanted probabilities (classes, z, y, x)."""

    labels: NDArray[np.uint8]
    probabilities: NDArray[np.float32] | None


class Asked:
    """A model folder that is ready to be asked, in a process that stays; one that died is started again."""

    def __init__(self, package: Package, device: str, environment: Environment) -> None:
        self._package, self._device, self._environment = package, device, environment
        self._manifest = segmentation(package)
        self._process: Apart | None = None

    def start(self) -> Apart:
        """The process, ready. Raises PackageError and Ended as `load`."""
        if self._process is None:
            process = self._started()
            ready = process.listen(self._environment.seconds)
            _require_no_fault(self._package, ready)
            _require_as_said(self._package, self._manifest, ready)
            self._process = process
        return self._process

    def __call__(self, values: NDArray[np.float32], spacing_mm: NDArray[np.float64], *, probabilities: bool) -> Answer:
        """What nnU-Net says of values (z, y, x) at that spacing.

        Raises Ended when its process dies or takes too long, MemoryError when it has too little, and PackageError when
        it cannot answer, or answers with what is no label map of these voxels.
        """
        process = self.start()
        self._process = None  # until it has answered
        process.image.seek(0)
        process.image.truncate()
        np.save(process.image, np.ascontiguousarray(values, dtype=np.float32), allow_pickle=False)
        process.image.flush()
        question = {"spacing_mm": list(map(float, spacing_mm)), "probabilities": probabilities}
        said = process.ask(question, self._environment.seconds)
        _require_no_fault(self._package, said)
        answer = _read(process, self._package, values.shape, probabilities=probabilities)
        self._process = process
        return answer

    def _started(self) -> Apart:
        room = Path(tempfile.mkdtemp(prefix="nnunet-"))
        try:
            return self._started_in(room, copy_verified(self._package, room))
        except (PackageError, OSError):
            shutil.rmtree(room)
            raise

    def _started_in(self, room: Path, folder: Path) -> Apart:
        python = self._environment.python
        try:
            return Apart([str(python), "-I", "-B", str(RUNNER), *self._words(room, folder)], room)
        except OSError as error:
            raise PackageError(
                f"{python} cannot be started ({error.strerror}): inferring.nnunet.python in node.yaml is the Python of "
                "an environment with nnunetv2"
            ) from error

    def _words(self, room: Path, folder: Path) -> list[str]:
        network, inference = self._manifest.network, self._manifest.inference
        if not isinstance(network, NnUNet) or not isinstance(inference, Inference):
            raise PackageError(f"{self._package.folder} is not of nnU-Net, or is not asked in patches")
        options = {
            "--room": str(room),
            "--model": str(folder),
            "--configuration": network.configuration,
            "--folds": ",".join(map(str, network.folds)),
            "--checkpoint": network.checkpoint,
            "--device": self._device,
            "--step": str(1 - inference.overlap),
            "--memory-bytes": str(self._environment.memory_bytes or 0),
        }
        flags = {
            "--gaussian": inference.blend == "gaussian",
            "--mirror": bool(inference.mirror_axes),
            "--isolated": self._environment.isolated,
        }
        return [*(word for pair in options.items() for word in pair), *(name for name, said in flags.items() if said)]


def load(package: Package, device: str, environment: Environment | None) -> Asked:
    """The package's model folder, ready to be asked.

    Raises PackageError when the site names no environment, does not trust the package, or the files are not those of
    the listing; when the environment is none; and when the model is not what the manifest says. Raises Ended when its
    process dies, and OSError when there is no room for the copy that it opens.
    """
    asked = Asked(package, device, require_allowed(package, environment))
    asked.start()
    return asked


def require_allowed(package: Package, environment: Environment | None) -> Environment:
    """The site's environment. Raises PackageError unless there is one and the site trusts the package."""
    name, said = package.manifest.name, package.manifest.weights_sha256
    if environment is None:
        raise PackageError(
            f"{name} is of nnU-Net, which needs an environment of its own: name it by inferring.nnunet in node.yaml"
        )
    if said not in environment.allowed:
        raise PackageError(
            f"{name} holds a pickle, which is a program, and nobody has allowed it: if you trust who made it, add "
            f"{said} to inferring.nnunet.allowed in node.yaml"
        )
    return environment


def _require_no_fault(package: Package, said: Mapping[str, Any]) -> None:
    if said.get("fault") == "memory":
        raise MemoryError(f"{package.manifest.name}: {said.get('words')}")
    if "fault" in said:
        raise PackageError(f"{package.manifest.name}: nnU-Net says {said['fault']}: {said.get('words')}")


def _require_as_said(package: Package, manifest: Segmentation, ready: Mapping[str, Any]) -> None:
    """Raises PackageError unless the checkpoint and its plans are what the manifest says of them."""
    network, inference = manifest.network, manifest.inference
    if not isinstance(network, NnUNet) or not isinstance(inference, Inference):
        raise PackageError(f"{package.folder} is not of nnU-Net, or is not asked in patches")
    mirrored = list(inference.mirror_axes) or ready.get("mirror_axes")
    compared = {
        "network.configuration": (network.configuration, ready.get("configuration")),
        "inference.patch": (list(inference.patch), ready.get("patch")),
        "inference.mirror_axes (or none)": (mirrored, ready.get("mirror_axes")),
        "labels and background": (len(manifest.labels) + 1, ready.get("classes")),
    }
    for what, (said, is_) in compared.items():
        if said != is_:
            raise PackageError(f"{package.manifest.name}: {what}: the manifest says {said}, the checkpoint {is_}")
    spacing_mm = np.array(ready.get("spacing_mm"), dtype=np.float64)
    if not np.allclose(manifest.preprocessing.spacing_mm, spacing_mm, rtol=0, atol=SAME_SPACING):
        raise PackageError(f"{package.manifest.name}: preprocessing.spacing_mm: the checkpoint says {spacing_mm}")


def _read(process: Apart, package: Package, shape: tuple[int, ...], *, probabilities: bool) -> Answer:
    classes = len(segmentation(package).labels) + 1
    process.answer.seek(0)
    labels = _array(process, package, np.uint8, shape)
    if labels.size and int(labels.max()) >= classes:
        raise PackageError(f"{package.manifest.name} answers with label {labels.max()}, and has {classes - 1}")
    if not probabilities:
        return Answer(labels, None)
    likely = _array(process, package, np.float32, (classes, *shape))
    if not np.isfinite(likely).all():
        raise PackageError(f"{package.manifest.name} answers with values that are no finite numbers")
    return Answer(labels, likely)


def _array(process: Apart, package: Package, kind: type[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(process.answer, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise PackageError(f"{package.manifest.name} answers with what is no array: {error}") from error
    if array.dtype != kind or array.shape != shape:
        raise PackageError(
            f"{package.manifest.name} answers with {array.dtype} {array.shape}, not {np.dtype(kind)} {shape}"
        )
    return array
