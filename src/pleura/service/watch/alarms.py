"""Which figures lie outside their bounds.

The last day and the last seven days are each held against the reference and the bounds of the
settings. An alarm needs both: a difference that chance does not explain, and one that is large
enough to matter. The level of every test is `false_alarms_per_year / 365 / TESTS`, so that on days
like those of the reference the expected number of false alarms stays below what is put up with
(Bonferroni; the tests are exact or conservative).
"""

from collections.abc import Callable, Iterable
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from pleura.service.settings.watch import WatchSettings
from pleura.service.watch.bins import SCORES, TIMES_MS, aligned
from pleura.service.watch.figures import Figures
from pleura.service.watch.reference import Reference
from pleura.service.watch.statistics import at_least, fisher, ks_distance, ks_p

WEEK_DAYS = 7
_SLOW_SHARE = 0.05


class Code(StrEnum):
    """What an alarm is about; stable, for programs."""

    POSITIVE_RATE = "positive_rate"
    REFUSAL_RATE = "refusal_rate"
    FAILURE_RATE = "failure_rate"
    SCORES = "scores"
    LATENCY = "latency"
    SILENCE = "silence"
    SELFTEST = "selftest"


class Alarm(BaseModel):
    """Something lies outside its bounds.

    Attributes:
        code: what.
        text: one sentence with the figures; no identifiers.
        p: the test's p-value; None where no test was needed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: Code
    text: str
    p: float | None = None


Rule = Callable[[Figures, Reference | None, WatchSettings, float], Alarm | None]


def level(settings: WatchSettings) -> float:
    """The level of each test, such that the false alarms of a year are as few as stated."""
    return settings.false_alarms_per_year / 365 / TESTS


def judge(
    day: Figures, week: Figures, reference: Reference | None, settings: WatchSettings
) -> dict[Code, Alarm | None]:
    """Hold the last day and the last week against the bounds.

    Args:
        day: figures of the last day that is over.
        week: figures of the seven days that end with it.
        reference: of the same recipe; None while there is none.
        settings: the bounds.

    Returns:
        What was judged: an alarm, or None where all is well. A code is missing where too few images
        say nothing.
    """
    verdicts: dict[Code, Alarm | None] = {Code.SILENCE: _silence(day, reference)}
    alpha = level(settings)
    for code, rule in _RULES.items():
        spans = [span for span in (day, week) if span.finished >= settings.min_images]
        if spans:
            verdicts[code] = _first(rule(span, reference, settings, alpha) for span in spans)
    return verdicts


def _first(found: Iterable[Alarm | None]) -> Alarm | None:
    return next((alarm for alarm in found if alarm is not None), None)


def _silence(day: Figures, reference: Reference | None) -> Alarm | None:
    if reference is None or reference.quiet_days > 0 or day.finished > 0:
        return None
    text = f"No image was finished on {day.last}; the reference has no such day."
    return Alarm(code=Code.SILENCE, text=text)


def _positive_rate(
    span: Figures, reference: Reference | None, settings: WatchSettings, alpha: float
) -> Alarm | None:
    if reference is None:
        return None
    usual = reference.figures
    return _changed_share(
        Code.POSITIVE_RATE,
        "of the judged images are positive",
        (span.positive, span.judged),
        (usual.positive, usual.judged),
        settings.positive_rate_change,
        alpha,
        span,
    )


def _refusal_rate(
    span: Figures, reference: Reference | None, settings: WatchSettings, alpha: float
) -> Alarm | None:
    if reference is None:
        return None
    usual = reference.figures
    return _changed_share(
        Code.REFUSAL_RATE,
        "of the images are refused",
        (span.refusals, span.answered),
        (usual.refusals, usual.answered),
        settings.refusal_rate_change,
        alpha,
        span,
    )


def _changed_share(
    code: Code,
    what: str,
    found: tuple[int, int],
    usual: tuple[int, int],
    change: float,
    alpha: float,
    span: Figures,
) -> Alarm | None:
    if found[1] == 0 or usual[1] == 0:
        return None
    share, usual_share = found[0] / found[1], usual[0] / usual[1]
    p = fisher(*found, *usual)
    if p >= alpha or abs(share - usual_share) < change:
        return None
    text = (
        f"{share:.1%} {what} ({found[0]} of {found[1]}, {_dates(span)});"
        f" {usual_share:.1%} in the reference."
    )
    return Alarm(code=code, text=text, p=p)


def _failure_rate(
    span: Figures, reference: Reference | None, settings: WatchSettings, alpha: float
) -> Alarm | None:
    p = at_least(span.failures, span.finished, settings.failure_share)
    if p >= alpha:
        return None
    text = (
        f"{span.failures / span.finished:.1%} of the jobs failed ({span.failures} of"
        f" {span.finished}, {_dates(span)}); the bound is {settings.failure_share:.1%}."
    )
    return Alarm(code=Code.FAILURE_RATE, text=text, p=p)


def _scores(
    span: Figures, reference: Reference | None, settings: WatchSettings, alpha: float
) -> Alarm | None:
    if reference is None or span.judged == 0 or reference.figures.judged == 0:
        return None
    usual = reference.figures
    distance = ks_distance(*aligned(span.scores, usual.scores))
    p = ks_p(distance, span.judged, usual.judged)
    if p >= alpha or distance < settings.score_distance:
        return None
    median, usual_median = SCORES.quantile(span.scores, 0.5), SCORES.quantile(usual.scores, 0.5)
    text = (
        f"The scores are distributed otherwise (distance {distance:.2f}, {_dates(span)}): median"
        f" {median:.3f}, {usual_median:.3f} in the reference."
    )
    return Alarm(code=Code.SCORES, text=text, p=p)


def _latency(
    span: Figures, reference: Reference | None, settings: WatchSettings, alpha: float
) -> Alarm | None:
    """Whether the 95th percentile lies above the bound: more than 5 in 100 do, beyond chance."""
    bound_ms = settings.latency_p95_seconds * 1000
    usual_ms = None if reference is None else reference.figures.wait_ms(0.95)
    if usual_ms is not None:
        bound_ms = min(bound_ms, settings.latency_factor * usual_ms)
    slow = TIMES_MS.above(span.waits, bound_ms)
    if span.answered == 0:
        return None
    p = at_least(slow, span.answered, _SLOW_SHARE)
    if p >= alpha:
        return None
    text = (
        f"{slow} of {span.answered} images took longer than {bound_ms / 1000:.1f} s"
        f" ({_dates(span)}); 5 in 100 may."
    )
    return Alarm(code=Code.LATENCY, text=text, p=p)


def _dates(span: Figures) -> str:
    return f"{span.last}" if span.first == span.last else f"{span.first} to {span.last}"


_RULES: dict[Code, Rule] = {
    Code.POSITIVE_RATE: _positive_rate,
    Code.REFUSAL_RATE: _refusal_rate,
    Code.FAILURE_RATE: _failure_rate,
    Code.SCORES: _scores,
    Code.LATENCY: _latency,
}
TESTS = 2 * len(_RULES)
"""Tests of a day: each rule on the day and on the week."""
