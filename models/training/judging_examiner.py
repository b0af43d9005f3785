"""How good a package judges radiographs: what it says of each image, also of one with a part painted over."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from models.findings import Findings
from models.inference import load_for_radiographs
from models.registry import classification
from models.tasks.classify import Classifier
from models.training.classified import ClassificationEvaluation, ClassifiedCase, ClassScore, classification_evaluation
from models.training.classify_course import truth_of
from models.training.exam import Exam
from models.training.figures import identity
from models.training.image_cases import ImageCase, cases_in, read_radiograph, split_for
from models.training.judging_lesson import folder_of_images
from models.training.recipe import read_classification_recipe
from models.training.shortcuts import PAINTED_OVER

_DIGITS = 6


@dataclass(frozen=True, slots=True)
class ClassificationExaminer:
    """Images of a package that judges radiographs."""

    predictor: Classifier
    names: Sequence[str]
    cases: Mapping[str, ImageCase]
    source: Path
    prevalence: float  # at which predictive values are said

    def __call__(self, names: Iterable[str]) -> ClassificationEvaluation:
        """What is said of every image, and what is true."""
        manifest = self.predictor.manifest
        rows = [judge(self.predictor, self.cases[name], self.source) for name in names]
        points = [each.operating_point for each in manifest.classes]
        findings = [each.name for each in manifest.classes]
        return classification_evaluation(identity(manifest), findings, points, rows, prevalence=self.prevalence)


def judging_examiner(exam: Exam) -> ClassificationExaminer:
    """The examiner of a package that judges radiographs. Raises ValueError without a folder of images."""
    package, source = exam.package, folder_of_images(exam.package, exam.source)
    classification(package)
    recipe = read_classification_recipe(package.folder)
    names = split_for(package.folder, recipe.cases, source).held_out
    predictor = load_for_radiographs(package, exam.device)
    return ClassificationExaminer(predictor, names, cases_in(source, recipe.cases), source, recipe.prevalence)


def judge(predictor: Classifier, case: ImageCase, source: Path) -> ClassifiedCase:
    """One image, asked as it is and with a part painted over."""
    image = read_radiograph(source, case.name)
    painted = {
        part: _probabilities(predictor(replace(image, values=paint(image.values))))
        for part, paint in PAINTED_OVER.items()
    }
    truths = truth_of(case, predictor.manifest) > 0
    said = _probabilities(predictor(image))
    return ClassifiedCase(
        name=case.name,
        patient=case.patient,
        sha256=sha256(np.ascontiguousarray(image.values).tobytes()).hexdigest(),
        classes=tuple(
            ClassScore(
                truth=bool(truth),
                probability=said[index],
                painted_over={part: probabilities[index] for part, probabilities in painted.items()},
            )
            for index, truth in enumerate(truths)
        ),
    )


def _probabilities(findings: Findings) -> tuple[float, ...]:
    return tuple(round(score.probability, _DIGITS) for score in findings.scores)
