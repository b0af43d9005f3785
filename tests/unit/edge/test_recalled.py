"""Results that were read from reports, and what archives were asked, in the ledger."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from service.core.priors import MeasuredVolume, Result, Subject
from service.core.recalling import Recall
from service.edge.ledger import Ledger

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=5)
SUBJECT = Subject("patient", "identity", date(2025, 3, 1), "1.2", "1.2.3", "")
READ = Result("job", "", SUBJECT, "liver", "1.0.0", (MeasuredVolume("SCT:10200004", 0, 1500.0, "cm3"),), "1.2.9")


def test_what_was_read_is_a_result_of_its_patient_and_model(ledger: Ledger) -> None:
    assert ledger.keep_recalled([READ], NOW) == 1
    assert ledger.results_of("patient", "liver") == [READ]
    assert ledger.results_of("patient", "spleen") == ledger.results_of("another", "liver") == []


def test_what_a_job_measured_is_kept_as_it_was_read_first(ledger: Ledger) -> None:
    ledger.keep_recalled([READ], NOW)
    assert ledger.keep_recalled([replace(READ, volumes=())], LATER) == 0
    assert ledger.results_of("patient", "liver") == [READ]


def test_a_question_stays_open_until_it_ends_with_what_it_brought(ledger: Ledger) -> None:
    assert ledger.recall("question") is None
    ledger.begin_recall("question", NOW)
    assert ledger.recall("question") == Recall(NOW)

    ledger.end_recall("question", [READ], "because", LATER)

    assert ledger.recall("question") == Recall(NOW, ended=True, why_not="because")
    assert ledger.results_of("patient", "liver") == [READ]
