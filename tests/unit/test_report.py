"""Whatever a builder gets wrong, the proof sees it: nothing of the job is in outbox/, and the object is held."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from models.findings import Findings
from models.terms import Code
from service.assemble import record_of
from service.core.errors import Unproven
from service.core.jobs import Job, State
from service.core.profiles import PRESETS, Kind, Profile
from service.core.stacking import split
from service.derived.catalogue import CATALOGUE
from service.derived.content_tree import groups
from service.derived.material import Made, Material
from service.edge.part10 import read_instance
from service.edge.records import keep_findings, keep_part, read_plan
from service.edge.spool import Spool
from service.edge.workplaces import Desk
from service.report import report
from tests import factories
from tests.arriving import receive

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
GRID = factories.grid(spacing_mm=(2.5, 0.8, 1.1), shape=(12, 40, 32))


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """A spool with a stack and its findings."""
    return spool_with(tmp_path, factories.ct_series(GRID), factories.findings(GRID))


def spool_with(folder: Path, images: Sequence[Dataset], findings: Findings) -> Spool:
    spool = Spool(folder / "spool")
    for image in images:
        assert receive(spool, image).status == 0x0000
    (stack,) = split(read_instance(path) for path in (spool.root / "incoming").iterdir())
    keep_part(spool, replace(record_of(stack, NOW), stack_id="stack"))
    keep_findings(spool, "job", findings)
    return spool


def _only(*kinds: Kind) -> Profile:
    return Profile(objects=kinds)


def job(*destinations: str) -> Job:
    return Job("job", "stack", "1.2.3", "1.2", "liver", "1.0.0", "rule", destinations, State.REPORTING, 0, NOW)


def _flip(segmentation: Dataset) -> None:
    rows, columns = segmentation.Rows, segmentation.Columns
    bits = np.unpackbits(np.frombuffer(segmentation.PixelData, np.uint8), bitorder="little")
    frames = bits[: segmentation.NumberOfFrames * rows * columns].reshape(-1, rows, columns)
    packed = np.packbits(frames[:, :, ::-1].ravel(), bitorder="little").tobytes()
    segmentation.PixelData = packed + b"\0" * (len(packed) % 2)


def _shift_by_one_slice(segmentation: Dataset) -> None:
    groups = segmentation.PerFrameFunctionalGroupsSequence
    for before, after in zip(groups, list(groups)[1:], strict=False):
        before.PlanePositionSequence, before.DerivationImageSequence = (
            after.PlanePositionSequence,
            after.DerivationImageSequence,
        )


def _swap_two_frames(segmentation: Dataset) -> None:
    groups = segmentation.PerFrameFunctionalGroupsSequence
    groups[0], groups[1] = groups[1], groups[0]


def _swap_row_and_column_spacing(segmentation: Dataset) -> None:
    measures = segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.PixelSpacing = list(measures.PixelSpacing)[::-1]


def _volume(dataset: Dataset) -> Dataset:
    groups = next(item for item in dataset.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "126010")
    items = groups.ContentSequence[0].ContentSequence
    volume = next(item for item in items if item.ConceptNameCodeSequence[0].CodeValue == "118565006")
    measured: Dataset = volume.MeasuredValueSequence[0]
    return measured


def _wrong_unit(dataset: Dataset) -> None:
    _volume(dataset).MeasurementUnitsCodeSequence[0].CodeValue = "mm3"


def _doubled_volume(dataset: Dataset) -> None:
    _volume(dataset).NumericValue = float(_volume(dataset).NumericValue) * 2


def _wrong_frame_of_reference(dataset: Dataset) -> None:
    dataset.FrameOfReferenceUID = "2.25.1"


def _wrong_patient(dataset: Dataset) -> None:
    dataset.PatientID = "SOMEBODY"


MUTATIONS: dict[str, tuple[Kind, Callable[[Dataset], None], str]] = {
    "flip": (Kind.SEGMENTATION, _flip, "voxels of frame 1 that differ"),
    "shift by one slice": (Kind.SEGMENTATION, _shift_by_one_slice, "differ"),
    "two frames swapped": (Kind.SEGMENTATION, _swap_two_frames, "differ"),
    "row and column spacing swapped": (Kind.SEGMENTATION, _swap_row_and_column_spacing, "pixel spacing of frame 1"),
    "wrong frame of reference": (Kind.SEGMENTATION, _wrong_frame_of_reference, "FrameOfReferenceUID"),
    "wrong patient of the segmentation": (Kind.SEGMENTATION, _wrong_patient, "PatientID"),
    "wrong patient of the report": (Kind.REPORT, _wrong_patient, "PatientID"),
    "wrong unit": (Kind.REPORT, _wrong_unit, "mm3"),
    "doubled volume": (Kind.REPORT, _doubled_volume, "of Liver in the report"),
}


@pytest.mark.parametrize(("kind", "mutate", "check"), MUTATIONS.values(), ids=MUTATIONS.keys())
def test_a_mistake_of_a_builder_is_caught_and_nothing_is_sent(
    spool: Spool, kind: Kind, mutate: Callable[[Dataset], None], check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = CATALOGUE[kind]

    def mistaken(material: Material, made: Made) -> Sequence[Dataset]:
        (built,) = entry.build(material, made)
        mutate(built)
        return [built]

    monkeypatch.setitem(CATALOGUE, kind, replace(entry, build=mistaken))
    with pytest.raises(Unproven, match=check):
        report(Desk(spool.root, {}, "0.1.0"), job("pacs"))
    assert not list((spool.root / "outbox").rglob("*"))
    (held,) = spool.work("job").glob("unproven-*.dcm")
    assert dcmread(held).Modality == {Kind.SEGMENTATION: "SEG", Kind.REPORT: "SR"}[kind]


def test_each_destination_gets_what_its_profile_says_and_what_is_alike_is_made_once(spool: Spool) -> None:
    profiles = {"first": PRESETS["usual"], "second": PRESETS["orthanc"], "third": _only(Kind.REPORT)}
    report(Desk(spool.root, profiles, "0.1.0"), job("first", "second", "third"))
    plan = read_plan(spool, "job")
    modalities = {
        name: [dcmread(spool.outbox("job") / f"{each.sop_instance_uid}.dcm").Modality for each in objects]
        for name, objects in plan.items()
    }
    assert modalities == {"first": ["SEG", "SR"], "second": ["SEG", "SR"], "third": ["SR"]}
    assert plan["first"] == plan["second"]
    assert plan["third"] != plan["first"][1:]  # a report without a segmentation says something else


def test_every_object_says_what_it_came_from(spool: Spool) -> None:
    report(Desk(spool.root, {}, "0.1.0"), job("pacs"))
    for path in spool.outbox("job").glob("*.dcm"):
        said = [item.get("ContributionDescription", "") for item in dcmread(path).ContributingEquipmentSequence]
        (provenance,) = [words for words in said if words.startswith("package")]
        for words in ("package abdomen 1.0.0", f"weights sha256 {'ab' * 32}", "code isocenter 0.1.0", "job job"):
            assert words in provenance
        assert "configuration " in provenance
        assert "input " in provenance


@pytest.mark.parametrize(("height_m", "expected"), [("1.80", True), ("180", False)], ids=["said", "not plausible"])
def test_a_volume_index_is_reported_where_the_images_say_height_and_weight(
    tmp_path: Path, height_m: str, expected: bool
) -> None:
    index = Code(value="LAVI", scheme="99ISOCENTER", meaning="Left atrium volume index")
    label = factories.LABELS[0].model_copy(update={"volume_index": index})
    images = factories.ct_series(GRID)
    for image in images:
        image.PatientSize, image.PatientWeight = height_m, "76"
    spool = spool_with(tmp_path, images, factories.findings(GRID, structures=[label]))
    report(Desk(spool.root, {}, "0.1.0"), job("pacs"))
    (document,) = [each for each in map(dcmread, spool.outbox("job").glob("*.dcm")) if each.Modality == "SR"]
    volume, *indices = groups(document)[0].numbers
    assert [(each.name, each.unit) for each in indices] == [(("LAVI", "99ISOCENTER"), ("ml/m2", "UCUM"))] * expected
    assert [each.value for each in indices] == pytest.approx([volume.value / (180 * 76 / 3600) ** 0.5] * expected)
    schemes = [each.CodingSchemeDesignator for each in document.get("CodingSchemeIdentificationSequence", [])]
    assert schemes == ["99ISOCENTER"] * expected
