"""Is it better to act on the model than to treat everybody, or nobody?"""

import numpy as np

from pleura.evaluation.cohort import Cohort
from pleura.evaluation.report import DecisionCurve, DecisionPoint
from pleura.metrics import bootstrap_means, net_benefit_of_all, net_benefit_of_cases

THRESHOLDS = tuple(round(0.01 * step, 2) for step in range(1, 100))


def decision_curve(cohort: Cohort) -> DecisionCurve | None:
    """Net benefit over thresholds at the cohort's prevalence (Vickers and Elkin, 2006).

    The threshold is the calibrated probability from which on one would act: its odds say how many
    false alarms a found case is worth.

    Args:
        cohort: the predicted cases.

    Returns:
        None where a class is missing.
    """
    prevalence = float(cohort.label.mean())
    if not 0.0 < prevalence < 1.0:
        return None
    thresholds = np.array(THRESHOLDS)
    estimates = bootstrap_means(
        net_benefit_of_cases(cohort.probability, cohort.label, thresholds),
        groups=cohort.group,
        n_resamples=cohort.n_resamples,
        seed=cohort.seed,
    )
    of_all = net_benefit_of_all(prevalence, thresholds)
    return DecisionCurve(
        prevalence=prevalence,
        points=tuple(
            DecisionPoint(threshold=threshold, net_benefit=estimate, treat_all=float(treat_all))
            for threshold, estimate, treat_all in zip(THRESHOLDS, estimates, of_all, strict=True)
        ),
    )
