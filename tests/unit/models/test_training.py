"""From cases to weights: splits, augmentation, loss, the loop, and the card."""

import json
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from models.inference import load
from models.preparation import Preprocessing, Window
from models.registry import PackageError, read, verify
from models.training import evaluation
from models.training.__main__ import main
from models.training.augmentation import apply, centre_for, draw
from models.training.cases import Example, as_example, names_in, read_case
from models.training.evaluate import evaluate
from models.training.exam import Exam
from models.training.losses import dice_and_cross_entropy
from models.training.marking_course import Examples
from models.training.patches_course import PatchesCourse
from models.training.recipe import Augmentation, Folder, Recipe, read_recipe
from models.training.split import shuffled, split_for
from models.training.train import train
from models.training.trainer import Trainer
from tests.unit.models.packages import manifest, put, written

PATCH = (8, 12, 8)
EVERYTHING = Augmentation(
    rotation_deg=20,
    scale=0.1,
    elastic_voxels=1,
    shift_voxels=1,
    mirror_axes=(2,),
    contrast=0.2,
    brightness=0.1,
    gamma=0.2,
    bias_field=0.1,
    noise=0.1,
)


def example(seed: int = 0, shape: tuple[int, int, int] = (10, 14, 12)) -> Example:
    """A bright box in noise."""
    labels = np.zeros(shape, np.uint8)
    labels[3:7, 4:9, 2:6] = 1
    values = np.random.default_rng(seed).normal(0, 0.2, shape) + labels
    return Example(values.astype(np.float32), labels)


def recipe(**changes: object) -> Recipe:
    return Recipe.model_validate(
        {
            "cases": {"kind": "folder", "held_out": 1, "validation": 1, "seed": 1},
            "augmentation": EVERYTHING.model_dump(),
            "seed": 3,
            "iterations": 12,
            "batch": 2,
            "learning_rate": 0.01,
            "warm_up": 2,
            "average_decay": 0.5,
            "validate_every": 6,
        }
        | changes
    )


