"""What a network that judges radiographs is taught, and what its validation images decide after it."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.inference import load_for_radiographs
from models.registry import Package, classification
from models.tasks.classify import probability
from models.training.classify_course import ClassifyCourse, JudgedImage, JudgedImages, judged, truth_of
from models.training.image_cases import cases_in, read_radiograph, split_for
from models.training.lesson import Lesson, announce, purpose
from models.training.operating import fitted_calibration, fitted_operating_point
from models.training.publishing import rewritten
from models.training.recipe import read_classification_recipe

CALIBRATION_LINE = re.compile(r"(?m)^([ -]*calibration:\s*)\{[^}\n]*\}")
OPERATING_POINT_LINE = re.compile(r"(?m)^([ -]*operating_point:\s*)[0-9.]+")


def judging_lesson(package: Package, source: Path | None) -> Lesson:
    """The lesson of the weights that are shipped. Raises ValueError without a folder of images."""
    images_in = folder_of_images(package, source)
    manifest, recipe = classification(package), read_classification_recipe(package.folder)
    split = split_for(package.folder, recipe.cases, images_in)

    def course() -> ClassifyCourse:
        announce(split)
        cases = cases_in(images_in, recipe.cases)

        def images(names: Sequence[str]) -> list[JudgedImage]:
            return [judged(cases[name], images_in, manifest) for name in names]

        return ClassifyCourse(manifest, recipe, JudgedImages(images(split.training), images(split.validation)))

    return Lesson(course, recipe, purpose(manifest, recipe, split))


def calibrated(package: Package, source: Path | None, device: str) -> Package:
    """The package with what its validation images say its answers mean, and where its classes become positive."""
    images_in, recipe = folder_of_images(package, source), read_classification_recipe(package.folder)
    manifest, predictor = classification(package), load_for_radiographs(package, device)
    cases = cases_in(images_in, recipe.cases)
    names = split_for(package.folder, recipe.cases, images_in).validation
    logits = np.stack([predictor.answer(read_radiograph(images_in, name)).logits for name in names])
    truths = np.stack([truth_of(cases[name], manifest) for name in names]) > 0
    calibrations, points = [], []
    for index in range(len(manifest.classes)):
        fitted = fitted_calibration(truths[:, index], logits[:, index], recipe.calibration)
        likely = np.array([probability(logit, fitted) for logit in logits[:, index]])
        calibrations.append(f"{{slope: {fitted.slope}, offset: {fitted.offset}}}")
        points.append(str(fitted_operating_point(truths[:, index], likely, recipe.operating_point)))
    return rewritten(rewritten(package, CALIBRATION_LINE, calibrations), OPERATING_POINT_LINE, points)


def folder_of_images(package: Package, source: Path | None) -> Path:
    """The folder of cases. Raises ValueError where none is given."""
    if source is None:
        raise ValueError(f"{package.folder} is about images: name their folder with --data")
    return source
