"""The ledger's tables: decisions, never bytes."""

import json
from dataclasses import asdict
from datetime import UTC, datetime

from pydantic import TypeAdapter
from sqlalchemy import Column, Dialect, ForeignKey, Index, Integer, MetaData, String, Table, Text, UniqueConstraint
from sqlalchemy.types import TypeDecorator

from service.core.observations import Observation, observation_of
from service.core.priors import Prior, Result
from service.core.refusals import Notice, SayWhyNot


class Moment(TypeDecorator[datetime]):
    """A moment in UTC as ISO 8601 text: readable by a person, and in the order of time when sorted as text."""

    impl = String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """To text; refuses a moment without a time zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        """From text."""
        return datetime.fromisoformat(value) if value else None


class NoticeText(TypeDecorator[Notice]):
    """A notice as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Notice | None, dialect: Dialect) -> str | None:
        """To text."""
        return json.dumps(asdict(value)) if value else None

    def process_result_value(self, value: str | None, dialect: Dialect) -> Notice | None:
        """From text."""
        plain = json.loads(value) if value else None
        return Notice(**plain | {"say": SayWhyNot(plain["say"])}) if plain else None


class ObservedText(TypeDecorator[tuple[Observation, ...]]):
    """What a job was told, as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[Observation, ...] | None, dialect: Dialect) -> str | None:
        """To text."""
        return json.dumps([asdict(each) for each in value], default=str) if value else None

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[Observation, ...]:
        """From text."""
        return tuple(observation_of(plain) for plain in json.loads(value or "[]"))


_PRIOR = TypeAdapter(Prior)
_RESULT = TypeAdapter(Result)


class PriorText(TypeDecorator[Prior]):
    """What a job is compared with, as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Prior | None, dialect: Dialect) -> str | None:
        """To text."""
        return _PRIOR.dump_json(value).decode() if value else None

    def process_result_value(self, value: str | None, dialect: Dialect) -> Prior | None:
        """From text."""
        return _PRIOR.validate_json(value) if value else None


