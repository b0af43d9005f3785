"""`evaluation.json` of a package and the table in its card: read and written without torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from models.registry import Package, PackageError
from models.terms import Triple
from models.training.classified import ClassificationEvaluation
from models.training.located import BoxScore, LocatedCase, LocationEvaluation
from models.training.regressed import RegressionEvaluation
from models.training.segmented import CaseScore, SegmentationEvaluation

EVALUATION, CARD = "evaluation.json", "CARD.md"
BEGIN, END = "<!-- evaluation -->", "<!-- /evaluation -->"

AnyEvaluation = SegmentationEvaluation | ClassificationEvaluation | RegressionEvaluation | LocationEvaluation
_INTERVAL = "in brackets, the 95 % interval over patients"
_KINDS: TypeAdapter[AnyEvaluation] = TypeAdapter(Annotated[AnyEvaluation, Field(discriminator="kind")])


def read_evaluation(folder: Path) -> AnyEvaluation | None:
    """The evaluation of the package in a folder; None where it was never evaluated.

    Raises PackageError when it is of another format or damaged.
    """
    path = folder / EVALUATION
    if not path.is_file():
        return None
    try:
        return _KINDS.validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise PackageError(f"{path} is no evaluation of this program: run `isocenter evaluate` again") from error


def write_evaluation(package: Package, evaluation: AnyEvaluation) -> None:
    """Writes the evaluation beside the package's manifest and into its card.

    Raises PackageError when the card has no markers; nothing is written then.
    """
    card = _card_with(package, evaluation)
    (package.folder / EVALUATION).write_text(evaluation.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (package.folder / CARD).write_text(card, encoding="utf-8")


def table(evaluation: AnyEvaluation) -> list[list[str]]:
    """The figures, one row for each metric and one column for each structure or finding; the first row names them."""
    subjects = list(dict.fromkeys(figure.subject for figure in evaluation.figures))
    metrics = list(dict.fromkeys(figure.metric for figure in evaluation.figures))
    found = {(each.metric, each.subject): each.words(len(evaluation.cases)) for each in evaluation.figures}
    rows = [[metric.value, *(found[metric, subject] for subject in subjects)] for metric in metrics]
    return [["", *subjects], *rows]


def card_lines(evaluation: AnyEvaluation) -> list[str]:
    """The evaluation as tables in Markdown: of the figures, and of the cases where each was asked of a fold."""
    figures = _markdown(table(evaluation))
    if isinstance(evaluation, SegmentationEvaluation | LocationEvaluation) and evaluation.folds_sha256:
        return [*_of_folds(evaluation), "", *figures, "", *_markdown(_case_rows(evaluation))]
    if isinstance(evaluation, ClassificationEvaluation):
        return [*_of_answers(evaluation), "", *figures, "", *_markdown(confusion_rows(evaluation))]
    return [f"{len(evaluation.cases)} cases, {_weights(evaluation)}; {_INTERVAL}", "", *figures]


def _markdown(rows: Sequence[Sequence[str]]) -> list[str]:
    head, *others = (f"| {' | '.join(cells)} |" for cells in rows)
    return [head, "|---" * len(rows[0]) + "|", *others]


def _of_folds(evaluation: SegmentationEvaluation | LocationEvaluation) -> list[str]:
    chose = ", ".join(f"{case.name} {_mean(case):.3f}" for case in evaluation.shipped)
    metric = "Dice" if isinstance(evaluation, SegmentationEvaluation) else "intersection over union"
    return [
        f"{len(evaluation.cases)} cases, each held out once in {len(evaluation.folds_sha256)} folds, and asked of a",
        "model that was trained on other patients. **The weights that are shipped are none of these models**:",
        f"{_weights(evaluation)}, were trained on all cases but the {len(evaluation.shipped)} that chose",
        f"their checkpoint, on which their {metric} is: {chose}. In the table, {_INTERVAL}.",
    ]


def _mean(case: CaseScore | LocatedCase) -> float:
    return case.mean_dice if isinstance(case, CaseScore) else case.mean_overlap


def _of_answers(evaluation: ClassificationEvaluation) -> list[str]:
    points = zip(evaluation.findings, evaluation.operating_points, strict=True)
    prior = evaluation.prevalence
    after = f"probabilities after an answer at a prior of {prior:.0%}; " if prior else ""
    return [
        f"{len(evaluation.cases)} cases, {_weights(evaluation)}; operating point: "
        + ", ".join(f"{finding} from {point:.3f} on" for finding, point in points),
        f"{after}{_INTERVAL}.",
    ]


def confusion_rows(evaluation: ClassificationEvaluation) -> list[list[str]]:
    """The confusion matrix of each finding: a row for what is there, one for what is not; the first names columns."""
    rows = [["", "answered: there", "answered: not there"]]
    for index, finding in enumerate(evaluation.findings):
        cells = evaluation.counts(index)
        rows.append([f"{finding} is there", str(cells.true_positives), str(cells.false_negatives)])
        rows.append([f"{finding} is not there", str(cells.false_positives), str(cells.true_negatives)])
    return rows


def _weights(evaluation: AnyEvaluation) -> str:
    package = evaluation.package
    return f"version {package.version}, weights SHA-256 `{package.weights_sha256[:16]}...`"


def located_rows(evaluation: LocationEvaluation) -> list[list[str]]:
    """A row for each structure that each case has; the first row names the columns."""
    return [
        ["case", "structure", "intersection over union", "centres", "faces", "farthest outside", "found", "truth"],
        *(
            [case.name, structure, f"{score.overlap:.3f}", *_located(score), _sizes(score.truth_mm)]
            for case in evaluation.cases
            for structure, score in zip(evaluation.structures, case.structures, strict=True)
            if score
        ),
    ]


def _located(score: BoxScore) -> list[str]:
    if score.found_mm is None:
        return ["", "", "", "no answer"]
    return [
        f"{score.centre_mm:.1f} mm",
        f"{score.edge_mm:.1f} mm",
        f"{score.outside_mm:+.1f} mm",
        _sizes(score.found_mm),
    ]


def _sizes(sizes_mm: Triple) -> str:
    return f"{' x '.join(f'{mm:.0f}' for mm in sizes_mm)} mm"


def _case_rows(evaluation: SegmentationEvaluation | LocationEvaluation) -> list[list[str]]:
    if isinstance(evaluation, LocationEvaluation):
        return located_rows(evaluation)
    return [
        ["case", "structure", "Dice", "found", "truth"],
        *(
            [case.name, structure, f"{score.dice:.3f}", f"{score.found_ml:.1f} ml", f"{score.truth_ml:.1f} ml"]
            for case in evaluation.cases
            for structure, score in zip(evaluation.structures, case.labels, strict=True)
        ),
    ]


def _card_with(package: Package, evaluation: AnyEvaluation) -> str:
    path = package.folder / CARD
    written = path.read_text(encoding="utf-8") if path.is_file() else ""
    before, begin, rest = written.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise PackageError(f"{path} has no place for the evaluation: it needs the lines {BEGIN!r} and {END!r}")
    return "\n".join([f"{before}{BEGIN}", "", *card_lines(evaluation), "", f"{END}{after}"])
