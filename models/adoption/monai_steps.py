"""What the transforms and the inferer of a MONAI bundle mean as our preprocessing and inference."""

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from models.adoption.monai_config import Config, target_of
from models.preparation import Axes, Intensity, Percentiles, Preprocessing, Scale, Standardize, StandardizeNonzero
from models.registry import PackageError, corrections
from models.sections import Inference
from models.terms import Text, Triple

CURE = "say {section} by --labels, or write the manifest by hand"
WITHOUT_EFFECT = frozenset({"LoadImaged", "EnsureChannelFirstd", "EnsureTyped", "ToTensord"})  # on values or places
OURS = frozenset({"Invertd", "SaveImaged", "EnsureTyped"})  # afterwards: the way back and the writing are ours anyway
AS_IT_IS = Scale(kind="scale", minimum=0, maximum=1, clip=False)


def _one(value: Any) -> Any:
    """MONAI takes one value, or a list of one per key; there is one key, the image."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


Key = Annotated[str, BeforeValidator(_one)]
Pixdim = Annotated[Triple, BeforeValidator(lambda value: [value] * 3 if isinstance(value, int | float) else value)]
Window = Annotated[
    tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]],
    BeforeValidator(lambda value: [value] * 3 if isinstance(value, int) else value),
]


def _says_so(value: bool) -> bool:
    if not value:
        raise ValueError("is not asked for, and an answer here is the likeliest class")
    return value


class Step(Text):
    """A transform of the image."""

    keys: Key
    allow_missing_keys: bool = False
    dtype: Literal["float32"] | None = None


class Orientationd(Step):
    """The axes turned."""

    axcodes: Axes


class Spacingd(Step):
    """Resampled; ours is linear in any case, and smooths first where voxels become larger."""

    pixdim: Pixdim
    mode: Annotated[Literal["bilinear"], BeforeValidator(_one)] = "bilinear"
    padding_mode: Annotated[Literal["border"], BeforeValidator(_one)] = "border"
    align_corners: bool = False


class ScaleIntensityRanged(Step):
    """From one span to another."""

    a_min: float
    a_max: float
    b_min: float
    b_max: float
    clip: bool = False


class ScaleIntensityRangePercentilesd(Step):
    """From two percentiles to a span."""

    lower: float
    upper: float
    b_min: float
    b_max: float
    clip: bool = False
    relative: Literal[False] = False
    channel_wise: bool = False


class ScaleIntensityd(Step):
    """From the least and the greatest value to a span."""

    minv: float = 0.0
    maxv: float = 1.0
    factor: None = None
    channel_wise: bool = False


class NormalizeIntensityd(Step):
    """Zero mean and unit deviation, of the image or as said."""

    subtrahend: float | None = None
    divisor: float | None = None
    nonzero: bool = False
    channel_wise: bool = False


class Activationsd(Step):
    """Probabilities."""

    softmax: Annotated[bool, BeforeValidator(_one), AfterValidator(_says_so)] = Field(False, validate_default=True)
    sigmoid: Annotated[Literal[False], BeforeValidator(_one)] = False


class AsDiscreted(Step):
    """The likeliest class."""

    argmax: Annotated[bool, BeforeValidator(_one), AfterValidator(_says_so)] = Field(False, validate_default=True)
    to_onehot: None = None
    threshold: None = None


class SlidingWindowInferer(Text):
    """The window; what only makes it faster is read and left."""

    roi_size: Window
    sw_batch_size: int = 1
    overlap: float = 0.25
    mode: Literal["constant", "gaussian"] = "constant"
    sigma_scale: float = Field(default=0.125, ge=0.125, le=0.125)  # ours
    padding_mode: Literal["constant", "replicate"] = "constant"
    cval: float = Field(default=0.0, ge=0.0, le=0.0)  # ours
    sw_device: str | None = None
    device: str | None = None
    progress: bool = False
    cache_roi_weight_map: bool = False
    cpu_thresh: int | None = None


BEFORE: dict[str, type[Step]] = {
    step.__name__: step
    for step in (
        *(Orientationd, Spacingd, ScaleIntensityRanged),
        *(ScaleIntensityRangePercentilesd, ScaleIntensityd, NormalizeIntensityd),
    )
}
AFTER: dict[str, type[Step]] = {step.__name__: step for step in (Activationsd, AsDiscreted)}


@dataclass(frozen=True, slots=True)
class _Sofar:
    """What the transforms up to here have said."""

    axes: Axes | None = None
    spacing_mm: Triple | None = None
    intensity: Intensity | None = None


def preprocessing(config: Config) -> Preprocessing:
    """The bundle's preprocessing as ours. Raises PackageError that names the transform that ours cannot say."""
    sofar = _Sofar()
    for place, name, written in _transforms(config, "preprocessing"):
        if name in WITHOUT_EFFECT:
            config.literal(written, place)
            continue
        step = _read(config, place, name, written, BEFORE)
        try:
            sofar = _after(sofar, step)
        except ValueError as error:
            raise PackageError(f"{config.name}: {place} is {name}, {error}: {_cure(place)}") from error
    if sofar.axes is None or sofar.spacing_mm is None:
        absent = "Spacingd" if sofar.axes else "Orientationd"
        raise PackageError(f"{config.name}: no {absent} says how the network's grid lies: {_cure('preprocessing')}")
    return Preprocessing(axes=sofar.axes, spacing_mm=sofar.spacing_mm, intensity=sofar.intensity or AS_IT_IS)


