"""From images and what they show to a model that judges them: splits, augmentation, course, calibration and card."""

import csv
import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image

from models.inference import load_for_radiographs
from models.registry import PackageError, classification, read, verify
from models.training.__main__ import main
from models.training.classify_course import ClassifyCourse, JudgedImage, JudgedImages, chances, class_weights
from models.training.evaluate import evaluate
from models.training.evaluation import BEGIN, END
from models.training.exam import Exam
from models.training.image_augmentation import apply, draw
from models.training.image_cases import ImageCase, cases_in, read_radiograph, split_by_patient, split_for
from models.training.recipe import (
    ClassFolders,
    ClassificationRecipe,
    ImageAugmentation,
    ImageTable,
    read_classification_recipe,
)
from models.training.train import train
from models.training.trainer import Trainer
from tests.unit.models.packages import classifier, classifier_written, put

SIZE = 32
KERMANY = r"^(?:NORMAL2-)?IM-(\d+)-|^person(\d+)_"
EVERYTHING = ImageAugmentation(
    rotation_deg=10, scale=0.1, shift=0.05, mirror=True, contrast=0.2, gamma=0.2, noise=0.1, collimation=0.1
)


def folders(**changes: object) -> ClassFolders:
    return ClassFolders.model_validate(
        {
            "kind": "class_folders",
            "folders": {"NONE": [], "SQUARE": ["Square"]},
            "patient": r"^p(\d+)_",
            "held_out": 0.25,
            "validation": 0.25,
            "seed": 1,
        }
        | changes
    )


def recipe(**changes: object) -> ClassificationRecipe:
    return ClassificationRecipe.model_validate(
        {
            "cases": folders().model_dump(),
            "augmentation": {"shift": 0.05, "noise": 0.1},
            "prevalence": 0.1,
            "seed": 3,
            "iterations": 30,
            "batch": 8,
            "learning_rate": 0.01,
            "warm_up": 5,
            "average_decay": 0.5,
            "validate_every": 15,
        }
        | changes
    )