class ResultText(TypeDecorator[Result]):
    """What a job measured, as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Result | None, dialect: Dialect) -> str | None:
        """To text."""
        return _RESULT.dump_json(value).decode() if value else None

    def process_result_value(self, value: str | None, dialect: Dialect) -> Result | None:
        """From text."""
        return _RESULT.validate_json(value) if value else None


metadata = MetaData()

series = Table(
    "series",
    metadata,
    Column("series_instance_uid", String(64), primary_key=True),
    Column("study_instance_uid", String(64), nullable=False),
    Column("modality", String(16), nullable=False),
    Column("description", Text, nullable=False),
    Column("instances", Integer, nullable=False),
    Column("instance_set", String(32), nullable=False),  # what it was closed with; a late instance changes it
    Column("last_at", Moment, nullable=False),
    Column("closed_at", Moment, nullable=False),
    Column("evidence", String(64), nullable=False),
    Column("patient", String(16), nullable=False, server_default=""),  # a digest; empty where the header names nobody
)

observations = Table(
    "observations",
    metadata,
    Column("observation_id", String(32), primary_key=True),
    Column("patient", String(16), nullable=False, index=True),  # as that of a Series
    Column("study_instance_uid", String(64), nullable=False, index=True),  # empty where it came without one
    Column("quantity", String(16), nullable=False),
    Column("value", String(32), nullable=False),
    Column("measured_on", String(10), nullable=False),
    Column("source", String(64), nullable=False),  # the SOP Instance UID of a report, or the command
    Column(
        "person", String(40), nullable=False, server_default=""
    ),  # digests of birth date and sex, where it says them
    Column("recorded_at", Moment, nullable=False),
)

stacks = Table(
    "stacks",
    metadata,
    Column("stack_id", String(32), primary_key=True),
    Column("series_instance_uid", String(64), ForeignKey("series.series_instance_uid"), nullable=False, index=True),
    Column("instances", Integer, nullable=False),
    Column("split_by", Text, nullable=False),
    Column("geometry", Text, nullable=False),  # in words; empty when it is none
    Column("reason", Text, nullable=False),  # why it is none; empty when it is one
    Column("decision", Text, nullable=False),  # of routing; empty until it is made
    Column("standing", String(16), nullable=False),  # STANDS, SUPERSEDED by a late instance, REMOVED from the spool
)

jobs = Table(
    "jobs",
    metadata,
    Column("job_id", String(32), primary_key=True),
    Column("stack_id", String(32), nullable=False, index=True),
    Column("series_instance_uid", String(64), nullable=False, index=True),
    Column("study_instance_uid", String(64), nullable=False),
    Column("model", String(64), nullable=False),
    Column("version", String(32), nullable=False),
    Column("rule", Text, nullable=False),
    Column("destinations", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("lapses", Integer, nullable=False),  # leases that expired
    Column("next_at", Moment, nullable=False),
    Column("worker", String(64), nullable=False),
    Column("lease_until", Moment, nullable=True),
    Column("created_at", Moment, nullable=False),
    Column("changed_at", Moment, nullable=False),
    Column("notice", NoticeText, nullable=True),  # why the model did not run; none: it is to run
    Column("prior", PriorText, nullable=True),  # what it is compared with, fixed when it was planned
    Column("observed", ObservedText, nullable=True),  # what the model is told beside the stack
    Index("jobs_by_state", "state", "next_at"),
)

results = Table(  # what jobs measured: later studies of the patient are compared with it
    "results",
    metadata,
    Column("job_id", String(32), ForeignKey("jobs.job_id"), primary_key=True),
    Column("patient", String(32), nullable=False),  # a digest
    Column("model", String(64), nullable=False),
    Column("result", ResultText, nullable=False),
    Index("results_of_patient", "patient", "model"),
)

recalled = Table(  # what jobs of other nodes measured, as their reports say
    "recalled",
    metadata,
    Column("job_id", String(32), primary_key=True),
    Column("patient", String(32), nullable=False),  # a digest
    Column("model", String(64), nullable=False),
    Column("result", ResultText, nullable=False),
    Column("recorded_at", Moment, nullable=False),
    Index("recalled_of_patient", "patient", "model"),
)

recalls = Table(  # what archives were asked for, once for each patient, study and model
    "recalls",
    metadata,
    Column("recall_id", String(32), primary_key=True),  # a digest of those
    Column("asked_at", Moment, nullable=False),
    Column("ended_at", Moment, nullable=True),
    Column("why_not", Text, nullable=False),  # why nothing is compared; empty where nothing speaks against it
)

events = Table(
    "events",
    metadata,
    Column("event_id", Integer, primary_key=True, autoincrement=True),
    Column("at", Moment, nullable=False),
    Column("subject", String(160), nullable=False, index=True),  # a job, a series, or job/object/destination
    Column("event", String(32), nullable=False),
    Column("before", String(16), nullable=False),
    Column("after", String(16), nullable=False),
    Column("reason", Text, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("delivery_id", Integer, primary_key=True, autoincrement=True),
    Column("job_id", String(32), ForeignKey("jobs.job_id"), nullable=False, index=True),
    Column("sop_class_uid", String(64), nullable=False),
    Column("sop_instance_uid", String(64), nullable=False),
    Column("study_instance_uid", String(64), nullable=False),
    Column("series_instance_uid", String(64), nullable=False),
    Column("destination", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),  # those that count towards DEAD
    Column("tries", Integer, nullable=False),  # all of them
    Column("way", Integer, nullable=False),  # how it is asked for: an index of its destination's ways
    Column("looks", Integer, nullable=False),  # that did not find it since it was sent
    Column("unanswered", Integer, nullable=False),  # questions about it in a row
    Column("transaction_uid", String(64), nullable=False, index=True),  # of a storage commitment that was asked for
    Column("changed_at", Moment, nullable=False),  # its state
    Column("next_at", Moment, nullable=False),
    Column("lease_until", Moment, nullable=True),
    Column("seen", Text, nullable=False),  # at the last try
    UniqueConstraint("sop_instance_uid", "destination"),
    Index("deliveries_due", "destination", "state", "next_at"),
)

attempts = Table(
    "attempts",
    metadata,
    Column("attempt_id", Integer, primary_key=True, autoincrement=True),
    Column(
        "delivery_id", Integer, ForeignKey("deliveries.delivery_id", ondelete="CASCADE"), nullable=False, index=True
    ),
    Column("at", Moment, nullable=False),
    Column("peer", Text, nullable=False),
    Column("status", Integer, nullable=True),  # none: there was no answer
    Column("trouble", String(16), nullable=False),  # empty: there was none
    Column("seen", Text, nullable=False),
)

circuits = Table(
    "circuits",
    metadata,
    Column("destination", String(64), primary_key=True),
    Column("failures", Integer, nullable=False),  # in a row
    Column("next_at", Moment, nullable=True),
    Column("narrowed", Integer, nullable=False),  # how often its associations were halved
    Column("parked", Text, nullable=False),  # why a person has to look; empty: nobody has to
    Column("configured", Text, nullable=False),  # the destination as it was then: when it changes, it is tried again
)
