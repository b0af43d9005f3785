"""A trained model folder of nnU-Net v2: what its two JSON files say; its checkpoints are copied and never opened."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models import listing
from models.adoption.statement import LARGEST_TEXT, Origin, Statement, read_mapping
from models.architectures import Fold, NnUNet
from models.packaging import LARGEST_WEIGHTS
from models.preparation import Axes, Own, Preprocessing
from models.registry import PackageError, corrections
from models.sections import Inference, Intake

DATASET, PLANS = "dataset.json", "plans.json"
CHECKPOINT = "checkpoint_final.pth"
MODALITIES = {"CT": "CT", "MR": "MR", "MRI": "MR", "PET": "PT"}
READERS = ("SimpleITKIO", "NibabelIO")  # leave the voxels as they are in the file
TURNING_READERS = ("SimpleITKIOWithReorient", "NibabelIOWithReorient")  # turn them to RAS: first axis to Superior
AXES: Axes = "SAR"  # of a NIfTI file whose voxels run to Right, Anterior, Superior, as nnU-Net reads it: z first
MIRRORED = (0, 1, 2)  # by nnU-Net's own trainer, in 3-D
UNMIRRORED = "NoMirroring"  # in the names of its trainers that do not
OVERLAP = 0.5
LARGEST_LABEL = 255
_NETWORKS = "dynamic_network_architectures.architectures."
_LAYER = re.compile(r"torch\.nn\.(modules\.[a-z_]+\.)?[A-Z][A-Za-z0-9]{0,60}")
_MOST_ANCESTORS = 16

Index = Annotated[int, Field(ge=0, le=2)]


class _Said(BaseModel):
    """Of these files, only what is named is read: the rest is nnU-Net's own business."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Dataset(_Said):
    """dataset.json: what goes in, and what comes out."""

    channel_names: dict[str, str] | None = None
    modality: dict[str, str] | None = None  # as older ones call it
    labels: dict[str, int | tuple[int, ...]]


class Architecture(_Said):
    """Which class is built, by name; nnU-Net imports whatever stands there."""

    network_class_name: str
    arch_kwargs: dict[str, Any]
    kw_requires_import: tuple[str, ...] = Field(default=(), alias="_kw_requires_import")


class Configuration(_Said):
    """One of the plans' configurations."""

    patch_size: tuple[int, ...]
    spacing: tuple[float, ...]
    previous_stage: str | None = None
    architecture: Architecture | None = None  # older plans have numbers in its place


class Plans(_Said):
    """plans.json."""

    configurations: dict[str, dict[str, Any]]
    image_reader_writer: str
    transpose_backward: tuple[Index, Index, Index]


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model folder of which nothing was loaded: where it is, what it is, and which of its files make the model."""

    source: Path
    origin: Origin
    files: tuple[str, ...]

    def put(self, folder: Path) -> Path:
        """Copies the files into a package, and writes their listing. Raises PackageError for one that is not plain."""
        for name in self.files:
            source, target = self.source / name, folder / listing.FOLDER / name
            _require_plain(source, LARGEST_WEIGHTS if source.suffix == ".pth" else LARGEST_TEXT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target, follow_symlinks=False)
        return listing.write(folder, self.files)


def is_one(source: Path) -> bool:
    """True for a folder that has nnU-Net's plans."""
    return source.is_dir() and (source / PLANS).is_file()


def read(source: Path, person: Statement) -> ModelFolder:
    """What a model folder says; what a person says is not looked for there, folds and checkpoint among it.

    Raises PackageError, before any checkpoint is read, for several channels, regions, cascades, two dimensions,
    images that are no volumes, and plans that name what is not nnU-Net's.
    """
    dataset, plans = _read(source, DATASET, Dataset), _read(source, PLANS, Plans)
    network = _network(source, person)
    configuration = _configuration(source, plans, network.configuration)
    names = _label_names(source, dataset)
    if person.labels is not None and len(person.labels) != len(names):
        raise PackageError(f"{source} marks {len(names)} structures ({', '.join(names)}), not {len(person.labels)}")
    channel = _channel(source, dataset)
    statement = Statement(
        intake=Intake(modalities=(MODALITIES[channel.upper()],)) if channel.upper() in MODALITIES else None,
        network=network,
        preprocessing=_preprocessing(source, plans, configuration),
        inference=_inference(source, plans, configuration),
    )
    checkpoints = tuple(f"fold_{fold}/{network.checkpoint}" for fold in network.folds)
    origin = Origin(
        statement.under(person.model_copy(update={"network": network})),
        source / checkpoints[0],
        names,
        len(names) + 1,
        _notes(plans, person),
    )
    return ModelFolder(source, origin, (DATASET, PLANS, *checkpoints))


