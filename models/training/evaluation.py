"""`evaluation.json` of a package and the table in its card: read and written without torch."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from models.registry import Package, PackageError
from models.training.classified import ClassificationEvaluation
from models.training.segmented import SegmentationEvaluation

EVALUATION, CARD = "evaluation.json", "CARD.md"
BEGIN, END = "<!-- evaluation -->", "<!-- /evaluation -->"

AnyEvaluation = SegmentationEvaluation | ClassificationEvaluation
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
    """The evaluation as a table in Markdown."""
    head, *rows = (f"| {' | '.join(cells)} |" for cells in table(evaluation))
    package = evaluation.package
    return [
        f"{len(evaluation.cases)} cases, version {package.version}, "
        f"weights SHA-256 `{package.weights_sha256[:16]}...`; in brackets, the 95 % interval over patients",
        "",
        head,
        "|---" * (head.count("|") - 1) + "|",
        *rows,
    ]


def _card_with(package: Package, evaluation: AnyEvaluation) -> str:
    path = package.folder / CARD
    written = path.read_text(encoding="utf-8") if path.is_file() else ""
    before, begin, rest = written.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise PackageError(f"{path} has no place for the evaluation: it needs the lines {BEGIN!r} and {END!r}")
    return "\n".join([f"{before}{BEGIN}", "", *card_lines(evaluation), "", f"{END}{after}"])
