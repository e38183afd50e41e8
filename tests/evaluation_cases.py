"""A made table of cases, as `predict_cases` gives it, and evaluations of models on it."""

from pathlib import Path

import numpy as np
import pandas as pd

from pleura.evaluation import Evaluation, Provenance, Report, summarise
from pleura.evaluation.provenance import cases_fingerprint
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


def evaluation(
    cases: pd.DataFrame,
    points: tuple[OperatingPoint, ...] = POINTS,
    calibrated_for: float = 0.22,
    fingerprint: str = "f" * 64,
) -> Evaluation:
    """The cases as if a model named after its calibration had been evaluated on them."""
    source = Provenance(
        model_name="made",
        model_version=f"{calibrated_for}",
        model_sha256="0" * 64,
        data_layout="made",
        data_fingerprint=fingerprint,
        cases_fingerprint=cases_fingerprint(cases),
        split="test",
        created="2026-01-01T00:00:00+00:00",
        command="pleura",
        machine={},
        pleura_version="0",
    )
    figures = summarise(cases, points, "balanced", calibrated_for=calibrated_for, n_resamples=10)
    return Evaluation(
        Report(schema="pleura.evaluation/1", provenance=source, figures=figures), cases
    )


def other_model(cases: pd.DataFrame, seed: int = 5) -> pd.DataFrame:
    """Another model on the same images: noise on its logits and its Dice."""
    generator = np.random.default_rng(seed)
    logit = cases["logit"] + generator.normal(0.0, 1.0, len(cases))
    return cases.assign(
        logit=logit,
        probability=1 / (1 + np.exp(-logit)),
        dice=np.clip(cases["dice"] + generator.normal(0.05, 0.2, len(cases)), 0, 1),
    )


def write_evaluation(made: Evaluation, folder: Path) -> Path:
    """Report and table as `pleura evaluate` writes them, without page and plots."""
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(made.report.model_dump_json(by_alias=True))
    made.cases.to_csv(folder / "predictions.csv", index=False, float_format="%.9g")
    return folder
