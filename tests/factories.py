"""Small inputs for tests: synthetic series in every orientation, and findings on them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from scipy.ndimage import gaussian_filter

from models.findings import Algorithm, Box, Change, Findings, HeatMap, Measurement, Point, Score
from models.measurement import (
    ATTENUATION,
    CUBIC_CENTIMETRE,
    DIAMETER,
    HOUNSFIELD,
    MEAN,
    MILLIMETRE,
    VOLUME,
    Likelihoods,
    measured,
)
from models.regions import found
from models.sections import Label, Measure
from models.terms import Code, Span, Term
from models.volume import Grid, LabelMap, Matrix, Radiograph, Volume
from service.core.comparison import LARGER, differences
from service.core.profiles import USUAL, Kind, Profile
from service.derived import measurement_report, segmentation, synthetic
from service.derived.material import Material
from service.derived.origin import Origin

ORGAN = Code(value="91723000", scheme="SCT", meaning="Anatomical Structure")
LABELS = (
    Label(
        value=1,
        name="Liver",
        category=ORGAN,
        type=Code(value="10200004", scheme="SCT", meaning="Liver"),
        color_rgb=(221, 130, 101),
        plausible_ml=Span(minimum=0.001, maximum=3000),
    ),
    Label(
        value=2,
        name="Spleen",
        category=ORGAN,
        type=Code(value="78961009", scheme="SCT", meaning="Spleen"),
        color_rgb=(157, 108, 162),
        plausible_ml=Span(minimum=0.001, maximum=3000),
    ),
    Label(
        value=3,
        name="Right kidney",
        category=ORGAN,
        type=Code(value="9846003", scheme="SCT", meaning="Right kidney"),
        color_rgb=(185, 102, 83),
    ),
)
LAYERED = (
    LABELS[0].model_copy(update={"includes": (4,)}),
    LABELS[1],
    Label(
        value=4,
        name="Liver lesion",
        category=Code(value="49755003", scheme="SCT", meaning="Morphologically Altered Structure"),
        type=Code(value="52988006", scheme="SCT", meaning="Lesion"),
        color_rgb=(253, 224, 74),
        lesions=True,
    ),
)
NODULE = Term(
    name="Nodule",
    category=Code(value="49755003", scheme="SCT", meaning="Morphologically Abnormal Structure"),
    type=Code(value="27925004", scheme="SCT", meaning="Nodule"),
    color_rgb=(240, 220, 60),
)
_ONLY = (Kind.SEGMENTATION,)
SEGMENTATION_FORMS = {
    "binary": Profile(objects=_ONLY),
    "binary, deflated": Profile(objects=_ONLY, compression="deflate"),
    "fractional, RLE": Profile(objects=_ONLY, segmentation="fractional", compression="rle"),
    "binary, with empty frames": Profile(objects=_ONLY, empty_frames=True),
    "label map": Profile(objects=_ONLY, segmentation="labelmap"),
    "label map, RLE": Profile(objects=_ONLY, segmentation="labelmap", compression="rle"),
    "label map, deflated": Profile(objects=_ONLY, segmentation="labelmap", compression="deflate"),
    "label map, with empty frames": Profile(objects=_ONLY, segmentation="labelmap", empty_frames=True),
}
ALGORITHM = Algorithm(
    name="abdomen",
    version="1.0.0",
    manufacturer="Isocenter",
    weights_sha256="ab" * 32,
    package="abdomen",
    manifest_sha256="cd" * 32,
)
_ALTERED = Code(value="49755003", scheme="SCT", meaning="Morphologically Altered Structure")
PNEUMONIA = Term(
    name="Pneumonia",
    category=_ALTERED,
    type=Code(value="233604007", scheme="SCT", meaning="Pneumonia"),
    color_rgb=(200, 60, 40),
)
EFFUSION = Term(
    name="Effusion of the left side",
    category=_ALTERED,
    type=Code(value="60046008", scheme="SCT", meaning="Pleural effusion"),
    modifier=Code(value="7771000", scheme="SCT", meaning="Left"),
    color_rgb=(60, 120, 200),
)
HEART_RATIO = Measurement(
    name=Code(value="59074-5", scheme="LN", meaning="Cardiothoracic Circumference Ratio"),
    value=0.4871234567,
    unit=Code(value="1", scheme="UCUM", meaning="no units"),
    uncertainty=0.0213,
)
AREA = Measurement(
    name=Code(value="42798000", scheme="SCT", meaning="Area"),
    value=1234.5,
    unit=Code(value="mm2", scheme="UCUM", meaning="Square millimeter"),
    derivation=Code(value="373098007", scheme="SCT", meaning="Mean"),
)
_CHANGE_OF_LESION = Change(
    NODULE,
    Measurement(VOLUME, 1.5, CUBIC_CENTIMETRE),
    Measurement(VOLUME, 2.25, CUBIC_CENTIMETRE),
    date(2025, 3, 4),
    "1.2.3",
    differences(1.5, 2.25, days=400),
    LARGER,
    "Earlier by version 0.9.0 of the model, now by 1.0.0.",
)
ORIGIN = Origin(job_id="0123456789abcdef", made_at=datetime(2026, 2, 3, 4, 5, 6, 789), software_version="0.1.0")


def _turn(axis: int, degrees: float) -> Matrix:
    """Rotation about a patient axis, 3x3."""
    first, second = (other for other in range(3) if other != axis)
    turn = np.eye(3)
    turn[first, first] = turn[second, second] = np.cos(np.deg2rad(degrees))
    turn[second, first] = np.sin(np.deg2rad(degrees))
    turn[first, second] = -turn[second, first]
    return turn


# Unit vectors of (slice, row, column) as the columns of a matrix, in LPS
ORIENTATIONS: dict[str, Matrix] = {
    "axial": np.array([[0.0, 0, 1], [0, 1, 0], [1, 0, 0]]),
    "axial reversed": np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]]),
    "coronal": np.array([[0.0, 0, 1], [1, 0, 0], [0, -1, 0]]),
    "sagittal": np.array([[-1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "oblique": _turn(0, 20.0) @ _turn(2, -15.0) @ np.array([[0.0, 0, 1], [0, 1, 0], [1, 0, 0]]),
}


def grid(
    orientation: str = "axial",
    shape: tuple[int, int, int] = (12, 40, 30),
    spacing_mm: tuple[float, float, float] = (2.5, 1.0, 1.0),
    origin_mm: tuple[float, float, float] = (-31.25, 17.5, -204.125),
) -> Grid:
    """A grid by the name of its orientation."""
    affine = np.eye(4)
    affine[:3, :3] = ORIENTATIONS[orientation] * spacing_mm
    affine[:3, 3] = origin_mm
    return Grid(shape, affine)


def volume(on: Grid | None = None, seed: int = 0) -> Volume:
    """Noise around 50 HU: no two slices are alike."""
    on = on or grid()
    values = np.random.default_rng(seed).normal(50.0, 40.0, on.shape)
    return Volume(on, values.astype(np.float32))


def smooth_volume(on: Grid, seed: int = 0) -> Volume:
    """Clouds around 50 HU that images of two days have in common: they can be laid on each other."""
    clouds = gaussian_filter(volume(on, seed).values, 2.5)
    return Volume(on, (50 + 1000 * (clouds - clouds.mean())).astype(np.float32))


def ct_series(on: Grid | None = None, seed: str = "test", missing: Sequence[int] = ()) -> list[Dataset]:
    """CT images in the order of the grid's slices, without those whose index is in `missing`."""
    series = synthetic.ct_series(volume(on), synthetic.Subject(seed=seed))
    return [image for index, image in enumerate(series) if index not in missing]


