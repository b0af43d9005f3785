"""A child's chest by storescu in, a heat map and a report in Orthanc out; what is not for the model is declined."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset, dcmread

from models.inference import load_for_radiographs
from models.registry import find
from models.training.image_cases import read_radiograph, split_for
from models.training.recipe import read_classification_recipe
from service.commands.archive import Orthanc
from service.derived import synthetic
from service.derived.encoding import encode
from service.derived.statements import groups
from tests import factories
from tests.node import Node, all_ended, configure, rule, run_command, running, until
from tests.validators import faults

SEG, SR = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.88.34"
PROBABILITY, PRESENCE, COMMENT = ("122157", "DCM"), ("121052", "DCM"), ("121106", "DCM")
PRESENT, ABSENT = ("52101004", "SCT"), ("272519000", "SCT")
RULE = rule("pneumonia", modality=["DX", "CR", "CT"]) | {"say_why_not": "both"}


def held_out(kind: str) -> str:
    """The first held-out image of a folder of the training data."""
    folder = find()["pneumonia"].folder
    names = split_for(folder, read_classification_recipe(folder).cases, None).held_out
    return next(name for name in names if name.startswith(kind))


def child(source: Path, kind: str) -> Dataset:
    """A held-out image as a DX image of a child of four, which still says that it is no patient of ours."""
    with Image.open(source / held_out(kind)) as picture:
        grey = np.asarray(picture.convert("L"), dtype=np.float32)
    image = synthetic.dx_image(grey, pixel_mm=1.0, subject=synthetic.Subject(seed=kind))
    image.ViewPosition, image.BodyPartExamined, image.PatientAge = "AP", "CHEST", "004Y"
    return image


def write(images: list[Dataset], folder: Path) -> Path:
    folder.mkdir(parents=True)
    for number, image in enumerate(images):
        (folder / f"{number}.dcm").write_bytes(encode(image))
    return folder


@pytest.fixture(scope="module")
def source(real_images: Callable[[str], Path]) -> Path:
    return real_images("cxr_kermany_train224")


@pytest.fixture(scope="module")
def children(source: Path) -> dict[str, Dataset]:
    return {kind: child(source, kind) for kind in ("NORMAL", "PNEUMONIA")}


@pytest.fixture(scope="module")
def strangers(real_images: Callable[[str], Path]) -> list[Path]:
    """Chests of adults, one a study: the fourth to the sixth share their names with the first."""
    return [real_images("cxr_nih_dicom") / f"test{number}.dcm" for number in (1, 2, 3)]


@pytest.fixture(scope="module")
def knee() -> Dataset:
    image = factories.dx_image(300, 300)
    image.ViewPosition, image.BodyPartExamined, image.PatientAge = "AP", "KNEE", "004Y"
    return image


@pytest.fixture(scope="module")
def node(
    tmp_path_factory: pytest.TempPathFactory,
    pacs: Orthanc,
    storescu: str,
    children: dict[str, Dataset],
    strangers: list[Path],
    knee: Dataset,
) -> Iterator[Node]:
    """A node that has done all its work on two children, three adults, a knee and a volume."""
    folder = tmp_path_factory.mktemp("node")
    volume = factories.ct_series(factories.grid(shape=(8, 16, 16)))
    sent = write([*children.values(), knee, *volume], folder / "sent")
    with running(configure(folder / "config", pacs.port, [RULE])) as node:
        assert node.storescu(storescu, "+sd", str(sent)).returncode == 0
        assert node.storescu(storescu, *map(str, strangers)).returncode == 0
        until(lambda: len(node.series()) == 7 and all_ended(node, 7), "seven Series and seven ended jobs", seconds=240)
        yield node


@pytest.fixture(scope="module")
def results(node: Node, pacs: Orthanc) -> dict[str, dict[str, Dataset]]:
    """Study -> SOP Class -> what the node sent for it."""
    assert {job["state"] for job in node.jobs()} == {"DELIVERED"}
    by_study: dict[str, dict[str, Dataset]] = {}
    for dataset in pacs.datasets():
        if dataset.get("Manufacturer") == "Isocenter":
            by_study.setdefault(str(dataset.StudyInstanceUID), {})[str(dataset.SOPClassUID)] = dataset
    return by_study


def decision(node: Node, series_instance_uid: str) -> str:
    (row,) = (row for row in node.series() if row["series"] == series_instance_uid)
    return str(row["decision"])


def values(report: Dataset, name: tuple[str, str]) -> list[Any]:
    return [each.value for each in groups(report)[0] if each.name == name]


@pytest.mark.parametrize(("kind", "presence"), [("NORMAL", ABSENT), ("PNEUMONIA", PRESENT)])
def test_a_childs_chest_gets_a_heat_map_and_a_report_that_say_what_the_model_says(
    kind: str,
    presence: tuple[str, str],
    results: dict[str, dict[str, Dataset]],
    children: dict[str, Dataset],
    source: Path,
) -> None:
    sent = results[str(children[kind].StudyInstanceUID)]
    assert set(sent) == {SEG, SR}
    findings = load_for_radiographs(find()["pneumonia"], "cpu")(read_radiograph(source, held_out(kind)))
    assert values(sent[SR], PRESENCE) == [presence]
    (stated,) = values(sent[SR], PROBABILITY)
    assert stated.value == pytest.approx(100 * findings.scores[0].probability, abs=0.5)
    drawn = sent[SEG].pixel_array / float(sent[SEG].MaximumFractionalValue)
    assert np.abs(drawn - findings.heat_maps[0].values).max() < 0.02


def test_running_the_job_again_gives_the_same_bytes(node: Node, children: dict[str, Dataset]) -> None:
    series = str(children["PNEUMONIA"].SeriesInstanceUID)
    (job,) = (job["job_id"] for job in node.jobs() if job["series_instance_uid"] == series)
    seen = run_command("replay", job, "--config", str(node.settings.folder))
    assert seen.stdout.strip().endswith("bit-identical"), seen.stdout


def test_other_makers_validators_find_no_fault(
    results: dict[str, dict[str, Dataset]],
    children: dict[str, Dataset],
    outside_tool: Callable[[str], str],
    tmp_path: Path,
) -> None:
    dciodvfy = outside_tool("dciodvfy")
    for uid, dataset in results[str(children["PNEUMONIA"].StudyInstanceUID)].items():
        dataset.save_as(tmp_path / f"{uid}.dcm")
        assert faults(dciodvfy, tmp_path / f"{uid}.dcm") == []


def test_an_adult_is_declined_for_the_age_and_the_reader_is_told(
    node: Node, results: dict[str, dict[str, Dataset]], strangers: list[Path]
) -> None:
    for path in strangers:
        image = dcmread(path, stop_before_pixels=True)
        words = "the patient's age is not known; the model was validated on 1 to 5 years"
        assert words in decision(node, str(image.SeriesInstanceUID))
        told = results[str(image.StudyInstanceUID)]
        assert len(told) == 2
        assert SEG not in told


def test_a_knee_and_a_volume_are_declined_by_name(
    node: Node, knee: Dataset, results: dict[str, dict[str, Dataset]]
) -> None:
    assert "the body part is KNEE; the model was validated on CHEST" in decision(node, str(knee.SeriesInstanceUID))
    decisions = [str(row["decision"]) for row in node.series()]
    assert sum("pneumonia is for radiographs, and this is a volume" in each for each in decisions) == 1
    assert SEG not in results[str(knee.StudyInstanceUID)]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        pytest.param(4, "the body part is RIBCAGE; the model was validated on CHEST", id="body part"),
        pytest.param(5, "no geometry", id="modality: a capture that says it is a CT is no radiograph"),
        pytest.param(6, "the view is not stated; the model was validated on AP or PA", id="view"),
    ],
)
def test_explain_names_what_is_wrong_with_each_wrong_file(
    number: int, words: str, node: Node, real_images: Callable[[str], Path]
) -> None:
    path = real_images("cxr_nih_dicom") / f"test{number}.dcm"
    seen = run_command("explain", str(path), "--config", str(node.settings.folder))
    assert words in " ".join(seen.stdout.split())


def test_a_site_that_sets_the_age_aside_gets_an_answer_that_says_so(
    tmp_path: Path, pacs: Orthanc, storescu: str, strangers: list[Path]
) -> None:
    settings = configure(
        tmp_path / "config",
        pacs.port,
        [rule("pneumonia", modality="DX")],
        inferring={"models_may_answer_for_any_age": True},
    )
    image = dcmread(strangers[1], stop_before_pixels=True)
    with running(settings) as node:
        assert node.storescu(storescu, str(strangers[1])).returncode == 0
        until(lambda: all_ended(node, 1), "one ended job")
        assert [job["state"] for job in node.jobs()] == ["DELIVERED"]
    reports = [
        each for each in pacs.datasets() if each.SOPClassUID == SR and each.StudyInstanceUID == image.StudyInstanceUID
    ]
    (said,) = (values(report, COMMENT) for report in reports)
    assert said == ["Set aside by this site: the patient's age is not known; the model was validated on 1 to 5 years."]