@pytest.fixture
def decathlon(tmp_path: Path) -> Path:
    """Five cases of a bright box, in the Decathlon's layout."""
    for kind in ("images", "labels"):
        (tmp_path / "cases" / kind).mkdir(parents=True)
    for index in range(5):
        made = example(index)
        for kind, array in (("images", made.values * 100), ("labels", made.labels)):
            image = nibabel.Nifti1Image(array, np.diag([-3.0, -3.0, 3.0, 1.0]))
            nibabel.save(image, tmp_path / "cases" / kind / f"case_{index}.nii.gz")
    return tmp_path / "cases"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with a recipe and a card, and without weights."""
    folder = put(tmp_path / "tiny", written(inference={"patch": list(PATCH)}))
    (folder / "training.yaml").write_text(yaml.safe_dump(recipe().model_dump(mode="json")), encoding="utf-8")
    card = f"# Tiny\n\n{evaluation.BEGIN}\nold numbers\n{evaluation.END}\n\nLimits.\n"
    (folder / "CARD.md").write_text(card, encoding="utf-8")
    return folder


def test_the_same_draw_gives_the_same_patch() -> None:
    source = example()
    patches = [apply(draw(np.random.default_rng(5), EVERYTHING, np.full(3, 5.0)), source, PATCH) for _ in range(2)]
    assert np.array_equal(patches[0].values, patches[1].values)
    assert np.array_equal(patches[0].labels, patches[1].labels)


def test_another_draw_gives_another_patch() -> None:
    rng = np.random.default_rng(5)
    first, second = (apply(draw(rng, EVERYTHING, np.full(3, 5.0)), example(), PATCH) for _ in range(2))
    assert not np.array_equal(first.values, second.values)


def test_without_any_change_a_patch_is_cut_out_of_the_example() -> None:
    source = example()
    centre = np.array([4.5, 6.5, 5.5])
    patch = apply(draw(np.random.default_rng(0), Augmentation(), centre), source, PATCH)
    assert np.allclose(patch.values, source.values[1:9, 1:13, 2:10], atol=1e-4)
    assert np.array_equal(patch.labels, source.labels[1:9, 1:13, 2:10])


def test_labels_move_with_the_image() -> None:
    source = example()
    sharp = Example(source.labels.astype(np.float32), source.labels)
    ranges = Augmentation(rotation_deg=20, scale=0.1, elastic_voxels=1, mirror_axes=(0, 2))
    patch = apply(draw(np.random.default_rng(2), ranges, np.full(3, 5.0)), sharp, PATCH)
    assert patch.labels.any()
    assert np.mean((patch.values > 0.5) == (patch.labels == 1)) > 0.99


def test_a_patch_stays_inside_an_example_that_is_larger() -> None:
    rng, source = np.random.default_rng(0), example(shape=(20, 14, 12))
    for _ in range(50):
        centre = centre_for(rng, source, PATCH, foreground=0.5)
        assert np.all(centre - (np.array(PATCH) - 1) / 2 >= 0)
        assert np.all(centre + (np.array(PATCH) - 1) / 2 <= np.array(source.labels.shape) - 1)


def test_the_loss_of_the_truth_is_almost_nothing_and_of_its_opposite_is_large() -> None:
    labels = torch.from_numpy(example().labels.astype(np.int64))[None]
    truth = torch.nn.functional.one_hot(labels).movedim(-1, 1).float() * 40 - 20
    assert float(dice_and_cross_entropy(truth, labels)) < 1e-3
    assert float(dice_and_cross_entropy(-truth, labels)) > 10


def test_a_split_is_seeded_complete_and_without_overlap() -> None:
    names = [f"case_{index:03d}" for index in range(50)]
    cases = Folder(kind="folder", held_out=10, validation=5, seed=4)
    split = shuffled(names, cases)
    assert split == shuffled(names[::-1], cases)
    assert (len(split.held_out), len(split.validation), len(split.training)) == (10, 5, 35)
    assert sorted(split.held_out + split.validation + split.training) == names
    assert split.held_out != shuffled(names, cases.model_copy(update={"seed": 5})).held_out


def test_a_split_that_was_written_down_is_kept_when_cases_are_added(package: Path, decathlon: Path) -> None:
    before = split_for(package, read_recipe(package), decathlon)
    for kind in ("images", "labels"):
        (decathlon / kind / "case_9.nii.gz").write_bytes((decathlon / kind / "case_0.nii.gz").read_bytes())
    assert len(names_in(decathlon)) == 6
    assert split_for(package, read_recipe(package), decathlon) == before


def test_a_case_is_read_into_the_lps_world(decathlon: Path) -> None:
    case = read_case(decathlon, "case_0")
    assert np.allclose(case.volume.grid.affine, np.diag([3, 3, 3, 1]))
    window = Window(kind="window", minimum=-100, maximum=100)
    seen = as_example(case, Preprocessing(spacing_mm=(3, 3, 3), intensity=window))
    assert seen.labels.shape == case.truth.labels.shape[::-1]
    assert np.array_equal(seen.labels, case.truth.labels.transpose(2, 1, 0))


def test_training_is_the_same_twice() -> None:
    examples = Examples([example(seed) for seed in range(3)], [example(9)])
    manifests = manifest(inference={"patch": list(PATCH)})
    runs = []
    for _ in range(2):
        trainer = Trainer(partial(PatchesCourse, manifests, recipe(), examples), recipe())
        runs.append(([progress.loss for progress in trainer.run()], trainer.weights))
    assert runs[0][0] == runs[1][0]
    assert all(torch.equal(tensor, runs[1][1][name]) for name, tensor in runs[0][1].items())


def test_training_learns_a_box() -> None:
    examples = Examples([example(seed) for seed in range(3)], [example(9)])
    plain = recipe(augmentation={}, iterations=60, validate_every=60)
    manifests = manifest(inference={"patch": list(PATCH)})
    (progress,) = Trainer(partial(PatchesCourse, manifests, plain, examples), plain).run()
    assert progress.mean > 0.8


def test_a_trained_package_is_sealed_and_predicts(package: Path, decathlon: Path, tmp_path: Path) -> None:
    trained = train(package, decathlon, tmp_path / "run", "cpu")
    verify(trained)
    assert load(trained, "cpu")(read_case(decathlon, "case_0").volume).layers[0].labels.shape == (10, 14, 12)
    assert (tmp_path / "run" / "log.csv").read_text(encoding="utf-8").startswith("iteration,seconds,loss,Liver")
    with Image.open(tmp_path / "run" / "curves.png") as curves:
        assert curves.size == (720, 600)


def test_training_ends_early_when_its_patience_does(package: Path, decathlon: Path, tmp_path: Path) -> None:
    stuck = recipe(patience=1, learning_rate=1e-12, weight_decay=0, validate_every=3)
    (package / "training.yaml").write_text(yaml.safe_dump(stuck.model_dump(mode="json")), encoding="utf-8")
    train(package, decathlon, tmp_path / "run", "cpu")
    rows = (tmp_path / "run" / "log.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["3", "6"]


def test_evaluating_writes_the_cards_numbers_and_leaves_its_prose(
    package: Path, decathlon: Path, tmp_path: Path
) -> None:
    where = [str(package), "--data", str(decathlon), "--device", "cpu"]
    main([*where, "--run", str(tmp_path / "run")])
    evaluate(Exam(read(package), decathlon, "cpu"))
    card = (package / "CARD.md").read_text(encoding="utf-8")
    assert "|  | Liver |" in card
    assert "old numbers" not in card
    assert card.startswith("# Tiny")
    assert card.endswith("Limits.\n")
    scores = json.loads((package / "evaluation.json").read_text(encoding="utf-8"))
    assert [case["name"] for case in scores["cases"]] == list(split_for(package, read_recipe(package), None).held_out)


def test_a_card_without_a_place_for_numbers_is_refused(package: Path, decathlon: Path, tmp_path: Path) -> None:
    train(package, decathlon, tmp_path / "run", "cpu")
    (package / "CARD.md").write_text("# Tiny\n", encoding="utf-8")
    with pytest.raises(PackageError, match="has no place for the evaluation"):
        evaluate(Exam(read(package), decathlon, "cpu"))


def test_an_unknown_key_in_a_recipe_is_refused(package: Path) -> None:
    changed = yaml.safe_load((package / "training.yaml").read_text(encoding="utf-8")) | {"magic": 1}
    (package / "training.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")
    with pytest.raises(PackageError, match="magic"):
        read_recipe(package)
