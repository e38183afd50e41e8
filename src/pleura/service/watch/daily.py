"""The watch's work of a day, done once by each process that keeps house, and when it starts."""

import json
import logging
import secrets
import socket
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select

from pleura.service.store.engine import reading, writing
from pleura.service.store.tables import jobs
from pleura.service.watch import events
from pleura.service.watch.alarms import WEEK_DAYS, Alarm, Code, judge
from pleura.service.watch.alerts import tell
from pleura.service.watch.days import days, keep_days, last_day_over
from pleura.service.watch.figures import Figures, summed
from pleura.service.watch.reference import current_reference, take_reference
from pleura.service.watch.selftest import Selftest, alarm_of, run_selftest
from pleura.service.watch.standing import Change, settle
from pleura.service.wiring import Service

PROCESS = secrets.token_hex(8)
"""Names this process among those that share the database, and its next start another one."""

_OLDEST = timedelta(days=92)
_REMEMBERED = timedelta(days=8)
_SELFTEST_COUNTS = timedelta(hours=25)

_log = logging.getLogger(__name__)


def daily(service: Service, now: datetime | None = None, process: str = PROCESS) -> list[Change]:
    """Do the watch's work, unless this process has done it today; cheap when it has.

    Call it every minute or so. The days that are over are summed up, the last one and its week are
    held against their bounds, the model makes its self-test, and what has changed is told.

    Args:
        service: opened.
        now: for tests.
        process: for tests.

    Returns:
        Alarms that have come or gone with this call.

    Raises:
        StoreUnavailableError: the database is away; the next call tries again.
    """
    now = datetime.now(UTC) if now is None else now
    if _done(service, now, process):
        return []
    verdicts: dict[Code, Alarm | None] = {}
    if service.settings.watch.enabled:
        verdicts |= watch_days(service, now)
    if service.settings.watch.selftest:
        verdicts[Code.SELFTEST] = _selftest(service, now)
    changes = settle(service.engine, verdicts, now)
    for change in changes:
        tell(change, service.recipe, service.settings.watch)
    _note_done(service, now, process)
    return changes


def watch_days(service: Service, now: datetime) -> dict[Code, Alarm | None]:
    """Keep the days that are over, take a reference when it is time, and judge the last day."""
    engine, recipe, settings = service.engine, service.recipe, service.settings.watch
    first = _first_day_with_jobs(service, now)
    keep_days(engine, first.date(), now)
    reference = current_reference(engine, recipe)
    if reference is None:
        reference = take_reference(engine, recipe, settings, now)
        if reference is not None:
            _log.info("reference taken: %d images", reference.figures.judged)
    last = last_day_over(now)
    since = last - timedelta(days=WEEK_DAYS - 1)
    found: list[Figures] = [one for day in days(engine, since, last) for one in day.figures]
    day, week = (summed(found, begin, last, recipe) for begin in (last, since))
    return judge(day, week, reference, settings)


def last_run(service: Service) -> datetime | None:
    """When the watch did its work last; None for not within eight days."""
    with reading(service.engine) as connection:
        found = [json.loads(text)["at"] for text in events.read(connection, events.RUN)]
    return datetime.fromisoformat(max(found)) if found else None


def _first_day_with_jobs(service: Service, now: datetime) -> datetime:
    with reading(service.engine) as connection:
        earliest = connection.execute(select(func.min(jobs.c.finished_at))).scalar_one()
    return now - _OLDEST if earliest is None else max(earliest, now - _OLDEST)


def _selftest(service: Service, now: datetime) -> Alarm | None:
    """The alarm of this machine's self-test, else that of another machine's of the last day."""
    settings = service.settings
    made = run_selftest(settings.model, settings.watch.selftest_seconds)
    _log.info("self-test: %d of %d agree%s", made.agreed, made.cases, made.error or "")
    host = socket.gethostname()
    detail = json.dumps({"host": host, "outcome": made.model_dump()})
    with writing(service.engine) as connection:
        events.write(connection, events.SELFTEST, now, detail)
        latest = {
            row["host"]: Selftest.model_validate(row["outcome"])
            for row in map(
                json.loads, events.read(connection, events.SELFTEST, now - _SELFTEST_COUNTS)
            )
        }
    alarms = (alarm_of(outcome) for outcome in latest.values())
    return next((alarm for alarm in alarms if alarm is not None), None)


def _done(service: Service, now: datetime, process: str) -> bool:
    day = last_day_over(now).isoformat()
    rows = map(json.loads, events.read_all(service.engine, events.RUN, now - _REMEMBERED))
    return any(row["process"] == process and row["day"] == day for row in rows)


def _note_done(service: Service, now: datetime, process: str) -> None:
    detail = {
        "process": process,
        "day": last_day_over(now).isoformat(),
        "at": now.astimezone(UTC).isoformat(),
    }
    with writing(service.engine) as connection:
        events.write(connection, events.RUN, now, json.dumps(detail))
        for kind in (events.RUN, events.SELFTEST):
            events.forget(connection, kind, now - _REMEMBERED)
