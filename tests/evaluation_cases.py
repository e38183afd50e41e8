"""A made table of cases, as `predict_cases` gives it, and points to measure it at."""

import numpy as np
import pandas as pd

from pleura.inference.manifest import OperatingPoint

POINTS = (
    OperatingPoint(name="balanced", threshold=0.5, sensitivity=0.8, specificity=0.9),
    OperatingPoint(
        name="sensitive", threshold=0.2, sensitivity=0.95, specificity=0.6, cohort="made folds"
    ),
)


def made_cases(n: int = 120, seed: int = 0) -> pd.DataFrame:
    """Cases of a model that is fairly good, two images a patient, a quarter positive."""
    generator = np.random.default_rng(seed)
    label = np.arange(n) % 4 == 0
    logit = generator.normal(np.where(label, 1.0, -1.5), 1.0)
    dice = np.where(label, generator.uniform(0.0, 0.9, n), np.nan)
    return pd.DataFrame(
        {
            "image_id": [f"image-{i:04d}" for i in range(n)],
            "group": [f"patient-{i // 2}" for i in range(n)],
            "status": "ok",
            "error_code": "",
            "error_message": "",
            "label": label.astype(int),
            "logit": logit,
            "probability": 1 / (1 + np.exp(-logit)),
            "dice": dice,
            "iou": dice / (2 - dice),
            "true_area_fraction": np.where(label, generator.uniform(0.001, 0.1, n), 0.0),
            "predicted_area_fraction": np.where(generator.random(n) < 0.1, 0.0, 0.02),
            "view": np.where(np.arange(n) % 3 == 0, "AP", "PA"),
            "sex": np.where(np.arange(n) % 7 == 0, "", "F"),
            "age_years": np.where(np.arange(n) % 5 == 0, np.nan, generator.integers(5, 95, n)),
            "chest_tube": pd.array(np.where(label, np.arange(n) % 8 == 0, 0), dtype="Int8"),
            "label_source": "made",
            "pixels_from": np.where(np.arange(n) % 2 == 0, "dicom", "png"),
            "uncertainty": generator.uniform(0.0, 0.3, n),
            "ms_decode": generator.uniform(1, 2, n),
            "ms_total": generator.uniform(10, 20, n),
        }
    )


def refuse(cases: pd.DataFrame, places: list[int]) -> pd.DataFrame:
    """The same table with some images refused."""
    cases = cases.copy()
    cases.loc[places, ["probability", "logit", "dice", "iou", "predicted_area_fraction"]] = np.nan
    cases.loc[places, "status"] = "refused"
    cases.loc[places, "error_code"] = "truncated"
    cases.loc[places, "error_message"] = "Too short."
    return cases
