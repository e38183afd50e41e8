"""Plots of an evaluation as PNG bytes, built directly, without pyplot's global state."""

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pleura.evaluation.cohort import Cohort
from pleura.evaluation.report import (
    DISCLAIMER,
    DecisionCurve,
    Figures,
    SelectiveFigures,
    Subgroup,
)
from pleura.inference.manifest import Estimate
from pleura.metrics import precision_recall_curve, roc_curve

# Told apart by readers with any colour vision (Okabe and Ito, 2008).
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"
_DPI = 110


def draw_all(cohort: Cohort, figures: Figures) -> dict[str, bytes]:
    """Every plot that the cohort allows, PNG bytes by file name without its ending.

    The curves need both classes; Dice against size needs a true mask.
    """
    plots: dict[str, bytes] = {}
    if 0 < figures.counts.positives < figures.counts.evaluated:
        plots["roc"] = draw_roc(cohort, figures)
        plots["precision_recall"] = draw_precision_recall(cohort, figures)
    plots["reliability"] = draw_reliability(figures)
    plots["probabilities"] = draw_probabilities(cohort, figures)
    if figures.counts.positives_with_mask and "true_area_fraction" in cohort.table:
        plots["dice_by_size"] = draw_dice_by_size(cohort)
    if figures.decision_curve is not None:
        plots["decision_curve"] = draw_decision_curve(figures.decision_curve, figures)
    if figures.selective is not None:
        plots["risk_coverage"] = draw_risk_coverage(figures.selective)
    if any(group.auc for group in figures.subgroups):
        plots["subgroups"] = draw_subgroups(figures)
    return plots


def draw_roc(cohort: Cohort, figures: Figures) -> bytes:
    """ROC curve with the operating points and their intervals."""
    curve = roc_curve(cohort.probability, cohort.label)
    figure, axes = _square("ROC curve", "1 - specificity", "sensitivity")
    axes.plot(curve.false_positive_rate, curve.true_positive_rate, color=BLUE, linewidth=1.6)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
    for point in figures.operating_points:
        if point.sensitivity is None or point.specificity is None:
            continue
        x, y = 1.0 - point.specificity.value, point.sensitivity.value
        across = [[x - (1 - point.specificity.high)], [(1 - point.specificity.low) - x]]
        axes.errorbar(
            x,
            y,
            xerr=np.maximum(across, 0.0),
            yerr=_whiskers([point.sensitivity]),
            color=ORANGE,
            marker="o",
            markersize=4,
            capsize=2,
            linewidth=0.8,
        )
        axes.annotate(point.claimed.name, (x, y), (6, -11), textcoords="offset points", fontsize=8)
    if figures.discrimination.auc is not None:
        text = f"AUC {_text(figures.discrimination.auc)}, DeLong"
        axes.text(0.97, 0.04, text, ha="right", fontsize=9)
    return _png(figure)


def draw_precision_recall(cohort: Cohort, figures: Figures) -> bytes:
    """Precision against recall, with the prevalence as the line of chance."""
    curve = precision_recall_curve(cohort.probability, cohort.label)
    figure, axes = _square("Precision and recall", "recall (sensitivity)", "precision")
    axes.step(curve.recall, curve.precision, where="pre", color=BLUE, linewidth=1.4)
    prevalence = figures.calibration.prevalence
    axes.axhline(prevalence, color=GREY, linewidth=0.8, linestyle=":")
    axes.text(0.02, prevalence + 0.01, f"prevalence {prevalence:.3f}", color=GREY, fontsize=8)
    for point in figures.operating_points:
        if point.sensitivity is None or point.precision is None:
            continue
        place = (point.sensitivity.value, point.precision.value)
        axes.plot(*place, color=ORANGE, marker="o", markersize=4)
        axes.annotate(
            point.claimed.name,
            place,
            (-6, -11),
            textcoords="offset points",
            ha="right",
            fontsize=8,
        )
    if figures.discrimination.average_precision is not None:
        text = f"AP {_text(figures.discrimination.average_precision)}"
        axes.text(0.02, 0.04, text, fontsize=9)
    return _png(figure)


def draw_reliability(figures: Figures) -> bytes:
    """Share of positives against the mean probability of each bin, with n in every bin."""
    figure, axes = _square("Reliability", "mean probability in the bin", "share of positives")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
    axes.set_ylim(-0.01, 1.06)
    bins = figures.calibration.bins
    axes.errorbar(
        [each.mean_probability for each in bins],
        [each.observed.value for each in bins],
        yerr=_whiskers([each.observed for each in bins]),
        color=BLUE,
        marker="o",
        markersize=4,
        capsize=2,
        linewidth=1.0,
    )
    for each in bins:
        place = (each.mean_probability, each.observed.high)
        axes.annotate(
            f"n={each.n}", place, (0, 3), textcoords="offset points", ha="center", fontsize=6
        )
    return _png(figure)


def draw_probabilities(cohort: Cohort, figures: Figures) -> bytes:
    """How the probabilities of either class lie, with the thresholds."""
    figure, axes = _axes("Probabilities", "calibrated probability", "share of the class", (6.4, 3))
    edges = np.linspace(0.0, 1.0, 31).tolist()
    for chosen, name, colour in (
        (cohort.label, "positive", ORANGE),
        (~cohort.label, "negative", BLUE),
    ):
        values = cohort.probability[chosen]
        if values.size:
            share = np.full(values.size, 1.0 / values.size)
            label = f"{name}, n={values.size}"
            axes.hist(values, edges, weights=share, color=colour, alpha=0.55, label=label)
    for point in figures.operating_points:
        axes.axvline(point.claimed.threshold, color=GREY, linewidth=0.8, linestyle="--")
        axes.text(
            point.claimed.threshold,
            0.98,
            f" {point.claimed.name}",
            rotation=90,
            va="top",
            fontsize=7,
            transform=axes.get_xaxis_transform(),
        )
    axes.legend(frameon=False, fontsize=8)
    return _png(figure)


