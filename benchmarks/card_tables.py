"""The model card's tables, from the report of `pleura evaluate`.

    python benchmarks/card_tables.py evaluation/report.json --into docs/model-card.md

They stand between the markers of the document.
"""

import argparse
from pathlib import Path

from pleura.evaluation.report import PointFigures, Report
from pleura.inference.manifest import Estimate

RARE = 0.05
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"


def text(estimate: Estimate | None, digits: int = 3) -> str:
    """Value and interval."""
    if estimate is None:
        return "-"
    value, low, high = (f"{x:.{digits}f}" for x in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"


def main_figures(report: Report) -> list[str]:
    """What does not hang on an operating point."""
    figures = report.figures
    found, drawn, said = figures.discrimination, figures.segmentation, figures.calibration
    rows = {
        "AUC (DeLong)": found.auc,
        "AUC (bootstrap over patients)": found.auc_clustered,
        "AUC, refused counted as the lowest probability": found.auc_not_predicted_as_negative,
        f"average precision at a prevalence of {said.prevalence:.2f}": found.average_precision,
        "Dice, convention `positives`, mask made for every positive": drawn.dice_positives,
        "IoU, likewise": drawn.iou_positives,
        "Brier score": said.brier,
        "expected calibration error, 10 bins": said.expected_calibration_error,
    }
    lines = ["| figure | value | n |", "|---|---|---|"]
    for name, estimate in rows.items():
        if estimate is not None:
            lines.append(f"| {name} | {text(estimate)} | {estimate.n} |")
    return lines


def point_figures(report: Report) -> list[str]:
    """One column for each operating point."""
    points = report.figures.operating_points

    def rarely(point: PointFigures) -> str:
        found = [value for value in point.predictive_values if value.prevalence == RARE]
        return text(found[0].positive) if found else "-"

    names = [
        f"`{point.claimed.name}`" + (" (default)" if point.selected else "") for point in points
    ]
    rows = {
        "threshold": [f"{point.claimed.threshold:.3f}" for point in points],
        "sensitivity": [text(point.sensitivity) for point in points],
        "specificity": [text(point.specificity) for point in points],
        "precision": [text(point.precision) for point in points],
        "negative predictive value": [text(point.negative_predictive_value) for point in points],
        "F1": [text(point.f1) for point in points],
        "confusion: TP, FP, FN, TN": [
            f"{p.true_positives}, {p.false_positives}, {p.false_negatives}, {p.true_negatives}"
            for p in points
        ],
        "Dice `positives`, a miss counts 0": [text(point.dice_positives) for point in points],
        "Dice `kaggle`, empty on empty counts 1": [text(point.dice_kaggle) for point in points],
        "normals with a mask": [text(point.normals_with_mask) for point in points],
        f"positive predictive value at a prevalence of {RARE:.2f}": [rarely(p) for p in points],
        "held out in training: sensitivity": [
            claimed(p.claimed.sensitivity, p.claimed.sensitivity_interval) for p in points
        ],
        "held out in training: specificity": [
            claimed(p.claimed.specificity, p.claimed.specificity_interval) for p in points
        ],
    }
    lines = [f"| | {' | '.join(names)} |", f"|---|{'---|' * len(points)}"]
    return lines + [f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()]


def claimed(value: float, interval: tuple[float, float] | None) -> str:
    """A figure of the manifest."""
    return f"{value:.3f}" + ("" if interval is None else f" [{interval[0]:.3f}, {interval[1]:.3f}]")


def subgroup_figures(report: Report) -> list[str]:
    """One row for each subgroup."""
    lines = [
        "| subgroup | images | positives | AUC | sensitivity | specificity | Dice `positives` |",
        "|---|---|---|---|---|---|---|",
    ]
    for group in report.figures.subgroups:
        if group.n == report.figures.counts.evaluated:  # one level that holds them all
            continue
        estimates = (group.auc, group.sensitivity, group.specificity, group.dice_positives)
        cells = " | ".join(text(estimate, 2) for estimate in estimates)
        name = f"{group.attribute}: {group.level}"
        lines.append(f"| {name} | {group.n} | {group.positives} | {cells} |")
    return lines


def tables(report: Report) -> str:
    """All three, with a sentence before each."""
    counts = report.figures.counts
    (selected,) = (p for p in report.figures.operating_points if p.selected)
    refused = f"{counts.not_predicted} of {counts.rows} images were refused"
    return "\n".join(
        [
            f"{counts.evaluated} images, {counts.positives} positive; {refused}.",
            "",
            *main_figures(report),
            "",
            "End to end at the operating points, whose thresholds were chosen on held-out training"
            " images:",
            "",
            *point_figures(report),
            "",
            f"By subgroup, at `{selected.claimed.name}`:",
            "",
            *subgroup_figures(report),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("--into", type=Path)
    options = parser.parse_args()
    made = tables(Report.model_validate_json(options.report.read_bytes()))
    print(made)
    if options.into is not None:
        before, begin, rest = options.into.read_text(encoding="utf-8").partition(BEGIN)
        _, end, after = rest.partition(END)
        if not (begin and end):
            raise SystemExit(f"{options.into} has no place for the tables: {BEGIN} ... {END}")
        options.into.write_text(f"{before}{BEGIN}\n{made}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
