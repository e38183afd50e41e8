"""Looking at jobs: one, pages of them, the work list, counts."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Select, and_, case, func, or_, select

from pleura.service.errors import UnknownJobError
from pleura.service.store.clock import Clock, utc_now
from pleura.service.store.engine import reading
from pleura.service.store.rows import job_of
from pleura.service.store.tables import jobs
from pleura.service.store.values import Job, Recipe, State

WAITING = (State.RECEIVED, State.RUNNING)


class JobQueries:
    """What can be asked of the jobs of one database.

    Args:
        engine: from `open_engine`.
        clock: for tests.
    """

    def __init__(self, engine: Engine, clock: Clock = utc_now) -> None:
        self.engine = engine
        self._clock = clock

    def get(self, job_id: str) -> Job:
        """One job.

        Raises:
            UnknownJobError: there is none of this id.
        """
        with reading(self.engine) as connection:
            return self._get(connection, job_id)

    def find(
        self,
        *,
        states: Iterable[State] = (),
        source: str | None = None,
        study_instance_uid: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> list[Job]:
        """Jobs, the newest first.

        Args:
            states: only these; none for all.
            source: only from this sender.
            study_instance_uid: only of this study.
            after: id of the last job of the page before.
            limit: of the page.

        Raises:
            UnknownJobError: there is no job `after`.
        """
        query: Select[Any] = select(jobs)
        wanted = tuple(states)
        if wanted:
            query = query.where(jobs.c.state.in_(wanted))
        if source is not None:
            query = query.where(jobs.c.source == source)
        if study_instance_uid is not None:
            query = query.where(jobs.c.study_instance_uid == study_instance_uid)
        with reading(self.engine) as connection:
            if after is not None:
                last = self._get(connection, after)
                query = query.where(
                    or_(
                        jobs.c.received_at < last.received_at,
                        and_(jobs.c.received_at == last.received_at, jobs.c.id < last.id),
                    )
                )
            query = query.order_by(jobs.c.received_at.desc(), jobs.c.id.desc()).limit(limit)
            return [job_of(row) for row in connection.execute(query)]

    def worklist(self, *, limit: int = 100, since: datetime | None = None) -> list[Job]:
        """Jobs as they should be looked at.

        First those that a human ranked, in this order and in whatever state; then of the done ones
        the positive, then the negative, each the newest first. A human's rank is never lowered by
        the model's word: not even a refusal takes a job off the list.

        Args:
            limit: of the list.
            since: only jobs received from then on.
        """
        some = select(jobs)
        if since is not None:
            some = some.where(jobs.c.received_at >= since)
        newest = (jobs.c.received_at.desc(), jobs.c.id.desc())
        unranked = some.where(jobs.c.state == State.DONE, jobs.c.rank.is_(None)).order_by(*newest)
        positive_first = case((jobs.c.present.is_(True), 0), else_=1)
        # One after the other, because each of them is served by an index.
        parts = (
            some.where(jobs.c.rank.is_not(None)).order_by(jobs.c.rank, positive_first, *newest),
            unranked.where(jobs.c.present.is_(True)),
            unranked.where(jobs.c.present.is_(False)),
        )
        found: list[Job] = []
        with reading(self.engine) as connection:
            for part in parts:
                if len(found) < limit:
                    rows = connection.execute(part.limit(limit - len(found)))
                    found.extend(job_of(row) for row in rows)
        return found

    def counts(self) -> dict[State, int]:
        """Jobs by state; every state is listed."""
        with reading(self.engine) as connection:
            rows = connection.execute(select(jobs.c.state, func.count()).group_by(jobs.c.state))
            found = {State(state): count for state, count in rows}
        return {state: found.get(state, 0) for state in State}

    def queue_age(self) -> timedelta:
        """How long the longest waiting job has waited; zero when none waits."""
        waiting = select(jobs.c.received_at).order_by(jobs.c.rank, jobs.c.received_at, jobs.c.id)
        times: list[datetime] = []
        with reading(self.engine) as connection:
            for state in WAITING:
                of_state = waiting.where(jobs.c.state == state)
                times += connection.execute(of_state.where(jobs.c.rank.is_not(None))).scalars()
                unranked = of_state.where(jobs.c.rank.is_(None)).limit(1)
                times += connection.execute(unranked).scalars()
        now = self._clock()
        return max(now - min(times, default=now), timedelta(0))

    def known_instances(self, study_instance_uid: str, recipe: Recipe) -> set[str]:
        """SOP Instance UIDs of the images of a study that have a job of this recipe.

        Those that were given up are not among them: received again, they are tried anew.
        """
        query = select(jobs.c.sop_instance_uid).where(
            jobs.c.study_instance_uid == study_instance_uid,
            jobs.c.recipe_sha256 == recipe.sha256,
            jobs.c.state != State.FAILED,
        )
        with reading(self.engine) as connection:
            return set(connection.execute(query).scalars()) - {""}

    def keeps_input(self, sha256: str) -> bool:
        """Whether a job keeps the image of this hash."""
        query = select(jobs.c.id).where(jobs.c.input_sha256 == sha256, jobs.c.input_kept).limit(1)
        with reading(self.engine) as connection:
            return connection.execute(query).first() is not None

    def _get(self, connection: Connection, job_id: str) -> Job:
        row = connection.execute(select(jobs).where(jobs.c.id == job_id)).first()
        if row is None:
            raise UnknownJobError("There is no job of this id.")
        return job_of(row)
