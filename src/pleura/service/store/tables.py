"""The tables, as the newest migration leaves them."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

metadata = MetaData()


class UtcDateTime(TypeDecorator[datetime]):
    """Times with a zone, in UTC, also where the database knows no zones (SQLite)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        if value is None:
            return None
        given: datetime = value
        return given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)


jobs = Table(
    "jobs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("input_sha256", String(64), nullable=False),
    Column("input_size", BigInteger, nullable=False),
    Column("input_name", Text, nullable=False),
    Column("input_kept", Boolean, nullable=False),
    Column("source", String(128), nullable=False),
    Column("sop_instance_uid", String(64), nullable=False),
    Column("study_instance_uid", String(64), nullable=False),
    Column("recipe_sha256", String(64), nullable=False),
    Column("model_name", String(128), nullable=False),
    Column("model_version", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("rank", Integer),
    Column("next_try_at", UtcDateTime, nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("lease_owner", String(128)),
    Column("lease_until", UtcDateTime),
    Column("record", Text),
    Column("probability", Float),
    Column("present", Boolean),
    Column("results", String(64)),
    Column("results_size", BigInteger, nullable=False),
    Column("timings_ms", Text),
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("error_hint", Text),
    UniqueConstraint("input_sha256", "recipe_sha256", name="one_job_for_image_and_recipe"),
    Index("jobs_by_turn", "state", "rank", "received_at", "id"),
    Index("jobs_by_rank", "rank"),
    Index("jobs_by_finding", "state", "present", "received_at", "id"),
    Index("jobs_by_finish", "finished_at"),
    Index("jobs_by_arrival", "received_at", "id"),
    Index("jobs_by_study", "study_instance_uid"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("job_id", String(32), ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("destination", String(128), nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_try_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("lease_owner", String(128)),
    Column("lease_until", UtcDateTime),
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("error_hint", Text),
    UniqueConstraint("job_id", "destination", name="one_delivery_to_a_destination"),
    Index("deliveries_by_turn", "destination", "state", "next_try_at", "id"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("role", String(16), nullable=False),
    Column("key_sha256", String(64), nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("revoked_at", UtcDateTime),
)

audit = Table(
    "audit",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", UtcDateTime, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("address", String(64), nullable=False),
    Column("action", String(64), nullable=False),
    Column("job_id", String(32)),
    Column("outcome", Integer, nullable=False),
    Index("audit_by_time", "at"),
    Index("audit_by_job", "job_id"),
)

workers = Table(
    "workers",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("started_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("model_name", String(128), nullable=False),
    Column("model_version", String(64), nullable=False),
    Column("recipe_sha256", String(64), nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", UtcDateTime, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("detail", Text, nullable=False),
    Index("events_by_kind", "kind", "at"),
)
