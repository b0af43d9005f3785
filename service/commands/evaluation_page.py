"""An evaluation as one HTML page that needs nothing but itself, the same for the same numbers."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from models.manifest import Manifest
from models.training.calibration import reliability
from models.training.classified import ClassificationEvaluation, ClassifiedCase
from models.training.evaluation import AnyEvaluation, confusion_rows, located_rows, table
from models.training.located import LocationEvaluation
from models.training.ranking import precision_recall, roc
from models.training.regressed import RegressionEvaluation
from models.training.segmented import CaseScore, LabelScore, SegmentationEvaluation
from service.commands.charts import agreement_plot, precision_recall_plot, reliability_plot, roc_plot, strip_plot

_STYLE = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 2rem; background: #16191e; color: #eef0f3 }
h2 { font-size: 1.05rem; margin: 1.6rem 0 .4rem } .faint, svg text { color: #9aa0aa; fill: #9aa0aa }
table { border-collapse: collapse } th, td { padding: .15rem .9rem .15rem 0; text-align: left; vertical-align: top }
tr { border-bottom: 1px solid #2b3038 } th { color: #9aa0aa; font-weight: normal }
svg { font: 11px system-ui, sans-serif; background: #0e1014; margin: .4rem .6rem 0 0 } img { max-width: 100% }
"""
_EVIDENCE = {
    "real": "trained and evaluated on images of patients",
    "phantom": "trained and evaluated on synthetic anatomy: never for a patient",
    "foreign": "evaluated by others",
}

_ON_INTERVALS = (
    "In brackets: the 95 % interval over 2000 resamplings of the patients. It tells how far a figure would move with "
    "other patients of this kind, not with other scanners, hospitals or readers."
)

Cells = Sequence[str]


@dataclass(frozen=True, slots=True)
class Picture:
    """A case that is worth looking at, as a PNG."""

    name: str
    words: str
    png: bytes


def page(manifest: Manifest, evaluation: AnyEvaluation, dated: str, pictures: Sequence[Picture]) -> str:
    """The page; `dated` says from when the data are."""
    title = f"Evaluation of {manifest.title} {evaluation.package.version}"
    head = f"<meta charset=utf-8><title>{escape(title)}</title><style>{_STYLE}</style>"
    rows, charts = _of_its_kind(evaluation)
    body = [
        f"<h1>{escape(title)}</h1>",
        _table([[], *_facts(manifest, evaluation, dated)]),
        f"<h2>Figures</h2><p class=faint>{escape(_ON_INTERVALS)}</p>{_table(table(evaluation))}",
        *([_table(confusion_rows(evaluation))] if isinstance(evaluation, ClassificationEvaluation) else []),
        f"<h2>Charts</h2>{''.join(charts)}",
        *(["<h2>Worst cases</h2>", *map(_picture, pictures)] if pictures else []),
        f"<h2>Cases</h2>{_table(rows)}",
        _numbers(evaluation),
    ]
    return f"<!doctype html><html lang=en>{head}<body>{''.join(body)}</body></html>\n"


def segmented_rows(evaluation: SegmentationEvaluation) -> list[list[str]]:
    """A row for each structure of each case; the first row names the columns."""
    heading = ["case", "structure", "Dice", "Jaccard", "Hausdorff 95, mm", "mean surface distance, mm"]
    heading += ["true, ml", "found, ml", "error, ml", "error, %"]
    return [heading, *(row for case in evaluation.cases for row in _segmented(evaluation, case))]


def classified_rows(evaluation: ClassificationEvaluation) -> list[list[str]]:
    """A row for each finding of each case; the first row names the columns."""
    heading = ["case", "patient", "finding", "truth", "probability", "answer"]
    return [heading, *(row for case in evaluation.cases for row in _classified(evaluation, case))]


def regressed_rows(evaluation: RegressionEvaluation) -> list[list[str]]:
    """A row for each visit of each case; the first row names the columns."""
    heading = ["case", "weeks", "error, ml", "sigma, ml", "change since the baseline, ml"]
    visits = ((case.name, each) for case in evaluation.cases for each in case.visits)
    return [
        heading,
        *(
            [name, f"{each.weeks:g}", f"{each.error_ml:+.0f}", f"{each.sigma_ml:.0f}", f"{each.change_ml:+.0f}"]
            for name, each in visits
        ),
    ]


def regression_charts(evaluation: RegressionEvaluation) -> list[str]:
    """The size of every error, and errors against what was said to be one deviation."""
    visits = [each for case in evaluation.cases for each in case.visits]
    errors = [abs(each.error_ml) for each in visits]
    return [
        strip_plot({evaluation.output: errors}, "absolute error, ml"),
        agreement_plot({evaluation.output: [(each.weeks, each.error_ml) for each in visits]}, "weeks", "error, ml"),
    ]


