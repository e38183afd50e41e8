"""Does the model find the air, or the chest tube that somebody has put in to treat it?"""

import numpy as np

from pleura.evaluation.cohort import Cohort, optional
from pleura.evaluation.report import TubeQuestion
from pleura.evaluation.subgroups import TUBE_NONE, TUBE_VISIBLE, UNKNOWN, tube_text
from pleura.metrics import delong_interval, roc_auc

MIN_CASES = 20


def tube_question(cohort: Cohort) -> TubeQuestion | None:
    """AUC of positives without a chest tube against negatives with one.

    A model that has learned the tube ranks these the wrong way round: its AUC is below 0.5.

    Args:
        cohort: the predicted cases.

    Returns:
        None when the table has no column `chest_tube`. With fewer than `MIN_CASES` on a side the
        question is not answered in words; the AUC is given all the same when neither side is empty.
    """
    if "chest_tube" not in cohort.table:
        return None
    tube = tube_text(cohort.table["chest_tube"]).to_numpy()
    untreated = cohort.label & (tube == TUBE_NONE)
    treated = ~cohort.label & (tube == TUBE_VISIBLE)
    part = None
    if untreated.any() and treated.any():
        part = cohort.part(untreated | treated)
    value = None if part is None else roc_auc(part.probability, part.label)
    sides = int(np.count_nonzero(untreated)), int(np.count_nonzero(treated))
    unknown = int(np.count_nonzero(tube == UNKNOWN))
    return TubeQuestion(
        positives_without_tube=sides[0],
        negatives_with_tube=sides[1],
        tube_unknown=unknown,
        auc_value=value,
        auc=None if part is None else optional(delong_interval, part.probability, part.label),
        auc_clustered=None if part is None else part.auc(),
        reliable=min(sides) >= MIN_CASES,
        text=_text(*sides, unknown, cohort.n, value),
    )


def _text(positives: int, negatives: int, unknown: int, n: int, value: float | None) -> str:
    if unknown == n:
        return (
            f"Whether a chest tube is visible is not known for any of the {n} cases: whether the "
            "model finds the air or the tube cannot be answered on this split."
        )
    sides = (
        f"{positives} {'positive' if positives == 1 else 'positives'} without a tube",
        f"{negatives} {'negative' if negatives == 1 else 'negatives'} with a tube",
    )
    if min(positives, negatives) >= MIN_CASES:
        return f"{sides[0]} against {sides[1]}: the AUC is {value:.3f}."
    few = [side for side, n in zip(sides, (positives, negatives), strict=True) if n < MIN_CASES]
    text = (
        f"Only {' and only '.join(few)}: whether the model finds the air or the tube cannot be "
        f"answered on this split (at least {MIN_CASES} on either side are needed)."
    )
    return text if value is None else f"{text} The AUC of {value:.3f} is not reliable."
