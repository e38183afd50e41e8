"""A model folder with a site's own calibration and operating points; the networks stay as they are.

What is written claims nothing that was measured at the old operating points.
"""

import shutil
import tempfile
from pathlib import Path

from pleura.errors import ModelError, OutputError
from pleura.evaluation.site_calibration import SiteCalibration
from pleura.export.mirror import lowest_logit
from pleura.inference import Manifest, Predictor
from pleura.inference.manifest import MANIFEST_NAME, Estimate, sha256_of
from pleura.inference.selftest import measure

PARITY_NAME, CARD_NAME = "parity.json", "README.md"
PREFIX = "site_"
_DEFAULT_POINT = "balanced"
_KEPT_AREAS = ("_dice_positives", "_iou_positives")
_KEPT_RANKS = ("_auc", "_average_precision")
_END_TO_END = "end_to_end"


def check_target(base: Path, output: Path, version: str) -> None:
    """Refuse early what cannot be written in the end.

    Args:
        base: folder of the model that is calibrated.
        output: folder that is asked for.
        version: of the new model.

    Raises:
        ModelError: the model has this version already.
        OutputError: the folder holds a model.
    """
    manifest = Manifest.read(base)
    if manifest.version == version:
        raise ModelError(
            f"The model that is calibrated has the version '{version}', too.",
            "Give the new one another --version, so that results can be told apart.",
        )
    if (output / MANIFEST_NAME).exists():
        raise OutputError(
            f"The folder {output} holds a model already.", "Name a folder that does not exist yet."
        )


def write_recalibrated(
    base: Path, output: Path, version: str, site: SiteCalibration, fingerprint: str = ""
) -> Manifest:
    """Copy a model, with the site's calibration and points in a new manifest.

    Kept: networks, preprocessing, rule for masks, record of training, parity, and the measured
    figures that depend on neither calibration nor operating point (AUC and average precision,
    unless the new calibration ties cases, and the segmenter's Dice and IoU). Left out: every other
    measured figure and every old point. The self-test's cases are measured anew. The files appear
    in the folder together, the manifest last.

    Args:
        base: folder of the model.
        output: folder to write; made if needed.
        version: of the new model; its name stays.
        site: from `pleura.evaluation.site_calibration.calibrate_site`.
        fingerprint: of the site's index.

    Returns:
        The new manifest.

    Raises:
        ModelError: as `check_target`, or the model is damaged.
        OutputError: as `check_target`, or the folder cannot be written.
    """
    check_target(base, output, version)
    manifest = _manifest(base, version, site, fingerprint)
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".calibrate-", dir=output) as partial:
            work = Path(partial)
            _copy(base, work, manifest)
            manifest.write(work)
            predictor = Predictor(work)
            cases = tuple(
                measure(predictor, case.seed, case.pneumothorax) for case in manifest.selftest
            )
            manifest.model_copy(update={"selftest": cases}).write(work)
            files = sorted(work.iterdir(), key=lambda path: path.name == MANIFEST_NAME)
            for file in files:
                file.replace(output / file.name)
    except OSError as error:
        raise OutputError(f"The folder {output} cannot be written: {error.strerror}.") from error
    return Manifest.read(output)


def _manifest(base: Path, version: str, site: SiteCalibration, fingerprint: str) -> Manifest:
    old = Manifest.read(base)
    names = [point.name for point in site.operating_points]
    default = old.default_operating_point
    record = {
        "recalibrated_from": f"{old.name} {old.version}",
        "recalibrated_from_sha256": sha256_of(base / MANIFEST_NAME),
        "recalibrated_data_fingerprint": fingerprint,
    }
    kept = _still_true(old.performance, site)
    said = (
        f"{PREFIX}*: {site.cohort}; all but the AUC cross-validated by patient, Brier score and"
        f" calibration error at a prevalence of {site.prevalence:.3g}"
    )
    if kept:
        said += f"; others, of {old.name} {old.version}: {old.performance_cohort or 'not stated'}"
    return old.model_copy(
        update={
            "version": version,
            "mirror_from": _mirror_from(old, site),
            "calibration": site.calibration,
            "operating_points": site.operating_points,
            "default_operating_point": default if default in names else _DEFAULT_POINT,
            "training": {**old.training, **record},
            "performance": {**kept, **_measured(site)},
            "performance_cohort": said,
        }
    )


def _mirror_from(old: Manifest, site: SiteCalibration) -> float | None:
    """Where the mirror image is judged, as far below the site's lowest point as it was before."""
    if old.mirror_from is None:
        return None
    before = lowest_logit(old.calibration, old.operating_points)
    return old.mirror_from + lowest_logit(site.calibration, site.operating_points) - before


def _still_true(performance: dict[str, Estimate], site: SiteCalibration) -> dict[str, Estimate]:
    """The old figures that neither the calibration nor a threshold changes.

    An isotonic calibration ties the cases beyond its first and last knot, which changes ranks.
    """
    ties = site.calibration.method == "isotonic"
    endings = _KEPT_AREAS if ties else _KEPT_AREAS + _KEPT_RANKS
    return {
        name: estimate
        for name, estimate in performance.items()
        if name.endswith(endings) and _END_TO_END not in name and not name.startswith(PREFIX)
    }


def _measured(site: SiteCalibration) -> dict[str, Estimate]:
    figures: dict[str, Estimate | None] = {
        "auc": site.auc,
        "brier": site.after.brier,
        "expected_calibration_error": site.after.error,
    }
    for point in site.left_out:
        figures[f"{point.name}_sensitivity"] = point.sensitivity
        figures[f"{point.name}_specificity"] = point.specificity
    return {f"{PREFIX}{name}": value for name, value in figures.items() if value is not None}


def _copy(base: Path, work: Path, manifest: Manifest) -> None:
    """The networks, their parity, and the card under a line that says what no longer holds."""
    for name in manifest.files:
        shutil.copyfile(base / name, work / name)
    if (base / PARITY_NAME).is_file():
        shutil.copyfile(base / PARITY_NAME, work / PARITY_NAME)
    if (base / CARD_NAME).is_file():
        card = (base / CARD_NAME).read_text(encoding="utf-8")
        (work / CARD_NAME).write_text(
            f"This is version {manifest.version}, which `pleura calibrate` made from"
            f" {manifest.training['recalibrated_from']} with a calibration and operating points of"
            " its own. Where the card below, or a page that it names, gives sensitivity,"
            " specificity or calibration, it speaks of that model and not of this one.\n\n" + card,
            encoding="utf-8",
        )