def _network(source: Path, person: Statement) -> NnUNet:
    """Configuration, folds and checkpoint: as a person says, else as the names of the folders do."""
    said = person.network
    if said is not None and not isinstance(said, NnUNet):
        raise PackageError(f"{source} is of nnU-Net, and not the network {said.name} of the statement")
    parts = source.absolute().name.split("__")
    if said is None and len(parts) != 3:
        raise PackageError(
            f"{source} does not say its configuration, as nnUNetTrainer__nnUNetPlans__3d_fullres does: "
            "say network: {name: nnunet, configuration: 3d_fullres, folds: [0]} by --labels"
        )
    checkpoint = said.checkpoint if said else CHECKPOINT
    found = said.folds if said else _folds(source, checkpoint)
    for fold in found:
        _require_plain(source / f"fold_{fold}" / checkpoint, LARGEST_WEIGHTS)
    try:
        name = said.configuration if said else parts[2]
        return NnUNet(name="nnunet", configuration=name, folds=found, checkpoint=checkpoint)
    except ValidationError as error:
        raise PackageError(f"{source}: network: {corrections(error)}") from error


def _folds(source: Path, checkpoint: str) -> tuple[Fold, ...]:
    """The folds that were trained to the end, else the one of all cases."""
    numbers = sorted(
        int(path.parent.name.removeprefix("fold_"))
        for path in source.glob(f"fold_*/{checkpoint}")
        if path.parent.name.removeprefix("fold_").isdecimal()
    )
    if numbers:
        return tuple(numbers)
    if (source / "fold_all" / checkpoint).is_file():
        return ("all",)
    raise PackageError(f"{source} has no fold_0/{checkpoint} or other fold: a trained model folder is wanted")


def _configuration(source: Path, plans: Plans, name: str) -> Configuration:
    """The configuration, with what it inherits."""
    merged: dict[str, Any] = {}
    wanted: Any = name
    for _ in range(_MOST_ANCESTORS):
        if wanted not in plans.configurations:
            known = ", ".join(plans.configurations)
            raise PackageError(f"{source}: {PLANS} has no configuration {wanted}: it has {known}")
        merged = plans.configurations[wanted] | merged
        wanted = plans.configurations[wanted].get("inherits_from")
        if wanted is None:
            break
    else:
        raise PackageError(f"{source}: {PLANS}: {name} inherits without end")
    try:
        found = Configuration.model_validate(merged)
    except ValidationError as error:
        raise PackageError(f"{source}: {PLANS}: {name}: {corrections(error)}") from error
    _require_supported(source, name, found)
    return found


def _require_supported(source: Path, name: str, found: Configuration) -> None:
    if found.previous_stage:
        raise PackageError(
            f"{source}: {name} is a cascade: it wants the answer of {found.previous_stage} too; adopt that instead"
        )
    if len(found.patch_size) != 3 or len(found.spacing) != 3:
        raise PackageError(f"{source}: {name} looks at slices in two dimensions: adopt a configuration in 3-D")
    if found.architecture is not None:
        _require_known(source, found.architecture)


def _require_known(source: Path, architecture: Architecture) -> None:
    """Raises PackageError for a class that is not a network of nnU-Net or a layer of torch."""
    named = [architecture.arch_kwargs.get(key) for key in architecture.kw_requires_import]
    strange = [each for each in named if each is not None and not _LAYER.fullmatch(str(each))]
    if not architecture.network_class_name.startswith(_NETWORKS):
        strange.append(architecture.network_class_name)
    if strange:
        raise PackageError(
            f"{source}: {PLANS} would import {strange[0]}: known are {_NETWORKS}* and layers of torch.nn"
        )


