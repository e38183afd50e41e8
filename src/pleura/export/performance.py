"""From an evaluation report into the manifest: what a model claims is what was measured."""

from pathlib import Path

from pydantic import ValidationError

from pleura.errors import ModelError
from pleura.evaluation.report import Report
from pleura.inference.manifest import MANIFEST_NAME, Estimate, Manifest, sha256_of


def record_performance(folder: Path, report_path: Path) -> Manifest:
    """Write the main figures of a `report.json` into a model's manifest, and return it.

    Only a report on this very model is taken: the SHA-256 of the manifest must be the measured one.

    Args:
        folder: of the model.
        report_path: `report.json` that `pleura evaluate` wrote.

    Raises:
        ModelError: the report is not readable, or it is on another model.
    """
    try:
        report = Report.model_validate_json(report_path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ModelError(f"{report_path} is not an evaluation report.") from error
    manifest = Manifest.read(folder)
    measured = report.provenance
    if measured.model_sha256 != sha256_of(folder / MANIFEST_NAME):
        raise ModelError(
            f"The report {report_path} is on {measured.model_name} {measured.model_version}"
            " or another state of it, not on this model.",
            "Evaluate this model folder, then record that report.",
        )
    counts, split = report.figures.counts, measured.split
    claims = {f"{split}_{name}": estimate for name, estimate in _claims(report).items()}
    said = manifest.performance_cohort.split("; ")
    kept = [part for part in said if part and not part.startswith(f"{split}_*: ")]
    cohort = (
        f"{split}_*: {counts.evaluated} images of the split '{split}' ({counts.positives} positive)"
    )
    updated = manifest.model_copy(
        update={
            "performance": {**manifest.performance, **claims},
            "performance_cohort": "; ".join([*kept, cohort]),
        }
    )
    updated.write(folder)
    return Manifest.read(folder)


def _claims(report: Report) -> dict[str, Estimate]:
    """The figures that a manifest states.

    Sensitivity and specificity are those of every operating point, under its name, and once more of
    the default one, by which the end-to-end figures go.
    """
    figures = report.figures
    (selected,) = [point for point in figures.operating_points if point.selected]
    named = {
        f"{point.claimed.name}_{name}": estimate
        for point in figures.operating_points
        for name, estimate in (
            ("sensitivity", point.sensitivity),
            ("specificity", point.specificity),
        )
    }
    named |= {
        "auc": figures.discrimination.auc,
        "average_precision": figures.discrimination.average_precision,
        "dice_positives": figures.segmentation.dice_positives,
        "iou_positives": figures.segmentation.iou_positives,
        "sensitivity": selected.sensitivity,
        "specificity": selected.specificity,
        "end_to_end_dice_positives": selected.dice_positives,
        "end_to_end_dice_kaggle": selected.dice_kaggle,
        "normals_with_mask": selected.normals_with_mask,
        "expected_calibration_error": figures.calibration.expected_calibration_error,
    }
    return {name: estimate for name, estimate in named.items() if estimate is not None}
