"""Figures of a model as Vega-Lite charts, which the page draws in light and dark."""

from collections.abc import Iterable, Sequence
from typing import Any

from pleura.inference import Manifest, OperatingPoint
from pleura.inference.manifest import Estimate
from pleura.inference.postprocess import calibrated_probability

Spec = dict[str, Any]
CURVE_STEPS = 61
# Told apart by readers with any colour vision, on light and on dark.
BLUE, ORANGE, GREY = "#3d8bd3", "#e07b1a", "#8a8a8a"


def points_chart(manifest: Manifest) -> Spec:
    """Sensitivity against the share of false alarms, with intervals, for each operating point.

    Two cohorts where the manifest has them: the films that the thresholds were chosen on, and a
    test on others.
    """
    rows = [
        row
        for point in manifest.operating_points
        for row in (_claimed(point), _tested(point, manifest.performance))
        if row is not None
    ]
    share = {"type": "quantitative", "scale": {"zero": False, "padding": 12}}
    shared: Spec = {
        "x": {"field": "false", "title": "false alarms (1 - specificity)", **share},
        "y": {"field": "found", "title": "sensitivity", **share},
        "color": {
            "field": "cohort",
            "title": "measured on",
            "scale": {"range": [ORANGE, BLUE]},
            "legend": {"orient": "bottom"},
        },
    }
    across = {"y": shared["y"], "color": shared["color"], "x2": {"field": "false_high"}}
    along = {"x": shared["x"], "color": shared["color"], "y2": {"field": "found_high"}}
    return {
        "data": {"values": rows},
        "height": 320,
        "layer": [
            {
                "mark": "rule",
                "encoding": {**across, "x": {**shared["x"], "field": "false_low"}},
            },
            {
                "mark": "rule",
                "encoding": {**along, "y": {**shared["y"], "field": "found_low"}},
            },
            {"mark": {"type": "point", "filled": True, "size": 70}, "encoding": shared},
            {
                "mark": {"type": "text", "align": "left", "dx": 8, "dy": 12},
                "encoding": {**shared, "text": {"field": "name"}},
            },
        ],
    }


def calibration_chart(manifest: Manifest) -> Spec:
    """From the classifier's logit to the probability, and where the operating points cut."""
    knots = manifest.calibration.knots
    low, high = (knots[0][0], knots[-1][0]) if knots else (-6.0, 6.0)
    steps = [low + (high - low) * step / (CURVE_STEPS - 1) for step in range(CURVE_STEPS)]
    curve = [
        {"logit": logit, "probability": calibrated_probability(logit, manifest.calibration)}
        for logit in steps
    ]
    cuts = [
        {"name": point.name, "probability": point.threshold} for point in manifest.operating_points
    ]
    probability = {
        "field": "probability",
        "type": "quantitative",
        "title": "probability",
        "scale": {"domain": [0, 1]},
    }
    return {
        "height": 320,
        "layer": [
            {
                "data": {"values": curve},
                "mark": "line",
                "encoding": {
                    "x": {"field": "logit", "type": "quantitative", "title": "logit"},
                    "y": probability,
                },
            },
            {
                "data": {"values": cuts},
                "mark": {"type": "rule", "strokeDash": [4, 3], "color": GREY},
                "encoding": {"y": probability},
            },
            {
                "data": {"values": cuts},
                "mark": {"type": "text", "align": "left", "dy": -6, "x": 4, "color": GREY},
                "encoding": {"y": probability, "text": {"field": "name"}},
            },
        ],
    }


def probabilities_chart(
    probabilities: Sequence[float], labels: Sequence[bool], threshold: float
) -> Spec:
    """How probabilities of films with and without the finding are spread, and a threshold."""
    names = {True: "with a pneumothorax", False: "without"}
    values = [
        {"probability": float(probability), "films": names[bool(label)]}
        for probability, label in zip(probabilities, labels, strict=True)
    ]
    axis = {"type": "quantitative", "scale": {"domain": [0, 1]}, "title": "probability"}
    return {
        "height": 220,
        "layer": [
            {
                "data": {"values": values},
                "mark": {"type": "bar", "opacity": 0.7},
                "encoding": {
                    "x": {"field": "probability", "bin": {"step": 0.05}, **axis},
                    "y": {"aggregate": "count", "stack": None, "title": "films"},
                    "color": {
                        "field": "films",
                        "title": None,
                        "scale": {"range": [ORANGE, BLUE]},
                        "legend": {"orient": "bottom"},
                    },
                },
            },
            {
                "data": {"values": [{"threshold": threshold}]},
                "mark": {"type": "rule", "strokeWidth": 3, "color": GREY},
                "encoding": {"x": {"field": "threshold", **axis}},
            },
        ],
    }


def estimates_table(figures: Iterable[tuple[str, Estimate | None]]) -> list[dict[str, str]]:
    """Rows of a table: figure, value, 95 % interval, number of cases."""
    return [
        {
            "figure": name,
            "value": f"{estimate.value:.3f}",
            "95 % interval": f"{estimate.low:.3f} to {estimate.high:.3f}",
            "n": str(estimate.n),
        }
        for name, estimate in figures
        if estimate is not None
    ]


def _claimed(point: OperatingPoint) -> dict[str, Any]:
    found = point.sensitivity_interval or (point.sensitivity, point.sensitivity)
    cleared = point.specificity_interval or (point.specificity, point.specificity)
    return _row(
        point, "the films it was chosen on", point.sensitivity, found, point.specificity, cleared
    )


def _tested(point: OperatingPoint, performance: dict[str, Estimate]) -> dict[str, Any] | None:
    found = performance.get(f"test_{point.name}_sensitivity")
    cleared = performance.get(f"test_{point.name}_specificity")
    if found is None or cleared is None:
        return None
    return _row(
        point,
        "a test on other films",
        found.value,
        (found.low, found.high),
        cleared.value,
        (cleared.low, cleared.high),
    )


def _row(
    point: OperatingPoint,
    cohort: str,
    sensitivity: float,
    found: tuple[float, float],
    specificity: float,
    cleared: tuple[float, float],
) -> dict[str, Any]:
    return {
        "name": point.name,
        "cohort": cohort,
        "found": sensitivity,
        "found_low": found[0],
        "found_high": found[1],
        "false": 1 - specificity,
        "false_low": 1 - cleared[1],
        "false_high": 1 - cleared[0],
    }
