"""Which packages a chain may be made of, and the sentence that refuses the others."""

from pathlib import Path
from typing import Any

import pytest

from models.chains import bound, bound_beside, told_labels
from models.manifest import parse
from models.registry import BUILT_IN, Package, PackageError, find, read, verify
from tests.unit.models.packages import chain_written, pinned, put, with_weights, written

LIVER = written()["labels"][0]
SPLEEN = LIVER | {"name": "Spleen", "type": {"value": "78961009", "scheme": "SCT", "meaning": "Spleen"}}
WITHIN: dict[str, Any] = {"step": 1, "what": "Liver", "margin_mm": 10}


@pytest.fixture
def coarse(tmp_path: Path) -> Package:
    return with_weights(tmp_path / "packages" / "coarse", name="coarse")


@pytest.fixture
def fine(tmp_path: Path) -> Package:
    return with_weights(tmp_path / "packages" / "fine", name="fine", labels=[SPLEEN])


def chain(*steps: dict[str, Any], **changes: Any) -> Package:
    return Package(Path("there"), parse(chain_written(*steps, **changes)))


def refusal(package: Package, *packages: Package) -> str:
    with pytest.raises(PackageError) as refused:
        bound(package, {each.manifest.name: each for each in packages})
    return str(refused.value)


def test_a_chain_is_bound_to_the_packages_that_it_names(coarse: Package, fine: Package) -> None:
    said = chain(pinned(coarse, manifest_sha256=coarse.manifest.said_sha256), pinned(fine, within=WITHIN))
    assert bound(said, {"coarse": coarse, "fine": fine}).steps == (coarse, fine)
    assert [label.name for label in told_labels(bound(said, {"coarse": coarse, "fine": fine}))] == ["Spleen"]


def test_any_other_package_is_itself(coarse: Package) -> None:
    assert bound(coarse, {}) is coarse


def test_the_steps_lie_beside_the_chain_or_in_the_folders(tmp_path: Path, coarse: Package, fine: Package) -> None:
    beside = put(tmp_path / "packages" / "chain", chain_written(pinned(coarse), pinned(fine, within=WITHIN)))
    assert bound_beside(read(beside), [BUILT_IN]).steps == (coarse, fine)
    apart = put(tmp_path / "apart" / "chain", chain_written(pinned(coarse), pinned(fine, within=WITHIN)))
    assert [step.manifest.name for step in bound_beside(read(apart), [tmp_path / "packages"]).steps] == [
        "coarse",
        "fine",
    ]


def test_a_step_that_is_not_here_is_named(coarse: Package, fine: Package) -> None:
    assert "step 2 is fine 1.0.0, which is not here" in refusal(
        chain(pinned(coarse), pinned(fine, within=WITHIN)), coarse
    )


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"version": "0.9.0"}, "step 2 is fine 0.9.0, and here is version 1.0.0"),
        ({"weights_sha256": "ab" * 32}, f"step 2 is fine of the weights {'ab' * 32}, and here are "),
        ({"manifest_sha256": "cd" * 32}, f"step 2 is fine of the manifest {'cd' * 32}, and here is "),
        ({"tell": ["Kidney"]}, "step 2 tells 'Kidney', and fine marks Spleen"),
        ({"within": WITHIN | {"what": "Spleen"}}, "step 2 is within 'Spleen', and step 1 (coarse) marks Liver"),
        ({"within": WITHIN | {"what": 2}}, "step 2 is within 2, and step 1 (coarse) marks Liver"),
    ],
    ids=["version", "weights", "manifest", "told", "label by name", "label by value"],
)
def test_a_step_that_is_another_than_is_named_is_refused(
    coarse: Package, fine: Package, said: dict[str, Any], sentence: str
) -> None:
    step = pinned(fine, within=WITHIN) | said
    assert sentence in refusal(chain(pinned(coarse), step), coarse, fine)


@pytest.mark.parametrize("name", ["pneumonia", "fvc_decline"])
def test_what_marks_nothing_in_a_volume_is_no_step(coarse: Package, name: str) -> None:
    other = find()[name]
    complaint = f"step 2 is {name}, whose task is {other.manifest.task}: a step marks something in a volume"
    assert complaint in refusal(chain(pinned(coarse), pinned(other, within=WITHIN)), coarse, other)


