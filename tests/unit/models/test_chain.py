"""Models one after another on one volume: each where an earlier one found something, and all told on its own grid."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.chains import bound
from models.findings import Box, Findings
from models.inference import load
from models.intake import Declined
from models.manifest import Chain, Manifest, parse
from models.phantom import abdomen
from models.regions import found, on_planes
from models.registry import PackageError, find, read
from models.runtimes import safetensors
from models.tasks.chain import Chained, Link
from models.training.scores import dice
from models.volume import LabelMap, Volume
from tests import factories
from tests.factories import ALGORITHM, LABELS
from tests.unit.models.packages import chain_written, manifest, pinned, put, with_weights

LIVER_HU, SPLEEN_HU, AIR_HU = 100.0, 200.0, -1000.0
WITHIN: dict[str, Any] = {"step": 1, "what": "Liver", "margin_mm": 4}
ANY: dict[str, Any] = {"modalities": ["CT"], "irregular_spacing": True}


def organs(orientation: str = "oblique") -> Volume:
    """Liver and spleen in air, each of one value."""
    on = factories.grid(orientation)
    hounsfield = np.array([AIR_HU, LIVER_HU, SPLEEN_HU], dtype=np.float32)
    return Volume(on, hounsfield[factories.labels(on)])


def by_threshold(volume: Volume, places: Sequence[float] = ()) -> Findings:
    """Liver and spleen where their values are."""
    labels = (volume.values == LIVER_HU) + 2 * (volume.values == SPLEEN_HU)
    return on_planes(found(ALGORITHM, LabelMap(volume.grid, labels.astype(np.uint8)), LABELS), places)


def body_box(volume: Volume, places: Sequence[float] = ()) -> Findings:
    """A box in the patient around all that is not air."""
    del places
    points = volume.grid.to_world(np.argwhere(volume.values > AIR_HU).astype(float))
    low, high = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return Findings(ALGORITHM, boxes=(Box(LABELS[0], tuple(low), tuple(high)),))


def chained(*asks: Any, steps: Sequence[dict[str, Any]], said: Manifest | None = None) -> Chained:
    """A chain of predictors that say what they see; only what matters of their packages is said."""
    step = {"package": "seeing", "version": "1.0.0", "weights_sha256": "ab" * 32}
    chain = parse(chain_written(*(step | each for each in steps), intake=ANY))
    assert isinstance(chain, Chain)
    of_steps = said or manifest(name="seeing", intake=ANY)
    return Chained(chain, tuple(Link(each, of_steps, ask) for each, ask in zip(chain.steps, asks, strict=True)))


@pytest.mark.parametrize("orientation", sorted(factories.ORIENTATIONS))
def test_what_a_step_marks_in_its_part_comes_back_voxel_for_voxel(orientation: str) -> None:
    volume, seen = organs(orientation), []

    def looking(part: Volume, places: Sequence[float] = ()) -> Findings:
        seen.append(part)
        return by_threshold(part, places)

    findings = chained(by_threshold, looking, steps=[{}, {"within": WITHIN}])(volume)

    whole, liver = by_threshold(volume), volume.values == LIVER_HU
    assert findings.grid is volume.grid
    assert seen[0].grid.shape < volume.grid.shape
    there = np.argwhere(liver)
    margin = np.ceil(4 / volume.grid.spacing_mm).astype(int)
    low = np.maximum(there.min(axis=0) - margin, 0)
    assert np.abs(seen[0].grid.origin_mm - volume.grid.to_world(low[None].astype(float))[0]).max() < 1e-9
    part = tuple(slice(int(start), int(start) + count) for start, count in zip(low, seen[0].grid.shape, strict=True))
    expected = np.zeros(volume.grid.shape, np.uint8)
    expected[part] = whole.layers[0].labels[part]
    assert np.array_equal(findings.layers[0].labels, expected)
    assert np.array_equal(findings.mask(findings.regions[0]), liver)
    assert findings.regions[0].volume_ml == pytest.approx(LabelMap(volume.grid, liver.astype(np.uint8)).volume_ml(1))


def test_a_box_hands_over_the_part_that_it_is_around() -> None:
    volume = organs()
    step = {"within": {"step": 1, "what": "Liver", "margin_mm": 0}}
    findings = chained(body_box, by_threshold, steps=[{"tell": True}, step])(volume)
    assert np.array_equal(findings.layers[0].labels, by_threshold(volume).layers[0].labels)
    (box,) = findings.boxes
    assert box == body_box(volume).boxes[0]


def test_a_box_may_be_named_by_its_number_and_is_looked_for_by_it() -> None:
    step = {"within": {"step": 1, "what": 2, "margin_mm": 0}}
    with pytest.raises(Declined, match=r"step 1 \(seeing\) found no 2: nothing to hand to step 2 \(seeing\)"):
        chained(body_box, by_threshold, steps=[{}, step])(organs())


def test_nothing_is_handed_over_where_nothing_was_found() -> None:
    volume = organs()
    air = Volume(volume.grid, np.where(volume.values == LIVER_HU, np.float32(AIR_HU), volume.values))
    with pytest.raises(Declined, match=r"step 1 \(seeing\) found no Liver: nothing to hand to step 2 \(seeing\)"):
        chained(by_threshold, by_threshold, steps=[{}, {"within": WITHIN}])(air)


@pytest.mark.parametrize(
    ("intake", "sentence"),
    [
        ({"extent_mm": {"minimum": 29}}, r"step 2 \(seeing\): the image measures .* mm across the "),
        ({"values": {"maximum": 150}}, r"step 1 \(seeing\): the values of the image run from -1000 to 200"),
    ],
    ids=["extent of the part", "values"],
)
def test_what_a_step_objects_to_is_declined_with_its_name(intake: dict[str, Any], sentence: str) -> None:
    seeing = manifest(name="seeing", intake=ANY | intake)
    chain = chained(by_threshold, by_threshold, steps=[{}, {"within": WITHIN}], said=seeing)
    with pytest.raises(Declined, match=sentence):
        chain(organs())


def test_unevenly_spaced_slices_stay_together() -> None:
    volume, places = organs(), (0.0, 1.0, 2.0, 5.0, 6.0, 9.0, 11.0)
    seen = []

    def looking(part: Volume, at: Sequence[float] = ()) -> Findings:
        seen.append((part.grid.shape, at))
        return by_threshold(part, at)

    findings = chained(by_threshold, looking, steps=[{}, {"within": WITHIN}])(volume, places)

    ((shape, at),) = seen
    assert (shape[0], at) == (volume.grid.shape[0], places)
    assert shape[2] < volume.grid.shape[2]
    assert findings.places == places
    alone = by_threshold(volume, places)
    assert np.array_equal(findings.mask(findings.regions[0]), alone.mask(alone.regions[0]))


def test_steps_that_number_their_labels_alike_lie_in_layers_of_their_own() -> None:
    renamed = tuple(
        label.model_copy(update={"name": f"Other {label.name}", "type": LABELS[0].category}) for label in LABELS
    )

    def others(volume: Volume, places: Sequence[float] = ()) -> Findings:
        layers = by_threshold(volume, places).layers
        return found(ALGORITHM, layers[0], renamed)

    chain = chained(by_threshold, others, steps=[{"tell": ["Liver"]}, {"within": WITHIN, "tell": ["Other Liver"]}])
    findings = chain(organs())
    assert [(region.name, region.layer, region.number) for region in findings.regions] == [
        ("Liver", 0, 1),
        ("Other Liver", 1, 1),
    ]
    assert [np.unique(layer.labels).tolist() for layer in findings.layers] == [[0, 1], [0, 1]]


def test_what_is_not_told_is_in_no_layer() -> None:
    findings = chained(
        by_threshold, by_threshold, steps=[{}, {"within": WITHIN | {"margin_mm": 99}, "tell": ["Spleen"]}]
    )(organs())
    assert [region.name for region in findings.regions] == ["Spleen"]
    assert np.unique(findings.layers[0].labels).tolist() == [0, 2]


def test_findings_say_which_steps_they_came_from(tmp_path: Path) -> None:
    coarse = with_weights(tmp_path / "coarse", name="coarse", intake=ANY)
    chain = read(put(tmp_path / "chain", chain_written(pinned(coarse), pinned(coarse, within=WITHIN))))
    organ = organs()
    predictor = load(bound(chain, {"coarse": coarse}), "cpu")
    assert isinstance(predictor, Chained)
    seeing = replace(predictor, links=tuple(replace(link, ask=by_threshold) for link in predictor.links))
    algorithm = seeing(organ).algorithm
    assert (algorithm.name, algorithm.weights_sha256) == ("Tiny chain", chain.manifest.weights_sha256)
    assert [(step.package, step.weights_sha256) for step in algorithm.steps] == [
        ("coarse", coarse.manifest.weights_sha256)
    ] * 2


def test_nothing_is_loaded_while_the_weights_of_any_step_are_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coarse, fine = (with_weights(tmp_path / name, name=name) for name in ("coarse", "fine"))
    chain = read(put(tmp_path / "chain", chain_written(pinned(coarse), pinned(fine, within=WITHIN))))
    fine.weights.write_bytes(fine.weights.read_bytes() + b"\0")
    opened: list[Path] = []
    monkeypatch.setattr(safetensors, "load_file", opened.append)
    with pytest.raises(PackageError, match=r"fine/weights.safetensors has SHA-256"):
        load(bound(chain, {"coarse": coarse, "fine": fine}), "cpu")
    assert opened == []


def test_a_chain_that_was_not_bound_to_its_steps_is_not_loaded(tmp_path: Path) -> None:
    coarse = with_weights(tmp_path / "coarse", name="coarse")
    chain = read(put(tmp_path / "chain", chain_written(pinned(coarse), pinned(coarse, within=WITHIN))))
    with pytest.raises(PackageError, match="is not bound to the packages of its steps"):
        load(chain, "cpu")


def test_real_packages_hand_over_a_label_in_an_oblique_image(tmp_path: Path) -> None:
    original = find()["phantom_abdomen"]
    again = pinned(original, within=WITHIN | {"margin_mm": 25}, tell=["Liver", "Liver tumour"])
    chain = read(put(tmp_path / "chain", chain_written(pinned(original), again)))
    phantom = abdomen(20_000, (54, 96, 96), (4.0, 4.0, 4.0))
    turned = factories.grid("oblique", (54, 96, 96), (4.0, 4.0, 4.0))
    findings = load(bound(chain, find()), "cpu")(Volume(turned, phantom.volume.values))
    assert findings.regions[0].name == "Liver"
    liver = findings.mask(findings.regions[0])
    assert dice(liver, np.isin(phantom.label_map.labels, (1, 2))) > 0.9
