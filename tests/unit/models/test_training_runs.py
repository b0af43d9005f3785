"""A training that is killed goes on to the same weights; folds, patients, schedules, slices, and what a person sees."""

import csv
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from pydantic import ValidationError
from rich.console import Console

from models.manifest import SliceSegmentation
from models.preparation import Preprocessing, Window
from models.registry import PackageError, read
from models.training import train as training
from models.training import watch
from models.training.__main__ import main
from models.training.cases import Example, as_example, read_case
from models.training.curves import curves
from models.training.evaluate import evaluate
from models.training.evaluation import read_evaluation
from models.training.exam import Exam
from models.training.marking_course import Examples
from models.training.recipe import Folder, Recipe
from models.training.run import BEST, LAST
from models.training.segmented import SegmentationEvaluation
from models.training.slices_course import SlicesCourse, middle_for
from models.training.split import Split, shuffled
from models.training.trainer import Progress, Trainer
from tests.unit.models.packages import put, written
from tests.unit.models.test_training import decathlon, example, package, recipe

__all__ = ["decathlon", "package"]

FOLDS = {"kind": "folder", "folds": 2, "validation": 1, "seed": 1}


class PowerCutError(Exception):
    """What kills a training."""


def slices_manifest(neighbours: int = 1) -> SliceSegmentation:
    network = {"name": "residual_unet2d", "channels": [4, 8]}
    inference = {"axis": 2, "neighbours": neighbours, "window_mm": [24, 36]}
    return SliceSegmentation.model_validate(written(task="slices", network=network, inference=inference))


def with_recipe(folder: Path, **changes: object) -> Path:
    (folder / "training.yaml").write_text(yaml.safe_dump(recipe(**changes).model_dump(mode="json")), encoding="utf-8")
    return folder


def cut_at(monkeypatch: pytest.MonkeyPatch, fatal: int) -> None:
    """The power goes after that iteration."""

    class Cut(watch.Lines):
        def stepped(self, iteration: int, loss: float) -> None:
            if iteration == fatal:
                raise PowerCutError

    @contextmanager
    def watching(_: int) -> Iterator[watch.Watch]:
        yield Cut()

    monkeypatch.setattr(training, "watching", watching)


@pytest.mark.parametrize("fatal", [2, 4, 7, 12], ids=["before a report", "at one", "between two", "at the last"])
def test_a_training_that_was_killed_goes_on_to_the_weights_of_an_unbroken_one(
    package: Path, decathlon: Path, tmp_path: Path, fatal: int
) -> None:
    with_recipe(package, validate_every=4)
    training.train(package, decathlon, tmp_path / "unbroken", "cpu")
    with pytest.MonkeyPatch.context() as patch:
        cut_at(patch, fatal)
        with pytest.raises(PowerCutError):
            training.train(package, decathlon, tmp_path / "broken", "cpu")
    torch.manual_seed(99)  # another process would not know where the generators stood
    training.train(package, decathlon, tmp_path / "broken", "cpu")
    for name in (BEST, LAST):
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes()
    assert logged(tmp_path / "broken") == logged(tmp_path / "unbroken")


def logged(run: Path) -> list[list[str]]:
    """The log without the seconds."""
    rows = csv.reader((run / "log.csv").read_text(encoding="utf-8").splitlines())
    return [[*row[:1], *row[2:]] for row in rows]


def test_a_training_that_is_over_is_not_begun_again(package: Path, decathlon: Path, tmp_path: Path) -> None:
    training.train(package, decathlon, tmp_path / "run", "cpu")
    before = (tmp_path / "run" / "checkpoint.pt").stat().st_mtime_ns
    training.train(package, decathlon, tmp_path / "run", "cpu")
    assert (tmp_path / "run" / "checkpoint.pt").stat().st_mtime_ns == before


def test_a_run_of_another_recipe_is_not_gone_on_with(package: Path, decathlon: Path, tmp_path: Path) -> None:
    training.train(package, decathlon, tmp_path / "run", "cpu")
    with_recipe(package, learning_rate=0.5)
    with pytest.raises(PackageError, match="of another recipe, split or manifest: name a new folder with --run"):
        training.train(package, decathlon, tmp_path / "run", "cpu")


