"""When a certificate that runs out is spoken of."""

from datetime import UTC, date, datetime, timedelta

import pytest

from service.core.expiry import Remaining, is_due, remaining, words

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TODAY, YESTERDAY = date(2026, 3, 1), date(2026, 2, 28)


@pytest.mark.parametrize(
    ("left", "expected", "is_urgent"),
    [
        pytest.param(timedelta(days=31), Remaining.LONG, False, id="31 days"),
        pytest.param(timedelta(days=30), Remaining.A_MONTH, False, id="30 days"),
        pytest.param(timedelta(days=7, seconds=1), Remaining.A_MONTH, False, id="a second more than 7 days"),
        pytest.param(timedelta(days=7), Remaining.A_WEEK, True, id="7 days"),
        pytest.param(timedelta(days=1), Remaining.A_DAY, True, id="1 day"),
        pytest.param(timedelta(seconds=1), Remaining.A_DAY, True, id="a second"),
        pytest.param(timedelta(0), Remaining.EXPIRED, True, id="nothing"),
        pytest.param(timedelta(days=-400), Remaining.EXPIRED, True, id="long ago"),
    ],
)
def test_thirty_seven_and_one_day_are_thresholds(left: timedelta, expected: Remaining, is_urgent: bool) -> None:
    assert remaining(NOW + left, NOW) is expected
    assert expected.is_urgent is is_urgent


@pytest.mark.parametrize(
    ("left", "told", "expected"),
    [
        pytest.param(Remaining.LONG, None, False, id="there is time"),
        pytest.param(Remaining.A_MONTH, None, True, id="for the first time"),
        pytest.param(Remaining.A_MONTH, TODAY, False, id="told today"),
        pytest.param(Remaining.A_MONTH, YESTERDAY, True, id="told yesterday"),
        pytest.param(Remaining.EXPIRED, YESTERDAY, True, id="expired, and told yesterday"),
    ],
)
def test_a_warning_is_given_once_a_day(left: Remaining, told: date | None, expected: bool) -> None:
    assert is_due(left, told, TODAY) is expected


def test_the_words_name_the_days_and_the_day() -> None:
    assert words(NOW + timedelta(days=6, hours=5), NOW) == "6 days left, until 2026-03-07 17:00 UTC"
    assert words(NOW + timedelta(days=1), NOW) == "1 day left, until 2026-03-02 12:00 UTC"
    assert words(NOW - timedelta(days=1), NOW) == "expired on 2026-02-28 12:00 UTC"
