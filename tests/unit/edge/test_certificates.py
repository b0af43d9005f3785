"""Certificates that run out are warned of."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.core.errors import ConfigurationError
from service.edge.certificates import ExpiryWatch, read_certificates
from tests.certificates import Authority


def test_every_certificate_of_a_file_is_read(tmp_path: Path) -> None:
    one, two = (Authority(tmp_path, name).certificate for name in ("one", "two"))
    both = tmp_path / "both.pem"
    both.write_bytes(one.read_bytes() + two.read_bytes())
    assert [certificate.subject for certificate in read_certificates(both)] == ["CN=one", "CN=two"]


@pytest.mark.parametrize("content", [None, "", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_file_without_certificate_names_itself(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "node.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"node\.pem"):
        read_certificates(path)


@pytest.mark.parametrize(
    ("days", "levels"),
    [(40, {}), (20, {"warning": 1}), (6, {"error": 1}), (0.5, {"error": 1}), (-1, {"error": 1})],
    ids=["40 days", "20 days", "6 days", "half a day", "expired"],
)
def test_a_day_of_hourly_looks_gives_one_warning(tmp_path: Path, days: float, levels: dict[str, int]) -> None:
    authority = Authority(tmp_path)
    own = authority.certified("ISOCENTER", days=(-30, days))
    watch = ExpiryWatch([own.certificate, authority.certificate])
    now = datetime.now(UTC)
    morning = now.replace(hour=0, minute=0)
    with capture_logs() as events:
        watch.tick(now)
        for hour in range(24):
            watch.tick(max(now, morning + timedelta(hours=hour)))
    assert Counter(event["log_level"] for event in events) == levels
    assert all((event["subject"], event["file"]) == ("CN=ISOCENTER", str(own.certificate)) for event in events)


def test_the_next_day_warns_again_and_a_renewed_certificate_no_more(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own, renewed = authority.certified("ISOCENTER", days=(-30, 20)), authority.certified("RENEWED")
    watch, now = ExpiryWatch([own.certificate]), datetime.now(UTC)
    with capture_logs() as events:
        watch.tick(now)
        watch.tick(now + timedelta(days=1))
        assert len(events) == 2
        own.replace_with(renewed)
        watch.tick(now + timedelta(days=2))
    assert len(events) == 2


def test_a_file_that_cannot_be_read_hides_no_other(tmp_path: Path) -> None:
    own = Authority(tmp_path).certified("ISOCENTER", days=(-30, 6))
    with capture_logs() as events:
        ExpiryWatch([tmp_path / "gone.pem", own.certificate]).tick(datetime.now(UTC))
    assert [event["event"] for event in events] == ["certificate not readable", "certificate runs out"]
