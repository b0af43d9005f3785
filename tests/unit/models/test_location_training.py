"""From cases to boxes: what is taught, how it is examined, and what is refused."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
import yaml

from models.edges import NEVER, expectation
from models.inference import load
from models.intake import Declined
from models.registry import PackageError, read
from models.sections import BoxStructure
from models.tasks.locate import Locator
from models.training import evaluation
from models.training.__main__ import main
from models.training.augmentation import apply, draw
from models.training.cases import Case, Example
from models.training.evaluate import evaluate
from models.training.exam import Exam
from models.training.figures import Figure, Metric, identity
from models.training.located import LocatedCase, LocationEvaluation, box_score, location_evaluation
from models.training.locating_lesson import located, true_box
from models.training.location_course import Cases, Located, LocationCourse, carried, middle, window_of
from models.training.location_examiner import score
from models.training.losses import edges
from models.training.recipe import Augmentation, Recipe
from models.training.train import train
from models.training.trainer import Trainer
from models.volume import LabelMap
from tests import factories
from tests.unit.models.locating import BRIGHT, located_written, locating, pointing, with_a_cuboid
from tests.unit.models.packages import put
from tests.unit.models.test_training import recipe

SHAPE, WINDOW = (12, 16, 12), (12, 16, 12)
CUBOID = np.array([(3, 4, 3), (7, 11, 8)])
CHANGES = Augmentation(rotation_deg=20, scale=0.1, shift_voxels=1, mirror_axes=(0, 2))


def case(by: int = 0, name: str = "cuboid") -> Case:
    """A bright cuboid, moved by that many voxels along each axis."""
    grid = factories.grid(shape=SHAPE, spacing_mm=(3.0, 3.0, 3.0))
    volume = with_a_cuboid(grid, CUBOID + by)
    return Case(name, volume, LabelMap(grid, (volume.values == BRIGHT).astype(np.uint8)))


def example() -> Located:
    return located(case(), locating())


def taught(**changes: object) -> Recipe:
    plain = {"shift_voxels": 1, "scale": 0.1}
    return recipe(**({"loss": "edges", "augmentation": plain} | changes))


@pytest.fixture
def decathlon(tmp_path: Path) -> Path:
    """Five cases in the Decathlon's layout, each with its cuboid in another place."""
    for kind in ("images", "labels"):
        (tmp_path / "cases" / kind).mkdir(parents=True)
    for index in range(5):
        made = case(index - 2)
        for kind, array in (("images", made.volume.values), ("labels", made.truth.labels)):
            image = nibabel.Nifti1Image(array, np.diag([-3.0, -3.0, 3.0, 1.0]))
            nibabel.save(image, tmp_path / "cases" / kind / f"case_{index}.nii.gz")
    return tmp_path / "cases"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return with_recipe(put(tmp_path / "tiny", located_written(inference={"window_mm": [36, 48, 36], "spread_mm": 90})))


def with_recipe(folder: Path, **changes: object) -> Path:
    (folder / "training.yaml").write_text(yaml.safe_dump(taught(**changes).model_dump(mode="json")), encoding="utf-8")
    (folder / "CARD.md").write_text(f"# Tiny\n\n{evaluation.BEGIN}\nold\n{evaluation.END}\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("seed", range(6))
def test_an_outline_moves_with_the_image(seed: int) -> None:
    """The box of the labels that are changed with the image is that of the outline, but for half a voxel of both."""
    source = example()
    labels = case().truth.labels
    changes = draw(np.random.default_rng(seed), CHANGES, middle(source))
    voxels = np.argwhere(apply(changes, Example(source.image.values, labels), WINDOW).labels == 1)
    moved = carried(source.outlines[0], changes, WINDOW)
    assert moved is not None
    assert np.abs(moved.min(axis=0) - (voxels.min(axis=0) - 0.5)).max() < 1.0
    assert np.abs(moved.max(axis=0) - (voxels.max(axis=0) + 0.5)).max() < 1.0


def test_without_any_change_edges_are_those_of_the_labels() -> None:
    changes = draw(np.random.default_rng(0), Augmentation(), middle(example()))
    _, (truth,) = window_of(example(), WINDOW, changes)
    voxels = np.argwhere(case().truth.labels)
    assert np.allclose(truth, [voxels.min(axis=0), voxels.max(axis=0)])


def test_a_structure_that_is_not_there_has_no_edges_and_teaches_nothing() -> None:
    changes = draw(np.random.default_rng(0), Augmentation(), middle(example()))
    values, truths = window_of(Located(example().image, (None,)), WINDOW, changes)
    assert np.isnan(truths).all()
    answers = pointing()(torch.from_numpy(values)[None, None]).detach()
    assert float(edges(answers, torch.from_numpy(truths)[None])) == 0.0


def test_the_loss_is_least_where_the_edges_are_and_knows_no_places_beyond_a_short_axis() -> None:
    places = torch.arange(10.0)
    losses = []
    for at in (4.0, 6.0, 8.0):
        likely = (-((places - at) ** 2) / 2).masked_fill(places > 8, NEVER).log_softmax(0)
        losses.append(float(edges(likely[None], torch.tensor([8.0]))))
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 3.0


def test_expected_places_have_the_deviation_of_their_distribution() -> None:
    even = torch.full((5,), 0.2).log()
    expected, spread = expectation(even)
    assert [float(expected), float(spread)] == pytest.approx([2.0, 2.0**0.5])


def test_boxes_are_learned() -> None:
    cases = [located(case(by), locating()) for by in (-2, -1, 0, 1, 2)]
    lesson = taught(iterations=60, validate_every=60, learning_rate=0.02, average_decay=0.8)
    trainer = Trainer(lambda: LocationCourse(locating(), lesson, Cases(cases, cases[:2])), lesson)
    (progress,) = trainer.run()
    assert progress.scores["Liver"] > 0.7


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [({"loss": "dice"}, "dice is no loss"), ({"augmentation": {"elastic_voxels": 1}}, "leave out elastic_voxels")],
    ids=["loss of labels", "elastic"],
)
def test_a_recipe_that_is_not_for_boxes_is_refused(wrong: dict[str, object], complaint: str) -> None:
    with pytest.raises(PackageError, match=complaint):
        LocationCourse(locating(), taught(**wrong), Cases([example()], [example()]))


