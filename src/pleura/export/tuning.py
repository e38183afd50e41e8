"""What is chosen on held-out images: calibration, operating points, mask rule, mirror image."""

from pathlib import Path

from pleura.evaluation.calibration import choose_calibration
from pleura.evaluation.mask_rule import choose_mask_rule
from pleura.evaluation.operating_points import choose_operating_points
from pleura.export.familiarity import write_familiarity
from pleura.export.held_out import Judged
from pleura.export.mirror import mirror_from
from pleura.inference.manifest import Estimate, Manifest
from pleura.inference.postprocess import calibrated_probability
from pleura.metrics import ROC_AUC, bootstrap_interval, delong_interval


def tune(bare: Manifest, judged: Judged, folder: Path, cohort: str, prevalence: float) -> Manifest:
    """A manifest with all that is chosen on held-out images, written to its folder.

    Args:
        bare: as the images were judged with.
        judged: what the networks of the folder said of them.
        folder: of the model; the file of familiarity is written there as well.
        cohort: the images in words.
        prevalence: that the probability is calibrated for.
    """
    labels = judged.labels
    groups = [case.row["group"] for case in judged.masked]
    choice = choose_mask_rule(judged.mask_pairs(), groups=groups)
    calibration = choose_calibration(
        judged.logits, labels, judged.groups, prevalence, cohort=cohort
    )
    probabilities = [calibrated_probability(float(logit), calibration) for logit in judged.logits]
    points = choose_operating_points(probabilities, labels, groups=judged.groups, cohort=cohort)
    tuned = bare.model_copy(
        update={
            "mirror_from": (
                mirror_from(judged.views, calibration, points) if bare.flip_average else None
            ),
            "calibration": calibration,
            "operating_points": points,
            "default_operating_point": "balanced",
            "mask": choice.rule,
            "performance": {
                "held_out_auc": _held_out_auc(judged),
                "held_out_dice_positives": choice.dice,
            },
            "performance_cohort": cohort,
            "familiarity": write_familiarity(judged.embeddings, judged.groups, folder, cohort),
        }
    )
    tuned.write(folder)
    return tuned


def _held_out_auc(judged: Judged) -> Estimate:
    """The wider of DeLong's interval and, where patients repeat, that of a bootstrap over them."""
    independent = delong_interval(judged.logits, judged.labels)
    if len(set(judged.groups)) == len(judged.groups):
        return independent
    try:
        by_patient = bootstrap_interval(
            ROC_AUC, judged.logits, judged.labels == 1, groups=judged.groups
        )
    except ValueError:  # so few patients that most resamples hold one class only
        return independent
    return max(independent, by_patient, key=lambda estimate: estimate.high - estimate.low)
