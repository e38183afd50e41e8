"""Which images and results of finished jobs are still kept."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, and_, func, or_, select, update

from pleura.service.store.engine import reading, writing
from pleura.service.store.tables import deliveries, jobs
from pleura.service.store.values import FINISHED, DeliveryState

OPEN = (DeliveryState.PENDING, DeliveryState.WAITING, DeliveryState.SENDING)


@dataclass(frozen=True, slots=True)
class Dropped:
    """What is no longer kept, and may be removed from the disk.

    Attributes:
        inputs: SHA-256 of images; another job may keep the same one.
        results: names of folders of results.
        size: of both, in bytes.
    """

    inputs: tuple[str, ...]
    results: tuple[str, ...]
    size: int


class Keeping:
    """The files that the jobs of one database keep.

    Args:
        engine: from `open_engine`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def used_bytes(self) -> int:
        """Size of all images and results that are kept; the same image counts once."""
        images = (
            select(func.max(jobs.c.input_size).label("size"))
            .where(jobs.c.input_kept)
            .group_by(jobs.c.input_sha256)
            .subquery()
        )
        with reading(self._engine) as connection:
            inputs = connection.execute(select(func.sum(images.c.size))).scalar_one()
            results = connection.execute(select(func.sum(jobs.c.results_size))).scalar_one()
        return int(inputs or 0) + int(results or 0)

    def droppable(self, inputs_before: datetime, results_before: datetime) -> list[str]:
        """Ids of jobs of which something may be removed, the first finished first.

        Args:
            inputs_before: images of jobs that were finished before then may go.
            results_before: likewise results, unless a delivery still needs them.
        """
        waits = select(deliveries.c.id).where(
            deliveries.c.job_id == jobs.c.id, deliveries.c.state.in_(OPEN)
        )
        query = select(jobs.c.id).where(
            jobs.c.state.in_(FINISHED),
            or_(
                and_(jobs.c.input_kept, jobs.c.finished_at < inputs_before),
                and_(_has_results(), jobs.c.finished_at < results_before, ~waits.exists()),
            ),
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(jobs.c.finished_at, jobs.c.id))
            return list(rows.scalars())

    def drop(
        self, job_ids: Sequence[str], inputs_before: datetime, results_before: datetime
    ) -> Dropped:
        """Write that images and results are no longer kept; then they may be removed.

        The outcome stays. When both are gone, so are the sender's name of the image and its UIDs.

        Args:
            job_ids: some of `droppable`.
            inputs_before: as there.
            results_before: as there.
        """
        inputs: list[str] = []
        results: list[str] = []
        size = 0
        with writing(self._engine) as connection:
            held = connection.execute(
                select(jobs)
                .where(jobs.c.id.in_(job_ids), jobs.c.state.in_(FINISHED))
                .with_for_update(skip_locked=True)
            ).all()
            # Asked after the jobs are held: no delivery can be opened now.
            waiting = select(deliveries.c.job_id).where(
                deliveries.c.job_id.in_([row.id for row in held]), deliveries.c.state.in_(OPEN)
            )
            needed = set(connection.execute(waiting).scalars())
            for row in held:
                image = row.input_kept and row.finished_at < inputs_before
                made = (
                    row.results is not None
                    and row.finished_at < results_before
                    and row.id not in needed
                )
                values: dict[str, Any] = {}
                if image:
                    values["input_kept"] = False
                    inputs.append(row.input_sha256)
                    size += row.input_size
                if made:
                    values |= {"results": None, "results_size": 0}
                    results.append(row.results)
                    size += row.results_size
                if (image or not row.input_kept) and (made or row.results is None):
                    values |= _anonymous(row)
                if image or made:
                    connection.execute(update(jobs).where(jobs.c.id == row.id).values(**values))
        return Dropped(tuple(inputs), tuple(results), size)

    def kept_inputs(self, prefix: str) -> set[str]:
        """SHA-256 of the images that are kept, of those that begin so."""
        query = select(jobs.c.input_sha256).where(
            jobs.c.input_kept, *_begins_with(jobs.c.input_sha256, prefix)
        )
        with reading(self._engine) as connection:
            return set(connection.execute(query).scalars())

    def kept_results(self, prefix: str) -> set[str]:
        """Names of the folders of results that are kept, of jobs whose id begins so."""
        query = select(jobs.c.results).where(_has_results(), *_begins_with(jobs.c.id, prefix))
        with reading(self._engine) as connection:
            return set(connection.execute(query).scalars())


def _has_results() -> ColumnElement[bool]:
    return jobs.c.results.is_not(None)


def _begins_with(column: Any, prefix: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Hexadecimal digits that begin so, as a range that an index serves."""
    return column >= prefix, column < prefix + "g"


def _anonymous(row: Row[Any]) -> dict[str, Any]:
    """Columns without what names the image; the job's own id stays."""
    values: dict[str, Any] = {"input_name": "", "sop_instance_uid": "", "study_instance_uid": ""}
    if row.record is not None:
        record = json.loads(row.record)
        if record.get("sop_instance_uid"):
            record["sop_instance_uid"] = ""
            values["record"] = json.dumps(record, separators=(",", ":"), ensure_ascii=False)
    return values
