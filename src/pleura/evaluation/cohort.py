"""The table of cases as arrays, checked once, and intervals that may be undefined."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from pleura.errors import DataError
from pleura.inference.manifest import Estimate
from pleura.metrics import (
    AVERAGE_PRECISION,
    MEAN,
    RATIO,
    RISK_COVERAGE_AREA,
    ROC_AUC,
    WeightedStatistic,
    bootstrap_interval,
    expected_calibration_error,
    prevalence_weighted_mean,
    prevalence_weights,
    proportion,
)

REQUIRED_COLUMNS = ("image_id", "group", "status", "label", "probability", "dice", "iou")


@dataclass(frozen=True, slots=True, eq=False)
class Cohort:
    """Cases with a label and a prediction, an entry each.

    Attributes:
        table: their rows.
        label: bool (n,).
        probability: float64 (n,) in [0, 1].
        dice, iou: float64 (n,) of the forced mask; NaN where no true mask counts.
        area: float64 (n,) share of the image that the forced mask covers.
        group: patient, (n,).
        n_resamples: of every bootstrap.
        seed: of every bootstrap.
    """

    table: pd.DataFrame
    label: NDArray[np.bool_]
    probability: NDArray[np.float64]
    dice: NDArray[np.float64]
    iou: NDArray[np.float64]
    area: NDArray[np.float64]
    group: NDArray[np.str_]
    n_resamples: int = 2000
    seed: int = 0

    @classmethod
    def of(cls, cases: pd.DataFrame, n_resamples: int = 2000, seed: int = 0) -> "Cohort":
        """The predicted rows of a table of cases.

        Raises:
            DataError: a column is missing, a label is not 0 or 1, or nothing was predicted.
        """
        missing = [name for name in REQUIRED_COLUMNS if name not in cases.columns]
        if missing:
            raise DataError(f"The table of cases lacks the columns {', '.join(missing)}.")
        if not cases["label"].isin([0, 1]).all():
            raise DataError("Every case must have the label 0 or 1.")
        table = cases[cases["status"] == "ok"].reset_index(drop=True)
        if table.empty:
            raise DataError("The model gave no prediction for any of the cases.")
        area = table.get("predicted_area_fraction")
        return cls(
            table=table,
            label=table["label"].to_numpy(dtype=np.int64) == 1,
            probability=table["probability"].to_numpy(dtype=np.float64),
            dice=table["dice"].to_numpy(dtype=np.float64, na_value=np.nan),
            iou=table["iou"].to_numpy(dtype=np.float64, na_value=np.nan),
            area=np.ones(len(table)) if area is None else area.to_numpy(dtype=np.float64),
            group=table["group"].to_numpy(dtype=np.str_),
            n_resamples=n_resamples,
            seed=seed,
        )

    def part(self, chosen: NDArray[np.bool_]) -> "Cohort":
        """The cohort of the chosen cases only."""
        return Cohort(
            table=self.table[chosen].reset_index(drop=True),
            label=self.label[chosen],
            probability=self.probability[chosen],
            dice=self.dice[chosen],
            iou=self.iou[chosen],
            area=self.area[chosen],
            group=self.group[chosen],
            n_resamples=self.n_resamples,
            seed=self.seed,
        )

    @property
    def n(self) -> int:
        """Number of cases."""
        return self.label.size

    @property
    def has_mask(self) -> NDArray[np.bool_]:
        """Positives whose true mask is known, (n,)."""
        return self.label & ~np.isnan(self.dice)

    def auc(self) -> Estimate | None:
        """Area under the ROC curve, interval by patients."""
        return self._bootstrap(ROC_AUC, self.probability, self.label)

    def average_precision(self) -> Estimate | None:
        """Average precision, interval by patients."""
        return self._bootstrap(AVERAGE_PRECISION, self.probability, self.label)

    def mean(
        self, values: NDArray[np.float64], among: NDArray[np.bool_] | None = None
    ) -> Estimate | None:
        """Mean of `values` (n,) over the cases `among`, interval by patients."""
        if among is None:
            among = np.ones(self.n, dtype=np.bool_)
        return self._bootstrap(MEAN, values[among], groups=self.group[among])

    def ratio(
        self, numerators: NDArray[np.float64], denominators: NDArray[np.float64]
    ) -> Estimate | None:
        """Sum over sum, interval by patients."""
        return self._bootstrap(RATIO, numerators, denominators)

    def mean_at(self, values: NDArray[np.float64], prevalence: float) -> Estimate | None:
        """Mean of `values` (n,) with the cases weighted to a prevalence, interval by patients."""
        statistic = WeightedStatistic(partial(prevalence_weighted_mean, prevalence=prevalence))
        return self._bootstrap(statistic, values, self.label)

    def calibration_error(self, prevalence: float | None = None) -> Estimate | None:
        """Expected calibration error, weighted to a prevalence if one is given.

        The interval is the basic one, by patients: resampling biases the error upwards.
        """

        def error(probability: NDArray[np.float64], label: NDArray[np.bool_]) -> float:
            weights = None if prevalence is None else prevalence_weights(label, prevalence)
            return expected_calibration_error(probability, label, weights=weights)

        return self._bootstrap(error, self.probability, self.label, basic_within=(0.0, 1.0))

    def risk_coverage_area(
        self, wrong: NDArray[np.bool_], doubt: NDArray[np.float64]
    ) -> Estimate | None:
        """Area under the risk-coverage curve of an order by doubt (n,), interval by patients."""
        return self._bootstrap(RISK_COVERAGE_AREA, wrong, doubt)

    def risk_coverage_difference(
        self,
        wrong: NDArray[np.bool_],
        first: NDArray[np.float64],
        second: NDArray[np.float64],
    ) -> Estimate | None:
        """Area by the first doubt minus area by the second, on the same draws of patients."""

        def difference(
            errors: NDArray[np.bool_],
            one: NDArray[np.float64],
            other: NDArray[np.float64],
            *,
            weights: NDArray[np.float64],
        ) -> NDArray[np.float64]:
            area = RISK_COVERAGE_AREA.function
            return area(errors, one, weights=weights) - area(errors, other, weights=weights)

        return self._bootstrap(WeightedStatistic(difference), wrong, first, second)

    def share(
        self, outcomes: NDArray[np.bool_], among: NDArray[np.bool_] | None = None
    ) -> Estimate | None:
        """Share of `outcomes` among cases, Wilson's interval widened for patients."""
        if among is None:
            among = np.ones(self.n, dtype=np.bool_)
        return optional(proportion, outcomes[among], self.group[among])

    def _bootstrap(
        self,
        statistic: WeightedStatistic | Callable[..., float],
        *arrays: NDArray[np.generic],
        groups: ArrayLike | None = None,
        basic_within: tuple[float, float] | None = None,
    ) -> Estimate | None:
        try:
            return bootstrap_interval(
                statistic,
                *arrays,
                groups=self.group if groups is None else groups,
                n_resamples=self.n_resamples,
                seed=self.seed,
                basic_within=basic_within,
            )
        except ValueError:
            return None


def optional(make: Callable[..., Estimate], *arguments: ArrayLike) -> Estimate | None:
    """The estimate, or None where it is undefined: no case, one class, too few of one."""
    try:
        return make(*arguments)
    except ValueError:
        return None