def test_slices_are_taught_the_same_twice_and_learned() -> None:
    examples = Examples([example(seed) for seed in range(3)], [example(9)])
    plain = recipe(augmentation={}, iterations=150, validate_every=150, loss="dice", batch=6)
    runs = []
    for _ in range(2):
        trainer = Trainer(partial(SlicesCourse, slices_manifest(), plain, examples), plain)
        (progress,) = trainer.run()
        runs.append(trainer.weights)
    assert progress.mean > 0.8
    assert all(torch.equal(tensor, runs[1][name]) for name, tensor in runs[0].items())


@pytest.mark.parametrize("neighbours", [0, 2])
def test_a_slice_without_any_change_is_cut_out_of_its_case_with_its_labels(neighbours: int) -> None:
    source, bare = example(shape=(8, 12, 9)), recipe(augmentation={}, batch=1, foreground=1.0)
    course = SlicesCourse(slices_manifest(neighbours), bare, Examples([source], [source]))
    values, labels = course.batch(np.random.default_rng(3))
    assert values.shape == (1, 2 * neighbours + 1, 8, 12)
    (index,) = [at for at in range(9) if np.allclose(values[0, neighbours], source.values[:, :, at], atol=1e-4)]
    assert np.array_equal(labels[0], source.labels[:, :, index])
    assert labels.any()


def test_slices_with_a_structure_are_drawn_as_often_as_the_recipe_says() -> None:
    labels = np.zeros((4, 50, 4), np.uint8)
    labels[1, 30:32, 1] = 1
    source, rng = Example(labels.astype(np.float32), labels), np.random.default_rng(0)
    drawn = [middle_for(rng, source, axis=1, foreground=0.6) for _ in range(400)]
    on_it = np.mean([labels[:, int(middle[1])].any() for middle in drawn])
    assert 0.52 < on_it < 0.72  # 0.6, and two of fifty of the others
    assert {(middle[0], middle[2]) for middle in drawn} == {(1.5, 1.5)}


def test_a_loss_of_something_else_than_labels_is_refused() -> None:
    with pytest.raises(PackageError, match="mse is no loss of a model that marks structures"):
        SlicesCourse(slices_manifest(), recipe(loss="mse"), Examples([], []))


def test_the_learning_rate_rises_and_falls_as_the_schedule_says() -> None:
    examples = Examples([example()], [example()])
    rates: dict[str, list[float]] = {}
    for name in ("cosine", "polynomial"):
        plan = recipe(schedule=name, iterations=10, warm_up=2, learning_rate=1.0)
        trainer = Trainer(partial(SlicesCourse, slices_manifest(), plan, examples), plan)
        rates[name] = [trainer._share_of_learning_rate(iteration) for iteration in range(11)]
    assert rates["cosine"] == pytest.approx([0.5, 1, *(0.5 * (1 + np.cos(np.pi * done / 8)) for done in range(9))])
    assert rates["polynomial"] == pytest.approx([0.5, 1, *((1 - done / 8) ** 0.9 for done in range(9))])


def test_folds_hold_every_patient_out_once_and_keep_what_is_one_patients_together() -> None:
    names = [f"case_{index:02d}" for index in range(14)]
    patient_of = {name: f"patient_{index // 2}" for index, name in enumerate(names)}
    split = shuffled(names, Folder(kind="folder", folds=3, validation=1, seed=4), patient_of)
    assert split.evaluated == tuple(names)
    assert (split.held_out, len(split.validation), len(split.training)) == ((), 2, 12)
    for fold in (split, *split.folds):
        assert sorted(fold.held_out + fold.validation + fold.training) == names
        groups = [{patient_of[name] for name in group} for group in (fold.held_out, fold.validation, fold.training)]
        assert len(set.union(*groups)) == sum(map(len, groups))
    assert len({fold.validation for fold in split.folds}) == 3


@pytest.mark.parametrize("wrong", [{"held_out": 0, "folds": None}, {"held_out": 2}, {"axes": "RLS"}, {"axes": "XYZ"}])
def test_cases_that_contradict_themselves_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Recipe.model_validate(recipe().model_dump() | {"cases": FOLDS | wrong})


def test_axes_that_the_files_are_wrong_about_are_put_right(decathlon: Path) -> None:
    case = read_case(decathlon, "case_0", axes="ASR")
    assert np.allclose(case.volume.grid.affine[:3, :3], 3 * np.array([[0, 0, -1], [-1, 0, 0], [0, 1, 0]]))
    window = Window(kind="window", minimum=-100, maximum=100)
    seen = as_example(case, Preprocessing(spacing_mm=(3, 3, 3), intensity=window))
    assert np.array_equal(seen.labels, np.flip(case.truth.labels, (0, 2)).transpose(1, 0, 2))