def mr_series(on: Grid | None = None, seed: str = "test", missing: Sequence[int] = ()) -> list[Dataset]:
    """MR images in the order of the grid's slices, without those whose index is in `missing`."""
    series = synthetic.mr_series(volume(on), synthetic.Subject(seed=seed))
    return [image for index, image in enumerate(series) if index not in missing]


def headers(series: Sequence[Dataset]) -> list[Dataset]:
    """The images as builders get them: without pixels."""
    bare = []
    for image in series:
        header = Dataset({tag: image[tag] for tag in image.keys() if tag != 0x7FE00010})  # noqa: SIM118
        bare.append(header)
    return bare


def chest(rows: int = 48, columns: int = 40) -> NDArray[np.float32]:
    """A projection through noise, (row, column)."""
    return np.asarray(volume(grid(shape=(6, rows, columns))).values.mean(axis=0))


def dx_image(rows: int = 48, columns: int = 40) -> Dataset:
    """A chest radiograph."""
    return synthetic.dx_image(chest(rows, columns), pixel_mm=0.2)


def cr_image(rows: int = 48, columns: int = 40) -> Dataset:
    """A chest radiograph of the older kind."""
    return synthetic.cr_image(chest(rows, columns), pixel_mm=0.2)


def heat(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float32]:
    """Evidence from 0 to 1 with no symmetry, some of it 0."""
    values = np.random.default_rng(seed).random(shape, dtype=np.float32)
    values[..., : shape[-1] // 3] = 0.0
    return values


def radiograph_findings(image: Dataset) -> Findings:
    """One finding of every kind on a radiograph: of two scores one is negative, no two numbers are alike."""
    rows, columns = int(image.Rows), int(image.Columns)
    return Findings(
        ALGORITHM,
        scores=(Score(PNEUMONIA, 0.9125, 0.4), Score(EFFUSION, 0.1, 0.35)),
        boxes=(Box(PNEUMONIA, (rows / 8, columns / 5), (rows / 2 + 0.25, columns * 0.75), 0.7, (AREA,)),),
        points=(Point(EFFUSION, (rows / 3, columns / 7), 0.3),),
        heat_maps=(HeatMap(PNEUMONIA, heat((rows, columns))), HeatMap(EFFUSION, heat((rows, columns), seed=1))),
        measurements=(HEART_RATIO,),
        changes=(
            Change(PNEUMONIA, AREA, replace(AREA, value=987.0), date(2025, 1, 2), "1.2.3.4"),
            Change(PNEUMONIA, AREA, AREA, date(2025, 1, 2), "1.2.3.4", (HEART_RATIO,), LARGER, "As it was shown."),
        ),
    )


def labels(on: Grid | None = None) -> NDArray[np.uint8]:
    """Liver and spleen, (slice, row, column): no symmetry in any axis, so that no flip goes unseen; no kidney."""
    on = on or grid()
    slices, rows, columns = on.shape
    array = np.zeros(on.shape, dtype=np.uint8)
    for index in range(slices // 6, slices - slices // 4):
        array[index, rows // 5 : rows // 2 + index, columns // 6 : columns // 3 + 1] = 1
        array[index, rows // 2 : rows - 3, columns // 2 + index % 3 : columns - 1 - index // 4] = 2
    return array


def findings(
    on: Grid | None = None,
    array: NDArray[np.uint8] | None = None,
    structures: Sequence[Label] = LABELS,
    algorithm: Algorithm = ALGORITHM,
) -> Findings:
    """Findings whose regions are those of the label map."""
    on = on or grid()
    label_map = LabelMap(on, labels(on) if array is None else array)
    return found(algorithm, label_map, structures)


def layered(on: Grid | None = None) -> Findings:
    """Liver with two lesions, each a region of its own in a layer above it, and spleen."""
    on = on or grid()
    array = labels(on)
    inside = np.argwhere(array == 1)
    for voxel, size in ((inside[len(inside) // 3], 2), (inside[-len(inside) // 4], 1)):
        lesion = tuple(slice(int(at), int(at) + size) for at in voxel)
        array[lesion] = np.where(array[lesion] == 1, 4, array[lesion])
    return findings(on, array, LAYERED)


def rich_findings(on: Grid | None = None, algorithm: Algorithm = ALGORITHM) -> Findings:
    """Findings of every sort that a volume may have: all is measured of liver and spleen, and there is no kidney."""
    on = on or grid()
    asking = [label.model_copy(update={"measure": tuple(Measure)}) for label in LABELS]
    likelihoods = Likelihoods(on, np.full((len(LABELS) + 1, *on.shape), 0.8, dtype=np.float32))
    regions = measured(findings(on, structures=asking, algorithm=algorithm), volume(on), likelihoods)
    attenuation = Measurement(ATTENUATION, 40.0, HOUNSFIELD, MEAN, 5.0)
    before, after = (Measurement(DIAMETER, mm, MILLIMETRE) for mm in (10.0, 12.0))
    return replace(
        regions,
        regions=(replace(regions.regions[0], location="in the Abdomen"), *regions.regions[1:]),
        scores=(Score(NODULE, 0.3, 0.5), Score(NODULE, 0.8, 0.5)),
        boxes=(Box(NODULE, (-20.0, 0.0, 5.0), (10.0, 20.0, 30.0), 0.7, (attenuation,)),),
        points=(Point(NODULE, (1.0, 2.0, 3.0), 0.6),),
        measurements=(attenuation,),
        changes=(Change(LABELS[0], before, after, date(2025, 3, 4), "1.2.3"), _CHANGE_OF_LESION),
        not_compared="not compared with what came before",
    )


def material(
    sources: Sequence[Dataset],
    findings_of_them: Findings | None = None,
    origin: Origin = ORIGIN,
    profile: Profile = USUAL,
    image: Volume | Radiograph | None = None,
) -> Material:
    """What objects are made of; findings are those on the default grid unless others are given."""
    return Material(sources, findings_of_them or findings(), origin, profile, image)


def objects(made_of: Material) -> dict[Kind, list[Dataset]]:
    """The segmentation, where something was found, and the report, as built."""
    made: dict[Kind, list[Dataset]] = {}
    if made_of.findings.found:
        made[Kind.SEGMENTATION] = segmentation.build(made_of, made)
    made[Kind.REPORT] = measurement_report.build(made_of, made)
    return made