def picture(seed: int, shows_square: bool) -> NDArray[np.float32]:
    """Noise, and a bright square somewhere in it."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0.0, 1.0, (SIZE, SIZE))
    row, column = rng.integers(2, SIZE - 10, 2)
    if shows_square:
        values[row : row + 8, column : column + 8] += 3
    return values.astype(np.float32)


def example(seed: int, shows_square: bool) -> JudgedImage:
    return JudgedImage(picture(seed, shows_square), np.array([shows_square], np.float32))


def images() -> JudgedImages:
    training = [example(seed, seed % 2 == 0) for seed in range(40)]
    return JudgedImages(training, [example(100 + seed, seed % 2 == 0) for seed in range(20)])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Twenty images of each folder, two of each patient."""
    for folder in ("NONE", "SQUARE"):
        (tmp_path / "cases" / folder).mkdir(parents=True)
        for index in range(20):
            values = picture(index + 100 * (folder == "SQUARE"), folder == "SQUARE")
            grey = np.clip(values * 25 + 100, 0, 255).astype(np.uint8)
            Image.fromarray(grey).save(tmp_path / "cases" / folder / f"p{index // 2}_{index}.png")
    return tmp_path / "cases"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with a recipe and a card, and without weights."""
    folder = put(tmp_path / "tiny", classifier_written())
    said = yaml.safe_dump(classifier_written())
    on_one_line = re.sub(r"calibration:\n\s*(offset: .*)\n\s*(slope: .*)", r"calibration: {\1, \2}", said)
    (folder / "manifest.yaml").write_text(on_one_line, encoding="utf-8")
    lines = yaml.safe_dump(recipe().model_dump(mode="json"))
    (folder / "training.yaml").write_text(lines, encoding="utf-8")
    (folder / "CARD.md").write_text(f"# Tiny\n\n{BEGIN}\nold\n{END}\n\nLimits.\n", encoding="utf-8")
    return folder


def test_folders_say_what_an_image_shows_and_file_names_whose_it_is(source: Path) -> None:
    cases = cases_in(source, folders())
    assert len(cases) == 40
    assert cases["SQUARE/p3_7.png"] == ImageCase("SQUARE/p3_7.png", ("Square",), "SQUARE/3")
    assert cases["NONE/p3_7.png"].classes == ()


@pytest.mark.parametrize(
    ("name", "patient"),
    [
        ("IM-0429-0001-0002.jpeg", "NORMAL/0429"),
        ("NORMAL2-IM-0429-0001.jpeg", "NORMAL/0429"),
        ("person1004_virus_1686.jpeg", "NORMAL/1004"),
    ],
)
def test_the_first_group_of_the_pattern_that_is_not_empty_is_the_patient(
    name: str, patient: str, tmp_path: Path
) -> None:
    (tmp_path / "NORMAL").mkdir()
    (tmp_path / "NORMAL" / name).touch()
    (case,) = cases_in(tmp_path, folders(folders={"NORMAL": []}, patient=KERMANY)).values()
    assert case.patient == patient


def test_an_image_of_nobody_is_refused(source: Path) -> None:
    (source / "NONE" / "stray.png").touch()
    with pytest.raises(ValueError, match=r"finds no patient in stray\.png"):
        cases_in(source, folders())


def test_a_table_says_the_same(source: Path) -> None:
    with (source / "cases.csv").open("w", newline="", encoding="utf-8") as file:
        written = csv.writer(file)
        written.writerow(["file", "class", "patient"])
        written.writerows([["NONE/p0_0.png", "", "a"], ["SQUARE/p0_0.png", "Square|Other", "b"]])
    table = ImageTable(kind="table", file="cases.csv", held_out=0.2, validation=0.2, seed=1)
    assert list(cases_in(source, table).values()) == [
        ImageCase("NONE/p0_0.png", (), "a"),
        ImageCase("SQUARE/p0_0.png", ("Square", "Other"), "b"),
    ]


def test_a_grey_picture_and_a_coloured_one_of_it_are_read_alike(tmp_path: Path) -> None:
    grey = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    grey.save(tmp_path / "grey.png")
    grey.convert("RGB").save(tmp_path / "coloured.png")
    read_back = [read_radiograph(tmp_path, name).values for name in ("grey.png", "coloured.png")]
    assert np.array_equal(read_back[0], read_back[1])
    assert read_back[0][7, 7] == 63


def test_a_split_shares_no_patient_and_keeps_the_shares_of_every_class() -> None:
    rng = np.random.default_rng(0)
    shown = {"many": (), "some": ("A",), "rare": ("A", "B")}
    found = [
        ImageCase(f"{kind}/{index}", shown[kind], f"{kind}/{rng.integers(count // 2)}")
        for kind, count in (("many", 400), ("some", 200), ("rare", 40))
        for index in range(count)
    ]
    split = split_by_patient(found, folders(held_out=0.15, validation=0.1))
    groups = [split.held_out, split.validation, split.training]
    patient_of = {case.name: case.patient for case in found}
    patients = [{patient_of[name] for name in group} for group in groups]
    assert not patients[0] & patients[1] | patients[0] & patients[2] | patients[1] & patients[2]
    assert sorted(sum(groups, ())) == sorted(patient_of)
    for kind, count in (("many", 400), ("some", 200), ("rare", 40)):
        sizes = [sum(name.startswith(kind) for name in group) for group in groups[:2]]
        assert sizes == [round(count * 0.15), round(count * 0.1)]
    assert split == split_by_patient(found[::-1], folders(held_out=0.15, validation=0.1))
    assert split != split_by_patient(found, folders(held_out=0.15, validation=0.1, seed=2))


def test_a_split_that_was_written_down_is_kept_when_images_are_added(package: Path, source: Path) -> None:
    before = split_for(package, folders(), source)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(source / "NONE" / "p99_1.png")
    assert split_for(package, folders(), source) == split_for(package, folders(), None) == before


def test_the_same_draw_gives_the_same_image_and_another_gives_another() -> None:
    rng = np.random.default_rng(5)
    changes, others = draw(rng, EVERYTHING), draw(rng, EVERYTHING)
    values = picture(0, shows_square=True)
    assert torch.equal(apply(changes, values), apply(changes, values))
    assert not torch.equal(apply(changes, values), apply(others, values))


def test_without_any_change_an_image_stays_what_it_is() -> None:
    values = picture(0, shows_square=True)
    assert np.allclose(apply(draw(np.random.default_rng(0), ImageAugmentation()), values), values, atol=1e-5)


def test_a_collimated_image_is_dark_along_its_edges_and_unchanged_between_them() -> None:
    values = picture(0, shows_square=True)
    changes = replace(draw(np.random.default_rng(0), ImageAugmentation()), collimation=np.array([0.25, 0, 0.125, 0.5]))
    seen = apply(changes, values).numpy()
    assert np.allclose(seen[8:, 4:16], values[8:, 4:16], atol=1e-5)
    for edge in (seen[:8], seen[:, :4], seen[:, 16:]):
        assert edge.min() == edge.max() == seen.min()


def test_an_image_is_mirrored_only_where_that_is_declared() -> None:
    values = picture(0, shows_square=True)
    rng = np.random.default_rng(0)
    seen = [apply(draw(rng, ImageAugmentation(mirror=True)), values).numpy() for _ in range(20)]
    mirrored = [np.allclose(each, values[:, ::-1], atol=1e-5) for each in seen]
    assert 4 < sum(mirrored) < 16
    assert all(np.allclose(each, values, atol=1e-5) for each, turned in zip(seen, mirrored, strict=True) if not turned)


def test_what_is_rare_is_drawn_as_often_as_what_is_not_or_counts_for_more() -> None:
    truths = np.array([[0]] * 90 + [[1]] * 10, np.float32)
    balanced, even = chances(truths, "balanced"), chances(truths, "even")
    assert (balanced[90:].sum(), even[90:].sum()) == (pytest.approx(0.5), pytest.approx(0.1))
    assert class_weights(truths, balanced) == pytest.approx([1.0])
    assert class_weights(truths, even) == pytest.approx([9.0])


def test_a_class_that_no_training_image_shows_is_refused() -> None:
    truths = np.zeros((5, 1), np.float32)
    with pytest.raises(ValueError, match="every class needs"):
        class_weights(truths, chances(truths, "even"))


def test_training_is_the_same_twice() -> None:
    said = recipe(augmentation=EVERYTHING.model_dump(), iterations=6, validate_every=3)
    runs = []
    for _ in range(2):
        trainer = Trainer(partial(ClassifyCourse, classifier(), said, images()), said)
        runs.append(([progress.loss for progress in trainer.run()], trainer.weights))
    assert runs[0][0] == runs[1][0]
    assert all(torch.equal(tensor, runs[1][1][name]) for name, tensor in runs[0][1].items())


def test_training_learns_a_bright_square() -> None:
    said = recipe(iterations=40, validate_every=40)
    (progress,) = Trainer(partial(ClassifyCourse, classifier(), said, images()), said).run()
    assert progress.scores["Square"] > 0.95


def test_a_trained_package_is_sealed_calibrated_and_finds_the_square(
    package: Path, source: Path, tmp_path: Path
) -> None:
    main([str(package), "--data", str(source), "--device", "cpu", "--run", str(tmp_path / "run")])
    evaluate(Exam(read(package), source, "cpu"))
    trained = read(package)
    verify(trained)
    (judged,) = classification(trained).classes
    assert judged.calibration.slope != 1.0
    assert judged.operating_point != 0.5
    written = (package / "CARD.md").read_text(encoding="utf-8")
    for line in ("| area under the ROC curve |", "| probability after a positive answer |", "| Square is not there |"):
        assert line in written
    assert "area under the ROC curve, edges painted over" in written
    assert "old" not in written
    assert written.endswith("Limits.\n")
    scores = json.loads((package / "evaluation.json").read_text(encoding="utf-8"))
    held_out = split_for(package, read_classification_recipe(package).cases, None).held_out
    assert tuple(case["name"] for case in scores["cases"]) == held_out
    findings = load_for_radiographs(trained, "cpu")(read_radiograph(source, "SQUARE/p0_0.png"))
    assert findings.heat_maps[0].values.shape == (SIZE, SIZE)


def test_training_changes_nothing_of_the_manifest_but_what_it_found_out(
    package: Path, source: Path, tmp_path: Path
) -> None:
    before = classification(read(package))
    after = classification(train(package, source, tmp_path / "run", "cpu"))
    found_out = {"operating_point": 0.5, "calibration": before.classes[0].calibration}
    undone = after.classes[0].model_copy(update=found_out)
    assert after.model_copy(update={"classes": (undone,), "weights": before.weights}) == before


def test_a_manifest_without_a_line_for_what_training_finds_out_is_refused(
    package: Path, source: Path, tmp_path: Path
) -> None:
    written = classifier_written()
    del written["classes"][0]["calibration"]
    (package / "manifest.yaml").write_text(yaml.safe_dump(written), encoding="utf-8")
    with pytest.raises(PackageError, match=r"needs 1 lines that match .*calibration"):
        train(package, source, tmp_path / "run", "cpu")


def test_images_without_their_folder_are_asked_for(package: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name their folder with --data"):
        train(package, None, tmp_path / "run", "cpu")


def test_an_image_of_a_class_that_the_model_does_not_know_is_refused(
    package: Path, source: Path, tmp_path: Path
) -> None:
    changed = recipe(cases=folders(folders={"NONE": [], "SQUARE": ["Circle"]}).model_dump())
    (package / "training.yaml").write_text(yaml.safe_dump(changed.model_dump(mode="json")), encoding="utf-8")
    with pytest.raises(ValueError, match="shows Circle, which is no class of tiny_square"):
        train(package, source, tmp_path / "run", "cpu")
