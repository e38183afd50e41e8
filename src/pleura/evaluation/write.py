"""The files of an evaluation: figures, table, plots, and one page that opens offline."""

import base64
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import pandas as pd
from jinja2 import Environment, StrictUndefined

from pleura.evaluation.cohort import Cohort
from pleura.evaluation.plots import draw_all
from pleura.evaluation.report import Report
from pleura.inference.manifest import Estimate

REPORT_NAME = "report.json"
PAGE_NAME = "report.html"
TABLE_NAME = "predictions.csv"
_TEMPLATES = "templates"
_PAGE_TEMPLATE = "report.html.j2"


def write_report(
    report: Report,
    cases: pd.DataFrame,
    folder: Path,
    thumbnails: Mapping[str, bytes] | None = None,
) -> Path:
    """Write all files of an evaluation into a folder, and return the path of the page.

    Args:
        report: the figures.
        cases: the table that they come from.
        folder: is made when missing; files of an earlier evaluation are overwritten.
        thumbnails: PNG bytes of the worst errors by image_id; None for a page without them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = report.model_dump_json(indent=2, by_alias=True)
    (folder / REPORT_NAME).write_text(text + "\n", encoding="utf-8")
    cases.to_csv(folder / TABLE_NAME, index=False, float_format="%.9g")
    plots = draw_all(Cohort.of(cases), report.figures)
    for name, picture in plots.items():
        (folder / f"{name}.png").write_bytes(picture)
    page = folder / PAGE_NAME
    page.write_text(render_page(report, plots, thumbnails), encoding="utf-8")
    return page


def render_page(
    report: Report, plots: Mapping[str, bytes], thumbnails: Mapping[str, bytes] | None = None
) -> str:
    """The report as one HTML page with its pictures inside; it loads nothing.

    Args:
        report: the figures.
        plots: PNG bytes by name.
        thumbnails: PNG bytes of the worst errors by image_id, if there are any.
    """
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["estimate"] = estimate_text
    environment.filters["number"] = number_text
    source = files("pleura.evaluation") / _TEMPLATES / _PAGE_TEMPLATE
    template = environment.from_string(source.read_text(encoding="utf-8"))
    return template.render(
        report=report,
        figures=report.figures,
        source=report.provenance,
        plots=_in_text(plots),
        thumbnails=_in_text(thumbnails or {}),
    )


def _in_text(pictures: Mapping[str, bytes]) -> dict[str, str]:
    return {name: base64.b64encode(data).decode("ascii") for name, data in pictures.items()}


def estimate_text(estimate: Estimate | None, digits: int = 3) -> str:
    """`0.912 (0.871 to 0.944), n=353`, or a dash where the figure is undefined."""
    if estimate is None:
        return "–"
    limits = f"{estimate.low:.{digits}f} to {estimate.high:.{digits}f}"
    return f"{estimate.value:.{digits}f} ({limits}), n={estimate.n}"


def number_text(value: float | None, digits: int = 3) -> str:
    """A number, or a dash where it is undefined."""
    return "–" if value is None else f"{value:.{digits}f}"
