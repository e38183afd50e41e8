"""Alarms that stand: each is told once when it comes, and once when it has gone."""

from collections.abc import Mapping
from datetime import datetime

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, Engine

from pleura.service.store.engine import reading, writing
from pleura.service.watch import events
from pleura.service.watch.alarms import Alarm, Code


class Change(BaseModel):
    """An alarm that has come or gone.

    Attributes:
        code: of the alarm.
        raised: it has come; else it has gone.
        at: when that was noticed.
        text: the alarm's own sentence, of the one that has gone, too.
        p: the alarm's own p-value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: Code
    raised: bool
    at: datetime
    text: str
    p: float | None = None


def standing(engine: Engine) -> list[Change]:
    """The alarms that have come and not gone, by code."""
    with reading(engine) as connection:
        return list(_standing(connection).values())


def settle(engine: Engine, verdicts: Mapping[Code, Alarm | None], now: datetime) -> list[Change]:
    """Write down which alarms have come or gone; what two processes see at once is written once.

    Args:
        engine: of the store.
        verdicts: by code, as `judge` gives them; a code that is missing stays as it is.
        now: the time.

    Returns:
        The changes, each of which should be told.
    """
    changes = []
    with writing(engine) as connection:
        events.lock(connection)
        before = _standing(connection)
        for code, alarm in verdicts.items():
            change = _change(code, alarm, before.get(code), now)
            if change is not None:
                events.write(connection, events.ALARM, now, change.model_dump_json())
                changes.append(change)
    return changes


def _change(code: Code, alarm: Alarm | None, before: Change | None, now: datetime) -> Change | None:
    if alarm is not None and before is None:
        return Change(code=code, raised=True, at=now, text=alarm.text, p=alarm.p)
    if alarm is None and before is not None:
        return Change(code=code, raised=False, at=now, text=before.text, p=before.p)
    return None


def _standing(connection: Connection) -> dict[Code, Change]:
    last: dict[Code, Change] = {}
    for text in events.read(connection, events.ALARM):
        change = Change.model_validate_json(text)
        last[change.code] = change
    return {code: change for code, change in sorted(last.items()) if change.raised}
