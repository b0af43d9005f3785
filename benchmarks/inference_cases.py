"""What is asked in benchmarks/inference.py: sliding windows of one network, and packages on studies they admit."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray
from torch import nn

from benchmarks.machine import BenchmarkError
from models import networks
from models.inference import Predictor, load
from models.intake import objections
from models.manifest import Segmentation
from models.phantom import abdomen
from models.registry import Package, PackageError, find, segmentation, verify
from models.sections import Inference, Network
from models.tasks import patches
from models.tasks.segment import Segmenter, network_of
from models.terms import Span
from models.volume import Volume

SEED = 30007
NETWORK = Network(name="residual_unet", channels=(16, 32, 64, 128))
CLASSES = 4
INFERENCE = Inference(patch=(48, 96, 96), overlap=0.5)
SHAPE = (96, 160, 160)

Array = NDArray[np.float32]


@dataclass(slots=True)
class Outcome:
    """One run: what it took, and which answer it gave."""

    seconds: float
    processor_seconds: float
    load_seconds: float = 0.0
    peak_mb: float = 0.0
    device_mb: float = 0.0
    digest: str = ""  # of the answer's bytes
    shape: list[int] = field(default_factory=list)
    spacing_mm: list[float] = field(default_factory=list)

    def plain(self) -> dict[str, object]:
        """As JSON holds it."""
        return asdict(self)


def _ours(network: nn.Module, values: Array) -> Array:
    return patches.probabilities(network, values, INFERENCE)


def _theirs(network: nn.Module, values: Array) -> Array:
    """The same question to MONAI itself, asked as its documentation does."""
    volume = torch.from_numpy(values).to(next(network.parameters()).device)
    with torch.inference_mode():
        answer = sliding_window_inference(
            volume[None, None],
            roi_size=INFERENCE.patch,
            sw_batch_size=patches.WINDOWS_AT_ONCE,
            predictor=network,
            overlap=INFERENCE.overlap,
            mode="gaussian",
            padding_mode="replicate",
        )
        assert isinstance(answer, torch.Tensor)
        return np.asarray(answer.softmax(1)[0].cpu().numpy(), dtype=np.float32)


def _asker(ask: Callable[[nn.Module, Array], Array]) -> Callable[[str], Outcome]:
    def run(device: str) -> Outcome:
        torch.manual_seed(SEED)
        network = networks.build(NETWORK, CLASSES).to(device).eval()
        values = np.random.default_rng(SEED).normal(size=SHAPE).astype(np.float32)
        with torch.autocast("cuda", torch.float16, enabled=device == "cuda"):
            ask(network, values[: INFERENCE.patch[0], : INFERENCE.patch[1], : INFERENCE.patch[2]])  # warm
            with _timed() as outcome:
                answer = ask(network, values)
        outcome.digest = sha256(answer.tobytes()).hexdigest()
        return outcome

    return run


ASKERS: dict[str, Callable[[str], Outcome]] = {"Isocenter": _asker(_ours), "MONAI": _asker(_theirs)}


def ask_package(name: str, device: str) -> Outcome:
    """A built-in package, loaded and asked once about its study."""
    package = find()[name]
    volume = study_for(segmentation(package))
    began = time.perf_counter()
    predictor = _predictor(package, device)
    load_seconds = time.perf_counter() - began
    with _timed() as outcome:
        predictor(volume)
    outcome.load_seconds = load_seconds
    outcome.shape = list(volume.grid.shape)
    outcome.spacing_mm = [float(mm) for mm in volume.grid.spacing_mm]
    return outcome


def study_for(manifest: Segmentation) -> Volume:
    """A phantom in the middle of what the package's intake admits, at the spacing that its network sees.

    Raises BenchmarkError where the intake admits nothing like that.
    """
    intake = manifest.intake
    spacing_mm = tuple(_nearest(intake.spacing_mm, mm) for mm in manifest.preprocessing.spacing_mm)
    extent_mm = _middle(intake.extent_mm, otherwise=300.0)
    slices, rows, columns = (round(extent_mm / mm) for mm in spacing_mm)
    shape = (round(_nearest(intake.slices, slices)), rows, columns)
    volume = abdomen(SEED, shape, (spacing_mm[0], spacing_mm[1], spacing_mm[2])).volume
    against = objections(intake, intake.modalities[0], volume.grid)
    if against:
        raise BenchmarkError(f"{manifest.name} has no study: {'; '.join(against)}")
    return volume


def own_weights(name: str) -> bool:
    """True when the package has the weights that its manifest names."""
    try:
        verify(find()[name])
    except PackageError:
        return False
    return True


def _predictor(package: Package, device: str) -> Predictor:
    """The package's model; one whose weights are still to come costs the same with fresh ones."""
    if own_weights(package.manifest.name):
        return load(package, device)
    manifest = segmentation(package)
    return Segmenter(manifest, network_of(manifest).to(device).eval())


def _middle(span: Span, otherwise: float) -> float:
    if span.minimum is None or span.maximum is None:
        return _nearest(span, otherwise)
    return (span.minimum + span.maximum) / 2


def _nearest(span: Span, value: float) -> float:
    lowest = value if span.minimum is None else max(value, span.minimum)
    return lowest if span.maximum is None else min(lowest, span.maximum)


@contextmanager
def _timed() -> Iterator[Outcome]:
    outcome = Outcome(0.0, 0.0)
    began, processor = time.perf_counter(), time.process_time()
    yield outcome
    outcome.seconds = time.perf_counter() - began
    outcome.processor_seconds = time.process_time() - processor
    if torch.cuda.is_available():
        outcome.device_mb = torch.cuda.max_memory_allocated() / 1e6
