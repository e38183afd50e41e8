"""`pleura watch`: the figures of the last days, what they are held against, and what stands."""

import json
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pleura.cli.console import DISCLAIMER, prepare_stdout, say
from pleura.cli.service_options import SettingsFile, opened

if TYPE_CHECKING:
    from pleura.service.watch import Change, Day, Figures, Reference
    from pleura.service.wiring import Service

ALARM_STANDS = 1
_DASH = "–"
_OVERDUE = timedelta(hours=26)
HEADER = (
    f"{'day (UTC)':<10} {'judged':>6} {'positive, 95 %':>16} {'median':>6} {'refused':>7}"
    f" {'failed':>6} {'warned':>6} {'p50/p95/p99 s':>15}"
)


def watch(
    settings: SettingsFile = None,
    days: Annotated[int, typer.Option(min=1, max=400, help="Days to show, today included.")] = 14,
    set_reference: Annotated[
        tuple[datetime, datetime] | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            metavar="FROM TO",
            help="Hold days from now on against these, both included, as YYYY-MM-DD.",
        ),
    ] = None,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="One JSON object a line: days, reference, alarms.")
    ] = False,
) -> None:
    """Show how the service did, day by day (UTC), and the alarms that stand.

    Exit status: 0 no alarm stands; 1 one does; 2 wrong usage, or the store cannot be opened.
    """
    from pleura.service.watch import current_reference, last_run, standing
    from pleura.service.watch import days as days_of

    service = opened(settings)
    try:
        now = datetime.now(UTC)
        if set_reference is not None:
            _set(service, set_reference, now)
        found = days_of(service.engine, now.date() - timedelta(days=days - 1), now.date())
        reference = current_reference(service.engine, service.recipe)
        alarms = standing(service.engine)
        ran = last_run(service)
    finally:
        service.close()
    prepare_stdout(utf_8=jsonl)
    if jsonl:
        _print_lines(found, reference, alarms)
    else:
        _print_table(found, reference, alarms, ran, now)
    raise typer.Exit(ALARM_STANDS if alarms else 0)


def _set(service: "Service", span: tuple[datetime, datetime], now: datetime) -> None:
    from pleura.service.watch import set_reference

    first, last = (moment.date() for moment in span)
    try:
        set_reference(service.engine, service.recipe, service.settings.watch, first, last, now)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--set-reference") from error


def _print_lines(found: "list[Day]", reference: "Reference | None", alarms: "list[Change]") -> None:
    for day in found:
        for figures in day.figures:
            say(json.dumps({"kind": "day", "day": f"{day.day}", **_reckoned(figures)}))
    if reference is not None:
        kept = reference.model_dump(exclude={"figures"})
        say(json.dumps({"kind": "reference", **kept, **_reckoned(reference.figures)}))
    for alarm in alarms:
        say(json.dumps({"kind": "alarm", **alarm.model_dump(mode="json")}))


def _reckoned(figures: "Figures") -> dict[str, Any]:
    """The figures as a program wants them: without bins, with what follows from them."""
    from pleura.service.watch.statistics import wilson

    plain = figures.model_dump(mode="json", exclude={"scores", "waits", "totals"})
    rate = figures.positive / figures.judged if figures.judged else None
    return plain | {
        "finished": figures.finished,
        "positive_rate": rate,
        "positive_rate_interval": wilson(figures.positive, figures.judged),
        "score_deciles": figures.deciles(),
        "latency_ms": {f"p{share}": figures.wait_ms(share / 100) for share in (50, 95, 99)},
        "total_ms": {f"p{share}": figures.total_ms(share / 100) for share in (50, 95, 99)},
    }


def _print_table(
    found: "list[Day]",
    reference: "Reference | None",
    alarms: "list[Change]",
    ran: datetime | None,
    now: datetime,
) -> None:
    say(HEADER)
    shown = ""
    for figures in (one for day in found for one in day.figures):
        model = f"{figures.model_name} {figures.model_version}"
        if model != shown:
            say(f"-- {model}")
            shown = model
        say(_line(f"{figures.last}", figures))
    if reference is None:
        say("No reference yet for the model in use: shares, scores and times are not held up.")
    else:
        say(_line("reference", reference.figures))
        taken = "taken by itself" if reference.automatic else "chosen"
        span = f"{reference.figures.first} to {reference.figures.last}"
        say(f"Reference: {span}, {taken}, {reference.days} days with images.")
    for name in ("refused", "failed", "warnings"):
        _print_codes(name, (getattr(one, name) for day in found for one in day.figures))
    if ran is None or now - ran > _OVERDUE:
        when = "within eight days" if ran is None else f"since {ran:%Y-%m-%d %H:%M} UTC"
        say(f"The watch has not run {when}: is the worker running?")
    for alarm in alarms:
        say(f"ALARM {alarm.code.value} since {alarm.at:%Y-%m-%d}: {alarm.text}")
    say(f"{len(alarms) or 'No'} alarm{'s' * (len(alarms) != 1)}. {DISCLAIMER}")


def _line(name: str, figures: "Figures") -> str:
    """One line under `HEADER`."""
    from pleura.service.watch.statistics import wilson

    positive = warned = median = _DASH
    if figures.judged:
        low, high = wilson(figures.positive, figures.judged)
        share = figures.positive / figures.judged
        positive = f"{share:.1%} ({low:.1%}-{high:.1%})".replace("%", "")
        warned = f"{figures.warned / figures.judged:.1%}".replace("%", "")
        median = f"{figures.deciles()[4]:.3f}"
    times = "/".join(_seconds(figures.wait_ms(share)) for share in (0.5, 0.95, 0.99))
    return (
        f"{name:<10} {figures.judged:>6} {positive:>16} {median:>6} {figures.refusals:>7}"
        f" {figures.failures:>6} {warned:>6} {times:>15}"
    )


def _print_codes(name: str, counted: Iterable[dict[str, int]]) -> None:
    total: Counter[str] = Counter()
    for counts in counted:
        total.update(counts)
    if total:
        say(f"{name}: " + ", ".join(f"{code} {count}" for code, count in sorted(total.items())))


def _seconds(milliseconds: float | None) -> str:
    return _DASH if milliseconds is None else f"{milliseconds / 1000:.3g}"
