"""What a package is worth: the whole way from image to findings on cases that had no part in making it."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from models.manifest import Chain, Classification, Location, Manifest, Regression, Segmentation
from models.registry import PackageError
from models.training.chain_examiner import chain_examiner
from models.training.evaluation import AnyEvaluation, write_evaluation
from models.training.exam import Exam, Examiner
from models.training.judging_examiner import judging_examiner
from models.training.location_examiner import location_examiner
from models.training.marking_examiner import marking_examiner
from models.training.regression_examiner import regression_examiner


def evaluate(exam: Exam) -> tuple[Examiner, AnyEvaluation]:
    """Asks the package about its held-out cases, and writes the answers beside it and into its card.

    Raises PackageError where the recipe has folds and the exam names no run with them, for a package that nothing here
    can examine, and when its card has no place for the figures.
    """
    examiner = examiner_for(exam)
    evaluation = examiner(_told(examiner.names))
    write_evaluation(exam.package, evaluation)
    return examiner, evaluation


def examiner_for(exam: Exam) -> Examiner:
    """Who examines packages of this kind. Raises PackageError where nobody does."""
    package = exam.package
    for kind, examiner in EXAMINERS.items():
        if isinstance(package.manifest, kind):
            return examiner(exam)
    raise PackageError(f"{package.folder}: nothing here evaluates a package whose task is {package.manifest.task}")


def _told(names: Sequence[str]) -> Iterator[str]:
    """The names, each said when its turn comes: a case may take a while."""
    for number, name in enumerate(names, start=1):
        print(f"{number} of {len(names)}: {name}", flush=True)
        yield name


EXAMINERS: Mapping[type[Manifest], Callable[[Exam], Examiner]] = {
    Segmentation: marking_examiner,
    Classification: judging_examiner,
    Regression: regression_examiner,
    Chain: chain_examiner,
    Location: location_examiner,
}
