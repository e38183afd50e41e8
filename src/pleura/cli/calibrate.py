"""`pleura calibrate`: fit calibration and operating points to a site's own labelled images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pleura.cli.console import DISCLAIMER, say
from pleura.cli.options import DrawSeed, Resamples, Root, Threads

if TYPE_CHECKING:
    from pleura.evaluation.site_calibration import SiteCalibration


def calibrate(
    data: Annotated[Path, typer.Option(help="Index that `pleura data index` wrote.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the new model.")],
    version: Annotated[str, typer.Option(help="Version of the new model.")],
    model: Annotated[
        str | None, typer.Option(help="Installed model or model folder; else the embedded one.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Split of the index; every labelled image without it.")
    ] = None,
    prevalence: Annotated[
        float | None,
        typer.Option(
            min=0.001, max=0.999, help="Share of positives to calibrate for; else the images' own."
        ),
    ] = None,
    root: Root = None,
    threads: Threads = None,
    resamples: Resamples = 2000,
    seed: DrawSeed = 0,
) -> None:
    """Fit a model's probability and thresholds to your own labelled images, as a new model.

    Exit status 0: written, images that cannot be judged counted by code; 2: it must not or cannot
    be fitted (too few patients, images of the training); 4: it cannot be written.
    """
    from rich.console import Console
    from rich.progress import Progress

    from pleura.data.index import read_index
    from pleura.evaluation.site_calibration import calibrate_site
    from pleura.export.recalibrated import check_target, write_recalibrated
    from pleura.inference import Predictor, find_model

    base = find_model(model)
    check_target(base, output, version)
    index = read_index(data, root)
    predictor = Predictor.load(base, threads=threads)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Judging", total=None)
        site = calibrate_site(
            predictor,
            index,
            split,
            prevalence=prevalence,
            n_resamples=resamples,
            seed=seed,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    manifest = write_recalibrated(base, output, version, site, index.fingerprint)
    say(f"{predictor.model.name} {predictor.model.version} on {site.cohort}")
    source = "the share of positives among these images" if prevalence is None else "as asked"
    say(f"calibrated for a prevalence of {site.prevalence:.3f}, {source}")
    for line in _lines(site):
        say(line)
    say(f"Wrote {manifest.name} {manifest.version} to {output}. {DISCLAIMER}")


def _lines(site: "SiteCalibration") -> list[str]:
    from pleura.evaluation.write import estimate_text

    lines = []
    if site.refused:
        codes = ", ".join(f"{code} {count}" for code, count in sorted(site.refused.items()))
        lines.append(f"left out, not judged: {site.refused.total()} ({codes})")
    lines += [f"note: {note}" for note in site.notes]
    scores = ", ".join(
        f"{score.method} {score.log_loss:.4f}" for score in site.calibration.compared
    )
    lines += [
        f"method: {site.calibration.method}"
        + (f" (log loss, cross-validated: {scores})" if scores else " (nothing to compare)"),
        f"AUC                          {estimate_text(site.auc)}",
        f"Brier score, before          {estimate_text(site.before.brier)}",
        f"Brier score, after           {estimate_text(site.after.brier)}",
        f"calibration error, before    {estimate_text(site.before.error)}",
        f"calibration error, after     {estimate_text(site.after.error)}",
        "at that prevalence; 'after' and 'left out': on patients left out of the fit, five folds",
    ]
    for point, outside in zip(site.operating_points, site.left_out, strict=True):
        lines += [
            f"'{point.name}' from {point.threshold:.4f} on: sensitivity {point.sensitivity:.3f},"
            f" specificity {point.specificity:.3f} on the images that it was chosen on",
            f"  sensitivity, left out      {estimate_text(outside.sensitivity)}",
            f"  specificity, left out      {estimate_text(outside.specificity)}",
        ]
    return lines