def inference(config: Config) -> Inference:
    """The bundle's inferer as ours. Raises PackageError where it or what follows it is of another kind."""
    name, _ = target_of(config.section("inferer"), f"{config.name}: inferer")
    if name != "SlidingWindowInferer":
        raise PackageError(f"{config.name}: inferer is {name}, not SlidingWindowInferer: {_cure('inference')}")
    _, arguments = target_of(config.literal(config.section("inferer"), "inferer"), "inferer")
    try:
        read = SlidingWindowInferer.model_validate(arguments)
    except ValidationError as error:
        raise PackageError(f"{config.name}: inferer: {corrections(error)}") from error
    if "postprocessing" in config.written:
        for place, after, written in _transforms(config, "postprocessing"):
            if after not in OURS:
                _read(config, place, after, written, AFTER)
    return Inference(patch=read.roi_size, overlap=read.overlap, blend=read.mode, padding=read.padding_mode)


def _transforms(config: Config, section: str) -> list[tuple[str, str, Any]]:
    """Place, class and text of each transform of a Compose."""
    whole = config.section(section)
    name, arguments = target_of(whole, f"{config.name}: {section}")
    if name != "Compose" or set(arguments) != {"transforms"} or not isinstance(arguments["transforms"], list):
        raise PackageError(f"{config.name}: {section} is not a Compose of transforms: {_cure(section)}")
    places = [(f"{section}.transforms.{number}", each) for number, each in enumerate(arguments["transforms"])]
    return [(place, target_of(each, f"{config.name}: {place}")[0], each) for place, each in places]


def _read(config: Config, place: str, name: str, written: Any, steps: dict[str, type[Step]]) -> Step:
    if name not in steps:
        raise PackageError(f"{config.name}: {place} is {name}, which a manifest cannot say: {_cure(place)}")
    _, arguments = target_of(config.literal(written, place), place)
    try:
        return steps[name].model_validate(arguments)
    except ValidationError as error:
        raise PackageError(f"{config.name}: {place}, {name}: {corrections(error)}: {_cure(place)}") from error


def _after(sofar: _Sofar, step: Step) -> _Sofar:
    """What is said with one more transform. Raises ValueError where ours would come in another order."""
    match step:
        case Orientationd():
            return replace(sofar, axes=step.axcodes)
        case Spacingd():
            if sofar.intensity:
                raise ValueError("after the intensities were scaled, and ours comes before")
            if sofar.axes is None and len(set(step.pixdim)) > 1:
                raise ValueError("before the axes are turned, so that nobody knows which spacing is whose")
            return replace(sofar, spacing_mm=step.pixdim)
    if sofar.intensity:
        raise ValueError("one more that scales the intensities, and ours are scaled once")
    return replace(sofar, intensity=_intensity(step))


def _intensity(step: Step) -> Intensity:
    match step:
        case ScaleIntensityRanged():
            onto = (step.b_min, step.b_max)
            return Scale(kind="scale", minimum=step.a_min, maximum=step.a_max, onto=onto, clip=step.clip)
        case ScaleIntensityRangePercentilesd():
            span, onto = (step.lower, step.upper), (step.b_min, step.b_max)
            return Percentiles(kind="percentiles", percentiles=span, onto=onto, clip=step.clip)
        case ScaleIntensityd():
            return Percentiles(kind="percentiles", percentiles=(0, 100), onto=(step.minv, step.maxv))
        case NormalizeIntensityd(subtrahend=None, divisor=None, nonzero=nonzero):
            whole = Standardize(kind="standardize", clip_percentiles=(0, 100))
            return StandardizeNonzero(kind="standardize_nonzero") if nonzero else whole
        case NormalizeIntensityd(subtrahend=float(less), divisor=float(by), nonzero=False):
            return Scale(kind="scale", minimum=less, maximum=less + by, clip=False)
    raise ValueError("with arguments that a manifest cannot say")


def _cure(place: str) -> str:
    section = "inference" if place.startswith(("inference", "postprocessing")) else "preprocessing"
    return CURE.format(section=section)