def segmentation_charts(evaluation: SegmentationEvaluation) -> list[str]:
    """Dice and surface distance of every case, and volumes found against true ones."""
    scores = {
        name: [case.labels[index] for case in evaluation.cases] for index, name in enumerate(evaluation.structures)
    }
    distances = {
        name: [each.surface_distance_mm for each in of_one if each.surface_distance_mm is not None]
        for name, of_one in scores.items()
    }
    volumes = {name: [(each.truth_ml, each.found_ml) for each in of_one] for name, of_one in scores.items()}
    return [
        strip_plot({name: [each.dice for each in of_one] for name, of_one in scores.items()}, "Dice"),
        strip_plot(distances, "mean surface distance, mm"),
        *(agreement_plot({name: pairs}, "true, ml", "found, ml") for name, pairs in volumes.items()),
    ]


def classification_charts(evaluation: ClassificationEvaluation) -> list[str]:
    """ROC, precision against recall, and calibration; without curves for a finding that all cases or none have."""
    answers = {name: evaluation.answers(index) for index, name in enumerate(evaluation.findings)}
    mixed = {name: each for name, each in answers.items() if 0 < each[0].mean() < 1}
    return [
        roc_plot({name: roc(*each) for name, each in mixed.items()}),
        precision_recall_plot({name: precision_recall(*each) for name, each in mixed.items()}),
        reliability_plot({name: reliability(*each) for name, each in answers.items()}),
    ]


def location_charts(evaluation: LocationEvaluation) -> list[str]:
    """Overlap and distance of every box, and how far structures reach out of theirs."""
    scores = {
        name: [score for case in evaluation.cases if (score := case.structures[index])]
        for index, name in enumerate(evaluation.structures)
    }
    faces = {name: [each.edge_mm for each in of_one if each.edge_mm is not None] for name, of_one in scores.items()}
    outside = {
        name: [max(each.outside_mm, 0.0) for each in of_one if each.outside_mm is not None]
        for name, of_one in scores.items()
    }
    return [
        strip_plot(
            {name: [each.overlap for each in of_one] for name, of_one in scores.items()}, "intersection / union"
        ),
        strip_plot(faces, "mean distance of faces, mm"),
        strip_plot(outside, "farthest outside of the box, mm"),
    ]


def _of_its_kind(evaluation: AnyEvaluation) -> tuple[list[list[str]], list[str]]:
    """The rows of the cases, and the charts."""
    if isinstance(evaluation, SegmentationEvaluation):
        return segmented_rows(evaluation), segmentation_charts(evaluation)
    if isinstance(evaluation, LocationEvaluation):
        return located_rows(evaluation), location_charts(evaluation)
    if isinstance(evaluation, RegressionEvaluation):
        return regressed_rows(evaluation), regression_charts(evaluation)
    return classified_rows(evaluation), classification_charts(evaluation)


def _facts(manifest: Manifest, evaluation: AnyEvaluation, dated: str) -> list[list[str]]:
    package = evaluation.package
    return [
        ["package", f"{package.name} {package.version}, task {manifest.task}"],
        ["evidence", f"{manifest.evidence.value}: {_EVIDENCE[manifest.evidence.value]}"],
        ["weights, SHA-256", package.weights_sha256],
        ["manifest, SHA-256", package.manifest_sha256],
        ["cases", str(len(evaluation.cases))],
        ["data", dated],
        ["licences", f"training data {manifest.licences.training_data}, weights {manifest.licences.weights}"],
    ]


def _segmented(evaluation: SegmentationEvaluation, case: CaseScore) -> list[list[str]]:
    names = zip(evaluation.structures, case.labels, strict=True)
    return [[case.name, structure, *_cells(score)] for structure, score in names]


def _cells(score: LabelScore) -> list[str]:
    return [
        f"{score.dice:.3f}",
        f"{score.jaccard:.3f}",
        _number(score.hausdorff_95_mm, ".2f"),
        _number(score.surface_distance_mm, ".2f"),
        f"{score.truth_ml:.2f}",
        f"{score.found_ml:.2f}",
        f"{score.volume_error_ml:+.2f}",
        _number(score.volume_error_percent, "+.1f"),
    ]


def _classified(evaluation: ClassificationEvaluation, case: ClassifiedCase) -> list[list[str]]:
    each = zip(evaluation.findings, evaluation.operating_points, case.classes, strict=True)
    return [
        [case.name, case.patient, finding, _yes(said.truth), f"{said.probability:.3f}", _yes(said.probability >= point)]
        for finding, point, said in each
    ]


def _yes(answer: bool) -> str:
    return "yes" if answer else "no"


def _number(value: float | None, form: str) -> str:
    return "not defined" if value is None else f"{value:{form}}"


def _table(rows: Sequence[Cells]) -> str:
    heading, *others = rows
    top = "".join(f"<th>{escape(cell)}</th>" for cell in heading)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in others)
    return f"<table>{f'<tr>{top}</tr>' if top else ''}{body}</table>"


def _picture(picture: Picture) -> str:
    source = f"data:image/png;base64,{b64encode(picture.png).decode()}"
    words = f"{picture.name}: {picture.words}"
    return f'<p>{escape(words)}<br><img src="{source}" alt="{escape(words, quote=True)}"></p>'


def _numbers(evaluation: AnyEvaluation) -> str:
    """The same numbers for programs: data, which a browser does not run."""
    numbers = evaluation.model_dump_json().replace("<", "\\u003c")
    return f'<script type="application/json" id="evaluation">{numbers}</script>'
