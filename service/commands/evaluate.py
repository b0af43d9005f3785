"""`isocenter evaluate`: a package on the cases it never saw, in a process of its own, because it loads torch."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import typer

from models.chains import bound_beside
from models.inference import pick_device
from models.registry import PackageError, read
from models.training.cases import Case
from models.training.evaluate import evaluate
from models.training.evaluation import EVALUATION, AnyEvaluation, card_lines
from models.training.exam import Exam, Examiner
from models.training.located import LocationEvaluation
from models.training.location_examiner import LocationExaminer, true_boxes
from models.training.marking_examiner import SegmentationExaminer, compared
from models.training.run import run_of
from models.training.segmented import CaseScore, SegmentationEvaluation
from service.commands.comparison import box_comparison, comparison
from service.commands.console import DEFAULT_CONFIG
from service.commands.evaluation_page import Picture, page
from service.commands.models import environment, folders
from service.derived.drawing import encoded
from service.derived.windows import Window, ct_window, window_of

application = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
_WORST = 3


@application.command()
def main(
    folder: Path,
    data: Path | None = None,
    run: Path | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    html: Path | None = None,
    config: Path = DEFAULT_CONFIG,
) -> None:
    """Evaluate the package in FOLDER, write evaluation.json and the card's table, and one page where it is wanted."""
    package = bound_beside(read(folder), folders(config))
    exam = Exam(package, data, pick_device(device), run or run_of(folder), environment(config))
    examiner, evaluation = evaluate(exam)
    typer.echo("\n".join(card_lines(evaluation)))
    typer.echo(f"written: {folder / EVALUATION}")
    if html:
        pictures = list(worst_cases(examiner, evaluation))
        html.write_text(page(read(folder).manifest, evaluation, dated(data, evaluation), pictures), encoding="utf-8")
        typer.echo(f"written: {html}")


def worst_cases(examiner: Examiner, evaluation: AnyEvaluation) -> Iterator[Picture]:
    """Pictures of the cases that went worst, of packages that mark structures or box them; they are asked once more."""
    if isinstance(examiner, LocationExaminer) and isinstance(evaluation, LocationEvaluation):
        yield from _worst_boxes(examiner, evaluation)
    if not isinstance(examiner, SegmentationExaminer) or not isinstance(evaluation, SegmentationEvaluation):
        return
    for score in evaluation.worst(_WORST):
        case = examiner.open(score.name)
        structures = compared(examiner.ask, case, examiner.labels)
        picture = comparison(case.volume, structures, _window(examiner, case))
        yield Picture(score.name, _words(evaluation, score), encoded(picture))


def _worst_boxes(examiner: LocationExaminer, evaluation: LocationEvaluation) -> Iterator[Picture]:
    for score in evaluation.worst(_WORST):
        case = examiner.open(score.name)
        found = () if score.refused else examiner.ask(case).boxes
        picture = box_comparison(case.volume, found, true_boxes(case, examiner.manifest), _window(examiner, case))
        parts = zip(evaluation.structures, score.structures, strict=True)
        words = ", ".join(f"{name} intersection over union {each.overlap:.3f}" for name, each in parts if each)
        yield Picture(score.name, f"{words}; truth in white, found in colour {score.refused}".strip(), encoded(picture))


def dated(data: Path | None, evaluation: AnyEvaluation) -> str:
    """From when the data are: the last change of the images that were asked about, which is the same on every day."""
    if data is None:
        return "computed for this evaluation"
    names = {case.name for case in evaluation.cases}
    files = [path for path in data.rglob("*") if path.is_file() and path.name.partition(".")[0] in names]
    if not files:
        return data.name
    newest = datetime.fromtimestamp(max(path.stat().st_mtime for path in files), tz=UTC)
    return f"{data.name}, last changed {newest:%Y-%m-%d}"


def _words(evaluation: SegmentationEvaluation, score: CaseScore) -> str:
    parts = zip(evaluation.structures, score.labels, strict=True)
    return ", ".join(f"{name} Dice {label.dice:.3f}" for name, label in parts) + "; truth in white, found in colour"


def _window(examiner: SegmentationExaminer | LocationExaminer, case: Case) -> Window:
    if examiner.manifest.intake.modalities == ("CT",):
        terms = examiner.manifest.structures if isinstance(examiner, LocationExaminer) else examiner.labels
        return ct_window(terms[:1], "")
    return window_of(case.volume)


if __name__ == "__main__":
    try:
        application()
    except (PackageError, ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