def test_folds_are_trained_and_each_case_is_asked_of_the_fold_that_never_saw_it(
    package: Path, decathlon: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_recipe(package, cases=FOLDS)
    where = [str(package), "--data", str(decathlon), "--device", "cpu", "--run", str(tmp_path / "r")]
    main([*where, "--folds"])
    assert "mean Dice of 5 cases, each asked of the fold that never saw it: 0." in capsys.readouterr().out
    main(where)
    evaluate(Exam(read(package), decathlon, "cpu", tmp_path / "r"))
    seen = read_evaluation(package)
    assert isinstance(seen, SegmentationEvaluation)
    split = Split.model_validate_json((package / "split.json").read_text(encoding="utf-8"))
    assert tuple(case.name for case in seen.cases) == split.evaluated == tuple(f"case_{index}" for index in range(5))
    assert tuple(case.name for case in seen.shipped) == split.validation
    assert len(set(seen.folds_sha256) | {read(package).manifest.weights_sha256}) == 3
    card = (package / "CARD.md").read_text(encoding="utf-8")
    assert "**The weights that are shipped are none of these models**" in card
    assert card.count("| case_") == 5


def test_an_evaluation_without_its_folds_says_how_to_get_them(package: Path, decathlon: Path, tmp_path: Path) -> None:
    with_recipe(package, cases=FOLDS)
    training.train(package, decathlon, tmp_path / "run", "cpu")
    with pytest.raises(PackageError, match=r"the weights of fold 1 are not in .*: train the folds first"):
        evaluate(Exam(read(package), decathlon, "cpu", tmp_path / "run"))


def test_a_recipe_without_folds_has_none_to_train(package: Path, decathlon: Path, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="has no folds: its cases are held out"):
        training.train_folds(package, decathlon, tmp_path / "run", "cpu")


def test_a_package_of_slices_is_trained_and_evaluated_like_any_other(
    tmp_path: Path, package: Path, decathlon: Path
) -> None:
    manifest = slices_manifest().model_dump(mode="json", exclude_none=True)
    folder = put(tmp_path / "sliced", manifest)
    for name in ("training.yaml", "CARD.md"):
        shutil.copyfile(package / name, folder / name)
    where = [str(folder), "--data", str(decathlon), "--device", "cpu", "--run", str(tmp_path / "run")]
    main(where)
    evaluate(Exam(read(folder), decathlon, "cpu"))
    assert read_evaluation(folder)


HISTORY = [Progress(4, 1.0, 0.9, {"Liver": 0.1, "Spleen": 0.7}), Progress(8, 2.0, 0.4, {"Liver": 0.6, "Spleen": 0.7})]


def test_curves_fall_where_the_loss_falls_and_rise_where_a_score_rises() -> None:
    picture = np.asarray(curves(HISTORY)).astype(int)
    red = (picture[..., 0] - picture[..., 2] > 100) & (picture[..., 0] > 150)
    loss, score = np.argwhere(red[30:300]), np.argwhere(red[330:600])
    assert loss[loss[:, 1].argmin(), 0] < loss[loss[:, 1].argmax(), 0]
    assert score[score[:, 1].argmin(), 0] > score[score[:, 1].argmax(), 0]


def test_one_report_is_drawn_too() -> None:
    assert curves(HISTORY[:1]).getbbox() is not None


def test_a_terminal_shows_a_bar_and_anything_else_gets_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with watch.watching(8) as seen:
        seen.stepped(4, 0.9)
        seen.reported(HISTORY[0])
    assert capsys.readouterr().out.splitlines() == [watch.sentence(HISTORY[0])]
    monkeypatch.setattr(watch, "Console", partial(Console, force_terminal=True, width=120))
    with watch.watching(8) as seen:
        seen.stepped(4, 0.9)
        seen.reported(HISTORY[0])
        seen.stepped(8, 0.1)
    shown = capsys.readouterr().out
    assert watch.sentence(HISTORY[0]) in shown
    assert "8/8" in shown
    assert "loss 0.8600  Liver 0.100  Spleen 0.700" in shown
