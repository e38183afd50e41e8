"""What numbers mean, in sentences that a reader takes in at a glance."""

from collections.abc import Mapping, Sequence

from pleura.inference import OperatingPoint
from pleura.inference.manifest import Estimate
from pleura.outputs import PredictionRecord
from pleura.outputs.decimals import decimals_for
from pleura.outputs.record import RegionRecord

DISCLAIMER = "Research software, not for diagnosis."

Interval = tuple[float, float] | None


def finding(record: PredictionRecord) -> str:
    """The label: what the page says of a film in two or three words."""
    return "Pneumothorax" if record.present else "No pneumothorax found"


def probability(record: PredictionRecord) -> str:
    """The probability and the threshold that it was held against, so that they agree."""
    threshold = record.operating_point.threshold
    decimals = decimals_for(record.probability, threshold, least=2)
    sign = "≥" if record.present else "<"
    return f"{record.probability:.{decimals}f} {sign} {threshold:.{decimals}f}"


def point_in_words(point: OperatingPoint) -> str:
    """What an operating point means for a hundred films with, and a hundred without."""
    found = _of_100(point.sensitivity, point.sensitivity_interval)
    false = _of_100(1 - point.specificity, _mirrored(point.specificity_interval))
    return (
        f"Of 100 films with a pneumothorax, {found} are found; "
        f"of 100 films without, {false} are flagged wrongly."
    )


def tested_in_words(point: OperatingPoint, performance: Mapping[str, Estimate]) -> str:
    """What the point reached on films that took no part in choosing it; empty if not measured."""
    found = performance.get(f"test_{point.name}_sensitivity")
    cleared = performance.get(f"test_{point.name}_specificity")
    if found is None or cleared is None:
        return ""
    hit = _of_100(found.value, (found.low, found.high))
    false = _of_100(1 - cleared.value, (1 - cleared.high, 1 - cleared.low))
    n = found.n + cleared.n
    return f"In a test on {n} other films it found {hit} of 100, and flagged {false} wrongly."


def cohort_in_words(point: OperatingPoint) -> str:
    """Where these numbers come from."""
    if not point.cohort:
        return "The model does not say on which films this was measured."
    has_interval = point.sensitivity_interval is not None
    interval = " In brackets: 95 % interval." if has_interval else ""
    return f"Measured on {point.cohort}.{interval} Other films may fare worse."


def threshold_in_words(threshold: float, points: Sequence[OperatingPoint]) -> str:
    """What is known of a threshold that is none of the model's: it lies between two that are.

    Sensitivity falls and specificity rises with the threshold, so on the cohort of the points its
    figures lie between theirs.

    Args:
        threshold: in [0, 1].
        points: of the model, measured on one cohort.
    """
    below = max((p for p in points if p.threshold <= threshold), key=_threshold, default=None)
    above = min((p for p in points if p.threshold > threshold), key=_threshold, default=None)
    most = 100 if below is None else round(100 * below.sensitivity)
    least = 0 if above is None else round(100 * above.sensitivity)
    fewest = 0 if above is None else round(100 * (1 - above.specificity))
    highest = 100 if below is None else round(100 * (1 - below.specificity))
    return (
        f"At {threshold:.3f} nothing was measured. Between its neighbours, of 100 films with a "
        f"pneumothorax {least} to {most} are found, of 100 without {fewest} to {highest} are "
        "flagged wrongly."
    )


def region_in_words(region: RegionRecord) -> str:
    """Where a region lies and how large it is."""
    if region.patient_side is not None:
        where = f"patient's {region.patient_side}"
    else:
        where = f"{region.image_side} half of the image (the file does not say which side it is)"
    return f"{where}: {area_in_words(region.area_px, region.area_mm2)}, score {region.score:.2f}"


def area_in_words(area_px: int, area_mm2: float | None) -> str:
    """An area in cm² where the file states its spacing, else in pixels."""
    if area_mm2 is None:
        return f"{area_px} px (no pixel spacing in the file)"
    return f"{area_mm2 / 100:.1f} cm²"


def doubt_in_words(record: PredictionRecord) -> str:
    """How far the model's two views agree; empty for a model with one."""
    if record.uncertainty is None:
        return ""
    return (
        f"The film and its mirror image differ by {2 * record.uncertainty:.2f} in probability."
        " This is not a confidence interval."
    )


def timings_in_words(record: PredictionRecord) -> str:
    """How long each stage took."""
    stages = [f"{name} {value:.0f}" for name, value in record.timings_ms.items() if name != "total"]
    return f"{record.timings_ms.get('total', 0.0):.0f} ms ({', '.join(stages)})"


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 film`, `2 films`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def _of_100(share: float, interval: Interval) -> str:
    bounds = ""
    if interval is not None:
        bounds = f" ({round(100 * interval[0])} to {round(100 * interval[1])})"
    return f"{round(100 * share)}{bounds}"


def _mirrored(interval: Interval) -> Interval:
    return None if interval is None else (1 - interval[1], 1 - interval[0])


def _threshold(point: OperatingPoint) -> float:
    return point.threshold
