"""The names under which structures are found again."""

from models.findings import Findings
from models.tasks.chain import joined
from service.derived.terms import structures
from tests import factories
from tests.factories import LABELS, ORIGIN


def uids(findings: Findings) -> list[str]:
    return [structure.tracking_uid for structure in structures(findings, ORIGIN)]


def test_structures_of_two_steps_that_are_numbered_alike_are_tracked_apart() -> None:
    alone = factories.findings()
    renamed = tuple(label.model_copy(update={"name": f"Other {label.name}"}) for label in LABELS)
    both = joined(alone, factories.findings(structures=renamed))
    assert len(set(uids(both))) == len(both.regions) == 2 * len(LABELS)
    assert uids(both)[: len(LABELS)] == uids(alone)
