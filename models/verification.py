"""Whether a package may be relied on: each of its claims, checked as far as a program can."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from safetensors import safe_open

from models.chains import bound_beside, told_labels
from models.environment import Environment
from models.inference import load, load_for_values
from models.listing import verify_files
from models.manifest import Chain, Location, Regression, Segmentation
from models.packaging import require_safetensors
from models.registry import BUILT_IN, LISTING_SUFFIX, ONNX_SUFFIX, Package, PackageError, verify
from models.runtimes.apart import Ended
from models.sections import Evidence, Label
from models.training.evaluation import CARD, EVALUATION, read_evaluation
from models.training.figures import identity
from models.training.located import LocationEvaluation
from models.training.segmented import SegmentationEvaluation

_SPDX = re.compile(r"[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*")
_NOTHING_SAID = ("NOASSERTION", "NONE")


@dataclass(frozen=True, slots=True)
class Line:
    """What one check found."""

    check: str
    holds: bool
    words: str


def checks(
    package: Package, folders: Iterable[Path] = (BUILT_IN,), environment: Environment | None = None
) -> Iterator[Line]:
    """Every check of a package, in the order in which a failure explains the next ones.

    `folders` hold the packages that a chain may be made of; a model folder of nnU-Net is loaded in `environment`,
    that of the site.
    """
    if isinstance(package.manifest, Chain):
        try:
            package = bound_beside(package, folders)
        except PackageError as error:
            yield Line("steps", False, str(error))
            return
        yield Line("steps", True, ", then ".join(map(_of_step, package.steps)))
    yield _line("weights", partial(_weights, package))
    yield _line("network", partial(_network, package, environment))
    yield _line("licences", partial(_licences, package))
    yield _line("card", partial(_card, package))
    yield _line("evaluation", partial(_evaluation, package))
    yield _line("plausible ranges", partial(_plausible, package))


def _line(check: str, look: Callable[[], str]) -> Line:
    try:
        return Line(check, True, look())
    except (PackageError, OSError, ValueError, MemoryError, Ended) as error:
        return Line(check, False, str(error))


def _of_step(step: Package) -> str:
    return f"{step.manifest.name} {step.manifest.version} in {step.folder}"


def _weights(package: Package) -> str:
    verify(package)
    if package.steps:
        return "; ".join(f"{step.manifest.name}: {_weights(step)}" for step in dict.fromkeys(package.steps))
    if package.weights.suffix == LISTING_SUFFIX:
        return f"{verify_files(package)} files, the listing has SHA-256 {package.manifest.weights_sha256}"
    if package.weights.suffix == ONNX_SUFFIX:
        return f"one graph, SHA-256 {package.manifest.weights_sha256}"
    require_safetensors(package.weights)
    with safe_open(package.weights, framework="numpy") as file:
        names = list(file.keys())
        for name in names:
            if not np.isfinite(file.get_tensor(name)).all():
                raise PackageError(f"{package.weights}: {name} holds values that are no finite numbers: train it again")
    return f"{len(names)} tensors, SHA-256 {package.manifest.weights_sha256}"


def _network(package: Package, environment: Environment | None) -> str:
    if isinstance(package.manifest, Regression):
        load_for_values(package, "cpu")
    else:
        load(package, "cpu", environment)
    return f"the weights fit the network of task {package.manifest.task}"


def _licences(package: Package) -> str:
    licences = package.manifest.licences
    for what, licence in (("training data", licences.training_data), ("weights", licences.weights)):
        if not _SPDX.fullmatch(licence) or licence in _NOTHING_SAID:
            raise PackageError(f"the licence of the {what} is {licence!r}: give its SPDX name, or LicenseRef-<name>")
    return f"training data {licences.training_data}, weights {licences.weights}"


def _card(package: Package) -> str:
    path = package.folder / CARD
    if not path.is_file():
        raise PackageError(f"{path} is missing: say what the model is for, what it was made from and where it fails")
    return str(path)


def _evaluation(package: Package) -> str:
    evaluation = read_evaluation(package.folder)
    if evaluation is None:
        if package.manifest.evidence is Evidence.FOREIGN:
            return "none here: it was evaluated by others"
        raise PackageError(f"{package.folder / EVALUATION} is missing: run `isocenter evaluate`")
    if evaluation.package != identity(package.manifest):
        raise PackageError(
            f"{package.folder / EVALUATION} is of other weights or of another manifest: run `isocenter evaluate` again"
        )
    return f"{len(evaluation.cases)} cases, of these weights and this manifest"


def _plausible(package: Package) -> str:
    """Whether every true volume or size of the evaluation lies in the range that the manifest calls plausible."""
    manifest, evaluation = package.manifest, read_evaluation(package.folder)
    if isinstance(manifest, Location) and isinstance(evaluation, LocationEvaluation):
        return _plausible_sizes(manifest, evaluation)
    labels = _labels(package)
    if not labels or not isinstance(evaluation, SegmentationEvaluation):
        return "no volume to compare them with"
    for case in evaluation.cases:
        for label, score in zip(labels, case.labels, strict=True):
            if score.truth_ml and not label.plausible_ml.holds(score.truth_ml):
                raise PackageError(
                    f"{label.name} of {case.name} truly has {score.truth_ml:g} ml, "
                    f"and the manifest calls {label.plausible_ml} plausible"
                )
    return "; ".join(f"{label.name} {label.plausible_ml} ml" for label in labels)


def _labels(package: Package) -> Sequence[Label]:
    """What is marked; nothing where volumes are not what a package is about."""
    if isinstance(package.manifest, Segmentation):
        return package.manifest.labels
    return told_labels(package) if package.steps else ()


def _plausible_sizes(manifest: Location, evaluation: LocationEvaluation) -> str:
    for case in evaluation.cases:
        for structure, score in zip(manifest.structures, case.structures, strict=True):
            for span, size in zip(structure.plausible_mm.spans, score.truth_mm if score else (), strict=False):
                if not span.holds(size):
                    found = f"{structure.name} of {case.name} truly has {size:g} mm"
                    raise PackageError(f"{found}, and the manifest calls {span} plausible")
    spans = (f"{each.name} {' x '.join(map(str, each.plausible_mm.spans))} mm" for each in manifest.structures)
    return "; ".join(spans)
