"""What a package is worth: the whole way from volume to findings on cases that had no part in making it."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.inference import Predictor, load
from models.manifest import Label, Text
from models.registry import Package, PackageError, read, segmentation
from models.training.cases import Case, open_case
from models.training.recipe import read_recipe
from models.training.scores import dice
from models.training.split import split_for

EVALUATION, CARD = "evaluation.json", "CARD.md"
BEGIN, END = "<!-- evaluation -->", "<!-- /evaluation -->"


class LabelScore(Text):
    """One label in one case."""

    dice: float
    found_ml: float
    truth_ml: float


class CaseScore(Text):
    """One case: labels in the manifest's order, and how long the answer took."""

    name: str
    seconds: float
    labels: tuple[LabelScore, ...]


class Evaluation(Text):
    """All held-out cases, and which weights were asked."""

    package: str
    version: str
    weights_sha256: str
    cases: tuple[CaseScore, ...]


def evaluate(folder: Path, source: Path | None, device: str) -> tuple[Package, Evaluation]:
    """Asks the package in `folder` about its held-out cases, and writes the answers beside it and into its card."""
    package, recipe = read(folder), read_recipe(folder)
    predictor = load(package, device)
    names = split_for(folder, recipe, source).held_out
    scores = tuple(
        score(predictor, open_case(recipe.cases, name, source), segmentation(package).labels) for name in names
    )
    manifest = package.manifest
    evaluation = Evaluation(
        package=manifest.name, version=manifest.version, weights_sha256=manifest.weights.sha256, cases=scores
    )
    (folder / EVALUATION).write_text(evaluation.model_dump_json(indent=1) + "\n", encoding="utf-8")
    write_card(package, evaluation)
    return package, evaluation


def score(predictor: Predictor, case: Case, labels: Sequence[Label]) -> CaseScore:
    """One case, asked and compared with the truth on its own grid."""
    started = time.perf_counter()
    findings = predictor(case.volume)
    seconds = time.perf_counter() - started
    voxel_ml = case.truth.grid.voxel_volume_ml
    masks = [
        (findings.structure(label), np.isin(case.truth.labels, (label.value, *label.includes))) for label in labels
    ]
    return CaseScore(
        name=case.name,
        seconds=round(seconds, 2),
        labels=tuple(
            LabelScore(
                dice=round(dice(found, truth), 4),
                found_ml=round(np.count_nonzero(found) * voxel_ml, 3),
                truth_ml=round(np.count_nonzero(truth) * voxel_ml, 3),
            )
            for found, truth in masks
        ),
    )


def write_card(package: Package, evaluation: Evaluation) -> None:
    """Replaces what stands between the markers of the card.

    Raises PackageError when the card has no markers.
    """
    path = package.folder / CARD
    written = path.read_text(encoding="utf-8") if path.is_file() else ""
    before, begin, rest = written.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise PackageError(f"{path} has no place for the evaluation: it needs the lines {BEGIN!r} and {END!r}")
    table = "\n".join(card_lines(segmentation(package).labels, evaluation))
    path.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", encoding="utf-8")


def card_lines(labels: Sequence[Label], evaluation: Evaluation) -> list[str]:
    """The evaluation as a table in Markdown, one row for each label."""
    return [
        f"{len(evaluation.cases)} held-out cases, version {evaluation.version}, "
        f"weights SHA-256 `{evaluation.weights_sha256[:16]}...`",
        "",
        "| structure | Dice, mean | lowest | truth, mean | volume error, mean | mean absolute |",
        "|---|---|---|---|---|---|",
        *(_row(label.name, [case.labels[index] for case in evaluation.cases]) for index, label in enumerate(labels)),
    ]


def _row(name: str, scores: Sequence[LabelScore]) -> str:
    overlaps = [score.dice for score in scores]
    truths = [score.truth_ml for score in scores]
    errors = [score.found_ml - score.truth_ml for score in scores]
    return (
        f"| {name} | {np.mean(overlaps):.3f} | {min(overlaps):.3f} | {np.mean(truths):.2f} ml "
        f"| {np.mean(errors):+.2f} ml | {np.mean(np.abs(errors)):.2f} ml |"
    )
