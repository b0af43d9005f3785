"""A chest radiograph of noise with made-up findings, and volumes with their images, for tests of what people see."""

from dataclasses import replace

import numpy as np
from pydicom import Dataset
from pydicom.uid import ComputedRadiographyImageStorage

from models.findings import Box, Findings, HeatMap, Point, Score
from models.terms import Code, Term
from models.volume import Grid, Radiograph
from service.derived.encoding import decode, encode
from service.derived.material import Material
from tests import factories

SHAPE = (60, 48)
PNEUMONIA = Term(
    name="Pneumonia",
    category=factories.ORGAN,
    type=Code(value="233604007", scheme="SCT", meaning="Pneumonia"),
    color_rgb=(255, 120, 60),
)
EFFUSION = Term(
    name="Pleural effusion",
    category=factories.ORGAN,
    type=Code(value="60046008", scheme="SCT", meaning="Pleural effusion"),
    color_rgb=(80, 200, 255),
)
_OF_VOLUMES = ("ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID", "PatientPosition", "KVP")


def chest_image() -> Dataset:
    """A CR image without pixels."""
    (image,) = factories.headers(factories.ct_series(factories.grid(shape=(1, *SHAPE))))
    for keyword in (*_OF_VOLUMES, "PositionReferenceIndicator", "SliceThickness", "RescaleType", "ImageType"):
        del image[keyword]
    image.SOPClassUID, image.Modality = ComputedRadiographyImageStorage, "CR"
    image.ViewPosition, image.PatientOrientation, image.BodyPartExamined = "PA", ["L", "F"], "CHEST"
    image.ImagerPixelSpacing = image.PixelSpacing = [0.2, 0.2]
    return image


def chest_findings() -> Findings:
    """A box, a point, two scores of which one is negative, and a heat map."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    heat = np.exp(-((rows - 40) ** 2 + (columns - 12) ** 2) / 60.0).astype(np.float32)
    return Findings(
        factories.ALGORITHM,
        scores=(Score(PNEUMONIA, 0.87, 0.5), Score(EFFUSION, 0.2, 0.6)),
        boxes=(Box(PNEUMONIA, (30.0, 6.5), (50.0, 20.0), 0.87),),
        points=(Point(EFFUSION, (55.0, 40.0), 0.3),),
        heat_maps=(HeatMap(PNEUMONIA, heat),),
    )


def chest(findings: Findings | None = None) -> Material:
    """The radiograph with its findings."""
    values = np.random.default_rng(0).normal(100.0, 20.0, SHAPE).astype(np.float32)
    image = Radiograph(values, (0.2, 0.2), calibrated=False)
    return factories.material([chest_image()], findings or chest_findings(), image=image)


def negative() -> Findings:
    """Scores below their operating points, and nothing else."""
    return Findings(
        factories.ALGORITHM, scores=tuple(replace(score, probability=0.1) for score in chest_findings().scores)
    )


def volume(on: Grid | None = None, findings: Findings | None = None) -> Material:
    """A CT series of noise with the usual findings, or with others."""
    on = on or factories.grid()
    sources = factories.headers(factories.ct_series(on))
    return factories.material(sources, findings or factories.findings(on), image=factories.volume(on))


def read_back(objects: list[Dataset]) -> list[Dataset]:
    """The objects as they are in their bytes."""
    return [decode(encode(dataset)) for dataset in objects]