def _label_names(source: Path, dataset: Dataset) -> tuple[str, ...]:
    """The structures in the order of their values, without background."""
    regions = [name for name, value in dataset.labels.items() if not isinstance(value, int)]
    if regions:
        raise PackageError(f"{source}: {DATASET} has regions ({', '.join(regions)}), which overlap: not supported")
    values = {value: name for name, value in dataset.labels.items() if name != "ignore"}
    if sorted(values) != list(range(len(values))) or not 2 <= len(values) <= LARGEST_LABEL + 1:
        raise PackageError(f"{source}: {DATASET} has the labels {sorted(values)}: 0, 1, 2, ... up to 255 are wanted")
    if values[0].lower() != "background":
        raise PackageError(f"{source}: {DATASET} calls label 0 {values[0]!r}, and it has to be background")
    return tuple(values[value] for value in range(1, len(values)))


def _channel(source: Path, dataset: Dataset) -> str:
    channels = dataset.channel_names or dataset.modality or {}
    if len(channels) != 1:
        named = ", ".join(channels.values()) or "none named"
        raise PackageError(f"{source} wants {len(channels)} images at once ({named}): models of one are supported")
    return next(iter(channels.values()))


def _preprocessing(source: Path, plans: Plans, found: Configuration) -> Preprocessing:
    """What is known of nnU-Net's own: the spacing along the axes of the image, and which these are."""
    if plans.image_reader_writer not in (*READERS, *TURNING_READERS):
        raise PackageError(f"{source}: {PLANS}: {plans.image_reader_writer} reads no volumes with a place in a patient")
    slices, rows, columns = (found.spacing[axis] for axis in plans.transpose_backward)
    return Preprocessing(axes=AXES, spacing_mm=(slices, rows, columns), intensity=Own(kind="own"))


def _inference(source: Path, plans: Plans, found: Configuration) -> Inference:
    """nnU-Net's own window, as wide as the plans say along the axes of the image."""
    slices, rows, columns = (found.patch_size[axis] for axis in plans.transpose_backward)
    mirrored = () if UNMIRRORED in source.absolute().name else MIRRORED
    padding: Literal["constant"] = "constant"
    return Inference(patch=(slices, rows, columns), overlap=OVERLAP, padding=padding, mirror_axes=mirrored)


def _notes(plans: Plans, person: Statement) -> tuple[str, ...]:
    copied = "The files of the model are its makers' own, byte for byte; no checkpoint was opened to adopt them"
    if person.preprocessing is not None:
        return (copied, "The axes are those that whoever adopted it said")
    if plans.image_reader_writer in TURNING_READERS:
        return (copied, f"Its reader, {plans.image_reader_writer}, turns images: the axes {AXES} follow from that")
    return (
        copied,
        f"Its reader, {plans.image_reader_writer}, does not turn images, and no file says how those of the training "
        f"lay: {AXES} is the usual way of NIfTI (to Right, Anterior, Superior). For images that lay as DICOM has them, "
        "change preprocessing.axes in the manifest to SPL",
    )


def _read(source: Path, name: str, kind: type[Any]) -> Any:
    path = source / name
    try:
        _require_plain(path, LARGEST_TEXT)
        return kind.model_validate(read_mapping(path.read_bytes(), str(path)))
    except ValidationError as error:
        raise PackageError(f"{path}: {corrections(error)}") from error


def _require_plain(path: Path, most: int) -> None:
    """Raises PackageError unless a path is a file of its folder, and not too large."""
    if any(each.is_symlink() for each in (path, path.parent)) or not path.is_file():
        raise PackageError(f"{path} is missing, or a link: the files of a model are wanted themselves")
    if path.stat().st_size > most:
        raise PackageError(f"{path} has {path.stat().st_size} bytes: at most {most} are read")
