"""When a Series counts as whole."""

from datetime import UTC, datetime, timedelta

import pytest

from service.core.completeness import Arrival, Evidence, Patience, evidence

LAST = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PATIENCE = Patience(gapless=timedelta(seconds=2), otherwise=timedelta(seconds=60))


@pytest.mark.parametrize(
    ("released", "gapless", "seconds", "expected"),
    [
        pytest.param(True, True, 1, None, id="too soon"),
        pytest.param(True, True, 2, Evidence.RELEASED_AND_GAPLESS, id="released, no hole"),
        pytest.param(True, False, 30, None, id="a hole may still be filled"),
        pytest.param(False, True, 30, None, id="the association is still open"),
        pytest.param(True, False, 60, Evidence.SILENCE, id="the hole was never filled"),
        pytest.param(False, True, 60, Evidence.SILENCE, id="the sender never released"),
    ],
)
def test_a_series_is_closed_on_evidence(released: bool, gapless: bool, seconds: int, expected: Evidence | None) -> None:
    found = evidence(Arrival(LAST, released, gapless), LAST + timedelta(seconds=seconds), PATIENCE)
    assert found is expected
