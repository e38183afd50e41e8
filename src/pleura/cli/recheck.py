"""`pleura recheck`: stored images judged by another model, before it is switched on."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pleura.cli.console import DISCLAIMER, prepare_stdout, say
from pleura.cli.results import stated_when_not_written
from pleura.cli.service_options import SettingsFile, settings_of

if TYPE_CHECKING:
    from rich.table import Table

    from pleura.service.recheck import Pair, Recheck

TOO_MANY_FLIPS = 1
NOTHING_COMPARED = 3
_DASH = "–"
_SHOWN_FLIPS = 10


def recheck(
    model: Annotated[str, typer.Option(help="Name or folder of the other model.")],
    limit: Annotated[int, typer.Option(min=1, help="Most images, the newest first.")] = 1000,
    days: Annotated[
        float | None, typer.Option(min=0, help="Only images received in so many last days.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder for recheck.json and scores.csv."),
    ] = None,
    max_flips: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Exit with 1 when more than this share would change."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The comparison as JSON.")] = False,
    settings: SettingsFile = None,
) -> None:
    """Say what another model would change, on the images that the service has kept.

    The store is only read. Exit status: 0 compared; 1 more decisions would change than
    --max-flips allows; 2 model, settings or store cannot be used; 3 there is nothing to compare.
    """
    from pleura.service.recheck import recheck as recheck_store

    since = None if days is None else datetime.now(UTC) - timedelta(days=days)
    made, pairs = recheck_store(settings_of(settings), model, limit=limit, since=since)
    if output is not None:
        with stated_when_not_written():
            _write(output, made, pairs)
    prepare_stdout(utf_8=json)
    if json:
        say(made.model_dump_json(indent=2, by_alias=True))
    else:
        _show(made, output)
    if made.n == 0:
        raise typer.Exit(NOTHING_COMPARED)
    over = max_flips is not None and made.flip_rate > max_flips
    raise typer.Exit(TOO_MANY_FLIPS if over else 0)


def _write(folder: Path, made: "Recheck", pairs: "list[Pair]") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = made.model_dump_json(indent=2, by_alias=True)
    (folder / "recheck.json").write_text(text + "\n", encoding="utf-8")
    with (folder / "scores.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("job", "stored", "new"))
        writer.writerows((pair.job, pair.stored, pair.new) for pair in pairs)


def _show(made: "Recheck", output: Path | None) -> None:
    from rich.console import Console

    for place, which in (("stored", made.stored_model), ("new   ", made.new_model)):
        say(f"{place}: {which.name} {which.version}")
    left_out = (
        ("no longer kept", made.missing),
        ("damaged", made.damaged),
        ("judged by another model or point", made.other_recipe),
        *((f"refused by the new one [{code}]", count) for code, count in made.refused.items()),
        *((f"failed with the new one [{code}]", count) for code, count in made.failed.items()),
    )
    said = ", ".join(f"{count} {what}" for what, count in left_out if count)
    say(f"{made.n} images compared; left out: {said or 'none'}")
    if made.n:
        Console().print(_decisions(made))
        _show_scores(made)
    for flip in made.flips[:_SHOWN_FLIPS]:
        say(f"would change: job {flip.job}, {flip.stored:.3f} to {flip.new:.3f}")
    if len(made.flips) > _SHOWN_FLIPS:
        say(f"... and {len(made.flips) - _SHOWN_FLIPS} more, see --json or -o")
    if output is not None:
        say(f"Written to {output}")
    say(DISCLAIMER)


def _decisions(made: "Recheck") -> "Table":
    from rich.table import Table

    table = Table(title="Decisions; the first point is the one in use", title_justify="left")
    table.add_column("operating point")
    for name in ("both +", "only stored +", "only new +", "both -", "change", "95 %", "McNemar p"):
        table.add_column(name, justify="right", no_wrap=True)
    for point in made.decisions:
        same = point.stored_point == point.new_point
        name = point.stored_point if same else f"{point.stored_point} / {point.new_point}"
        low, high = point.flip_interval
        table.add_row(
            name,
            *(f"{count}" for count in (point.both_positive, point.only_stored)),
            *(f"{count}" for count in (point.only_new, point.both_negative)),
            f"{point.flip_rate:.2%}",
            f"{low:.2%} to {high:.2%}",
            f"{point.p:.3g}",
        )
    return table


def _show_scores(made: "Recheck") -> None:
    def shown(value: float | None) -> str:
        return _DASH if value is None else f"{value:.3f}"

    if made.shift is not None:
        say(
            f"scores, new minus stored: mean {made.shift.mean:+.3f}, median"
            f" {made.shift.median:+.3f}, 90 % within {made.shift.p05:+.3f} to {made.shift.p95:+.3f}"
        )
    say(f"rank correlation {shown(made.rank_correlation)}")
    say(f"time of a prediction, new over stored: {shown(made.timing_ratio)}")
