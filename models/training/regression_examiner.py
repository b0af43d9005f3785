"""Patients become rows: each is asked about from the first visit, and compared with those after it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from models.inference import load_for_values
from models.manifest import Regression
from models.registry import PackageError, regression
from models.tasks.regress import Regressor
from models.training.exam import Exam
from models.training.figures import identity
from models.training.predicting_lesson import table_of
from models.training.recipe import read_recipe
from models.training.regress_course import compared
from models.training.regressed import RegressedCase, RegressionEvaluation, VisitScore, regression_evaluation
from models.training.split import split_for
from models.training.visits import Patient


@dataclass(frozen=True, slots=True)
class RegressionExaminer:
    """Patients of a package that predicts."""

    manifest: Regression
    names: Sequence[str]
    patients: Mapping[str, Patient]
    predictor: Regressor

    def __call__(self, names: Iterable[str]) -> RegressionEvaluation:
        """Every later visit of every patient, from the first one."""
        cases = [score(self.predictor, self.patients[name]) for name in names]
        return regression_evaluation(identity(self.manifest), self.manifest.output.name, cases)


def regression_examiner(exam: Exam) -> RegressionExaminer:
    """The examiner of a package that predicts. Raises PackageError without its table, or patients that are held out."""
    package = exam.package
    names = split_for(package.folder, read_recipe(package.folder), exam.source).held_out
    if not names:
        raise PackageError(f"{package.folder} holds nobody out: its recipe needs `held_out`, and has no folds")
    return RegressionExaminer(
        regression(package), names, table_of(package, exam.source), load_for_values(package, exam.device)
    )


def score(ask: Regressor, patient: Patient) -> RegressedCase:
    """One patient, asked about."""
    visits, first = compared(ask, patient), patient.visits[0].value
    rows = zip(visits.weeks, visits.found - visits.truth, visits.sigma, visits.truth - first, strict=True)
    return RegressedCase(
        name=patient.name,
        patient=patient.name,
        sha256=patient.sha256,
        visits=tuple(
            VisitScore(weeks=weeks, error_ml=round(error, 1), sigma_ml=round(sigma, 1), change_ml=round(change, 1))
            for weeks, error, sigma, change in rows
        ),
    )
