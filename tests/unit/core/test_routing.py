"""Which rule takes a stack, and at which condition another one does not."""

import numpy as np
import pytest

from models.volume import Grid
from service.core.routing import Rule, match, match_attributes
from tests.instances import series, slices, with_attributes

INSTANCES = with_attributes(
    series([float(k) for k in range(40)]), Modality="MR", SeriesDescription="T1 HippoCrop", BodyPartExamined="BRAIN"
)
GRID = Grid((40, 50, 34), np.array([[0.0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]]))


def rule(**when: object) -> Rule:
    return Rule.model_validate({"name": "r", "model": "m", "destinations": ["pacs"], "when": when})


@pytest.mark.parametrize(
    "when",
    [
        pytest.param({}, id="no condition"),
        pytest.param({"modality": "MR"}, id="one value"),
        pytest.param({"modality": ["CT", "MR"]}, id="alternatives"),
        pytest.param({"series_description": "*hippocrop*"}, id="pattern, case-blind"),
        pytest.param({"plane": "axial", "slices": {"minimum": 30}}, id="the stack's own facts"),
        pytest.param({"extent_mm": {"minimum": 20, "maximum": 80}}, id="extent"),
    ],
)
def test_a_rule_holds_when_all_its_conditions_do(when: dict[str, object]) -> None:
    assert match(rule(**when), slices(INSTANCES), GRID).holds


@pytest.mark.parametrize(
    ("when", "objection"),
    [
        pytest.param({"modality": "CT"}, "modality is MR, not CT", id="value"),
        pytest.param({"body_part": ["HIP", "KNEE"]}, "body_part is BRAIN, not HIP or KNEE", id="alternatives"),
        pytest.param({"contrast_agent": "*"}, "", id="absent matches anything"),
        pytest.param({"contrast_agent": "?*"}, "contrast_agent is absent, not ?*", id="absent is not something"),
        pytest.param({"plane": "coronal"}, "plane is axial, not coronal", id="plane"),
        pytest.param({"slices": {"maximum": 20}}, "slices is 40, not at most 20", id="slices"),
        pytest.param(
            {"pixel_spacing_mm": {"maximum": 0.5}}, "pixel_spacing_mm is 1 x 1, not at most 0.5", id="spacing"
        ),
    ],
)
def test_a_rule_that_does_not_hold_says_at_which_condition(when: dict[str, object], objection: str) -> None:
    assert match(rule(**when), slices(INSTANCES), GRID).objection == objection


@pytest.mark.parametrize(
    ("when", "objection"),
    [
        pytest.param({"view_position": ["PA", "AP"]}, "", id="view"),
        pytest.param({"view_position": "LL"}, "view_position is PA, not LL", id="another view"),
        pytest.param({"plane": "axial"}, "plane is absent, not axial", id="plane"),
        pytest.param({"slices": {"minimum": 1}}, "slices is nothing: no volume, not at least 1", id="slices"),
    ],
)
def test_a_radiograph_meets_conditions_on_its_view_and_none_on_a_volume(
    when: dict[str, object], objection: str
) -> None:
    image = with_attributes(INSTANCES[:1], ViewPosition="PA")
    assert match(rule(**when), slices(image), None).objection == objection


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        pytest.param({"modality": "MR", "plane": "coronal", "slices": {"maximum": 2}}, True, id="geometry"),
        pytest.param({"modality": "CT", "plane": "axial"}, False, id="attribute"),
    ],
)
def test_where_there_is_no_geometry_attributes_alone_decide(when: dict[str, object], holds: bool) -> None:
    assert match_attributes(rule(**when), slices(INSTANCES)).holds is holds


def test_one_instance_that_differs_is_no_consensus() -> None:
    mixed = [*INSTANCES[:2], *with_attributes(INSTANCES[2:], BodyPartExamined="KNEE")]
    found = match(rule(body_part="BRAIN"), slices(mixed), GRID)
    assert not found.holds
    assert "not the same in all instances (BRAIN, KNEE)" in found.objection