def test_a_chain_is_no_step_of_a_chain(coarse: Package) -> None:
    inner = chain(pinned(coarse), pinned(coarse, within=WITHIN))
    outer = chain(pinned(coarse), pinned(inner, within=WITHIN), name="outer")
    assert "step 2 is tiny_chain, whose task is chain" in refusal(outer, coarse, inner)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"evidence": "real"}, "step 1 is coarse, which has seen phantoms only, and the chain says evidence: real"),
        ({"intake": {"modalities": ["CT", "MR"]}}, "step 1 is coarse, which was not validated on MR"),
    ],
    ids=["evidence", "modality"],
)
def test_a_chain_claims_no_more_than_its_steps(
    coarse: Package, fine: Package, changes: dict[str, Any], sentence: str
) -> None:
    assert sentence in refusal(chain(pinned(coarse), pinned(fine, within=WITHIN), **changes), coarse, fine)


@pytest.mark.parametrize(
    ("taken", "wanted"), [([], "any body part"), (["CHEST", "KNEE"], "KNEE")], ids=["any", "one more"]
)
def test_a_chain_takes_no_body_part_that_a_step_was_not_validated_on(taken: list[str], wanted: str) -> None:
    atrium = find()["left_atrium"]
    intake = {"modalities": ["MR"], "body_parts": taken}
    made = chain(pinned(atrium), pinned(atrium, within=WITHIN | {"what": 1}), evidence="real", intake=intake)
    sentence = (
        f"step 1 is left_atrium, which was validated on CARDIAC, CHEST, HEART, THORAX, and the chain takes {wanted}"
    )
    assert sentence in refusal(made, atrium)


def test_a_structure_is_told_once(coarse: Package) -> None:
    twice = chain(pinned(coarse, tell=True), pinned(coarse, within=WITHIN))
    assert "Liver is told by step 1 and by step 2: let one of them tell it" in refusal(twice, coarse)


@pytest.mark.parametrize(
    ("steps", "sentence"),
    [
        ([{"within": WITHIN}, {"within": WITHIN}], "step 1 works on the whole image"),
        ([{}, {}], "step 2 works within what an earlier step found"),
        ([{}, {"within": WITHIN | {"step": 2}}], "step 2 works within what an earlier step found"),
        ([{}, {"within": WITHIN, "tell": False}], "no step is told"),
        ([{}], "at least 2"),
    ],
    ids=["first", "nowhere", "itself", "silent", "alone"],
)
def test_steps_that_cannot_follow_each_other_are_refused(steps: list[dict[str, Any]], sentence: str) -> None:
    step = {"package": "coarse", "version": "1.0.0", "weights_sha256": "ab" * 32}
    with pytest.raises(ValueError, match=sentence):
        parse(chain_written(*(step | said for said in steps)))


def test_other_weights_of_a_step_are_other_weights_of_the_chain(coarse: Package, fine: Package) -> None:
    first = chain(pinned(coarse), pinned(fine, within=WITHIN)).manifest
    second = chain(pinned(coarse), pinned(fine, within=WITHIN, weights_sha256="ab" * 32)).manifest
    assert first.weights_sha256 != second.weights_sha256
    assert first.weights_sha256 not in (coarse.manifest.weights_sha256, fine.manifest.weights_sha256)


def test_weights_of_a_step_that_were_changed_are_refused(coarse: Package, fine: Package) -> None:
    whole = bound(chain(pinned(coarse), pinned(fine, within=WITHIN)), {"coarse": coarse, "fine": fine})
    verify(whole)
    fine.weights.write_bytes(fine.weights.read_bytes() + b"\0")
    with pytest.raises(PackageError, match=r"fine/weights.safetensors has SHA-256"):
        verify(whole)


def test_a_chain_has_no_weights_of_its_own(coarse: Package) -> None:
    with pytest.raises(PackageError, match="they are those of its steps"):
        _ = chain(pinned(coarse), pinned(coarse, within=WITHIN)).weights