def test_a_package_is_trained_and_evaluated_like_any_other(package: Path, decathlon: Path, tmp_path: Path) -> None:
    main([str(package), "--data", str(decathlon), "--device", "cpu", "--run", str(tmp_path / "run")])
    assert isinstance(load(read(package), "cpu"), Locator)
    evaluate(Exam(read(package), decathlon, "cpu"))
    written = evaluation.read_evaluation(package)
    assert isinstance(written, LocationEvaluation)
    assert written.package == identity(read(package).manifest)
    assert "\n".join(evaluation.card_lines(written)) in (package / "CARD.md").read_text(encoding="utf-8")


def test_folds_are_trained_and_each_case_is_asked_of_the_fold_that_never_saw_it(
    package: Path, decathlon: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_recipe(package, cases={"kind": "folder", "folds": 2, "validation": 1, "seed": 1})
    where = [str(package), "--data", str(decathlon), "--device", "cpu", "--run", str(tmp_path / "run")]
    main([*where, "--folds"])
    said = capsys.readouterr().out
    assert "mean intersection over union of 5 cases, each asked of the fold that never saw it: 0." in said
    train(package, decathlon, tmp_path / "run", "cpu")
    _, found = evaluate(Exam(read(package), decathlon, "cpu", tmp_path / "run"))
    assert isinstance(found, LocationEvaluation)
    assert len(set(found.folds_sha256) | {read(package).manifest.weights_sha256}) == 3
    assert (package / "CARD.md").read_text(encoding="utf-8").count("| case_") == 5


def test_a_box_is_scored_in_millimetres_against_the_outer_faces_of_the_true_voxels() -> None:
    made = case()
    found = score(lambda asked: Locator(locating(), pointing())(asked.volume), made, locating())
    (there,) = found.structures
    assert there is not None
    assert there.overlap == pytest.approx(1.0, abs=0.005)
    assert there.truth_mm == (15.0, 21.0, 12.0)


def test_a_refusal_is_an_answer_that_found_nothing() -> None:
    def refuse(_: Case) -> None:
        raise Declined("not sure")

    found = score(refuse, case(), locating())  # type: ignore[arg-type]  # it never returns
    assert (found.refused, found.mean_overlap) == ("not sure", 0.0)


def test_labels_of_one_structure_have_one_box_and_an_absent_structure_none() -> None:
    made = case()
    made.truth.labels[9, 9, 9] = 2
    structure = BoxStructure.model_validate(located_written()["structures"][0] | {"includes": [2]})
    together = true_box(made, structure)
    assert together is not None
    assert np.ptp(together, axis=0).tolist() == [21.0, 21.0, 21.0]
    assert true_box(made, structure.model_copy(update={"value": 7, "includes": ()})) is None


def test_figures_count_a_refusal_as_outside_and_leave_it_out_of_distances() -> None:
    truth = np.array([[0.0, 0.0, 0.0], [10.0, 20.0, 30.0]])
    boxes = {"exact": truth, "moved": truth + np.array([4.0, 0.0, 0.0]), "none": None}
    cases = [
        LocatedCase(name=name, patient=name, sha256="0", structures=(box_score(found, truth),))
        for name, found in boxes.items()
    ]
    figures = {each.metric: each for each in location_evaluation(identity(locating()), ["Liver"], cases).figures}
    assert figures[Metric.OVERLAP].value == pytest.approx((1 + 6 / 14 + 0) / 3, abs=1e-4)
    assert (figures[Metric.CENTRE_DISTANCE].value, figures[Metric.CENTRE_DISTANCE].cases) == (2.0, 2)
    assert figures[Metric.EDGE_DISTANCE].value == pytest.approx(4 * 2 / 6 / 2, abs=1e-4)
    assert [_percent(figures, each) for each in (Metric.INSIDE, Metric.INSIDE_WITH_MARGIN)] == [33.3, 66.7]
    assert (_percent(figures, Metric.UNANSWERED), figures[Metric.FARTHEST_OUTSIDE].value) == (33.3, 4.0)


def _percent(figures: dict[Metric, Figure], metric: Metric) -> float:
    value = figures[metric].value
    assert value is not None
    return round(value, 1)