def draw_dice_by_size(cohort: Cohort) -> bytes:
    """Dice of each positive, mask forced, against the size of its true mask."""
    figure, axes = _axes(
        "Dice by size of the true mask (segmenter alone)",
        "true mask, % of the image",
        "Dice",
        (6.4, 3.4),
    )
    chosen = cohort.has_mask
    area = 100.0 * cohort.table["true_area_fraction"].to_numpy(dtype=np.float64)[chosen]
    axes.scatter(area, cohort.dice[chosen], s=14, color=BLUE, alpha=0.7, linewidths=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylim(-0.02, 1.02)
    return _png(figure)


def draw_decision_curve(curve: DecisionCurve, figures: Figures) -> bytes:
    """Net benefit over thresholds, against treating all and treating nobody."""
    figure, axes = _axes("Decision curve", "threshold probability", "net benefit", (6.4, 3.4))
    thresholds = [point.threshold for point in curve.points]
    benefits = [point.net_benefit for point in curve.points]
    low, high = [each.low for each in benefits], [each.high for each in benefits]
    axes.fill_between(thresholds, low, high, color=BLUE, alpha=0.15, linewidth=0)
    axes.plot(thresholds, [each.value for each in benefits], color=BLUE, label="the model")
    axes.plot(
        thresholds,
        [point.treat_all for point in curve.points],
        color=ORANGE,
        linestyle="--",
        label="treat all",
    )
    axes.axhline(curve.treat_none, color=GREY, linestyle=":", label="treat none")
    for point in figures.operating_points:
        axes.axvline(point.claimed.threshold, color=GREY, linewidth=0.6, linestyle="--")
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(-0.25 * curve.prevalence, 1.05 * max(high))
    axes.legend(frameon=False, fontsize=8)
    return _png(figure)


def draw_risk_coverage(selective: SelectiveFigures) -> bytes:
    """Error rate among the cases kept, by either measure of doubt."""
    figure, axes = _axes(
        "Setting doubtful cases aside", "share of cases kept", "error rate among them", (6.4, 3.4)
    )
    orders = [("margin to the threshold", selective.by_margin, BLUE)]
    if selective.by_spread is not None:
        orders.append(("spread over the views", selective.by_spread, ORANGE))
    for name, order, colour in orders:
        shown = [
            (point.coverage, point.error_rate)
            for point in order.points
            if point.error_rate is not None
        ]
        shares, rates = [share for share, _ in shown], [rate for _, rate in shown]
        low, high = [rate.low for rate in rates], [rate.high for rate in rates]
        axes.fill_between(shares, low, high, color=colour, alpha=0.12, linewidth=0)
        area = "" if order.area is None else f", AURC {_text(order.area)}"
        axes.plot(
            shares,
            [rate.value for rate in rates],
            color=colour,
            marker="o",
            markersize=3,
            linewidth=1.2,
            label=f"{name}{area}",
        )
    if selective.error_rate is not None:
        rate = selective.error_rate.value
        axes.axhline(rate, color=GREY, linewidth=0.8, linestyle=":", label=f"by chance {rate:.3f}")
    axes.set_xlim(0.0, 1.02)
    axes.set_ylim(bottom=0.0)
    axes.legend(frameon=False, fontsize=7)
    return _png(figure)


def draw_subgroups(figures: Figures) -> bytes:
    """AUC of each subgroup with its interval, and the cohort's as a line."""
    rows: list[tuple[Subgroup, Estimate]] = [
        (group, group.auc) for group in figures.subgroups if group.auc is not None
    ]
    height = 0.9 + 0.27 * len(rows)
    figure, axes = _axes("AUC by subgroup", "AUC", "", (7.2, height))
    places = np.arange(len(rows))[::-1]
    for place, (_, auc) in zip(places, rows, strict=True):
        axes.plot([auc.low, auc.high], [place, place], color=BLUE, linewidth=1.2)
        axes.plot(auc.value, place, color=BLUE, marker="s", markersize=4)
    names = [f"{g.attribute}: {g.level} ({g.positives}/{g.n})" for g, _ in rows]
    axes.set_yticks(places, names, fontsize=8)
    if figures.discrimination.auc is not None:
        axes.axvline(figures.discrimination.auc.value, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_xlim(min(auc.low for _, auc in rows) - 0.03, 1.01)
    return _png(figure)


def _square(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure, axes = _axes(title, x, y, (4.6, 4.6))
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)
    return figure, axes


def _axes(title: str, x: str, y: str, size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _whiskers(estimates: list[Estimate]) -> np.ndarray:
    below = [each.value - each.low for each in estimates]
    above = [each.high - each.value for each in estimates]
    # Rounding may put a limit past the value by the last digit; matplotlib refuses that.
    return np.maximum([below, above], 0.0)


def _text(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"


def _png(figure: Figure) -> bytes:
    figure.supxlabel(DISCLAIMER, fontsize=6, color=GREY)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()
