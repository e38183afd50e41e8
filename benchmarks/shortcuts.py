"""Can the label, or an image's compression history, be read off its rim or its finest structure?

    python benchmarks/shortcuts.py --real-data FOLDER [--cache FOLDER] [-o shortcuts.json]

Training images go through the very chain that the network sees: `pleura.data`'s pixel cache and
dataset, without and with augmentation, at 8 bits. Logistic regression and
gradient boosting, five folds by patient, try to tell two kinds of image apart from border or
frequency statistics alone. The figure is the AUC of the pooled out-of-fold scores with a 95 %
interval (bootstrap over patients). Three kinds of question:

    provenance  one label, different compression histories: 0.5 means that the history is hidden
    source      one label, different sources of it
    content     different labels, one history and one source: what the pictures really differ by
    label       different labels, histories and sources: what a network could use; `as drawn` has
                the share of negatives from one-sided sources that configs/joint-unet.yaml draws

A compression cue would lift `label` above `content`, and `provenance` above 0.5.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from image_statistics import border_statistics, frequency_statistics
from pleura.data.augment import Augmentation
from pleura.data.cache import open_cache
from pleura.data.dataset import Draw, Examples, RadiographDataset
from pleura.data.index import build_index
from pleura.inference.manifest import Preprocessing

BOUND = 0.6
SEED = 20190831
DRAWN_SHARE = 0.25  # data.one_sided_fraction of configs/joint-unet.yaml
BOOTSTRAPS = 400


@dataclass(frozen=True)
class Question:
    """Which images take part, and which of them are the ones to be told apart."""

    kind: str
    name: str
    chosen: NDArray[np.bool_]
    target: NDArray[np.bool_]


@dataclass(frozen=True)
class Answer:
    """The better of the two classifiers on one question."""

    images: str
    statistics: str
    kind: str
    question: str
    n: int
    n_target: int
    logistic: float
    boosting: float
    auc: float
    low: float
    high: float
    within_bound: bool


def questions(table: pd.DataFrame) -> Iterator[Question]:
    positive = (table["label"] == 1).to_numpy(bool)
    siim = (table["label_source"] == "siim-radiologist").to_numpy(bool)
    source = table["pixels_from"].to_numpy(object)
    recoded, dicom = source == "jpeg-q75", source == "dicom"
    pa, ap = (table["view"] == view for view in ("PA", "AP"))
    pa, ap = pa.to_numpy(bool), ap.to_numpy(bool)
    yield Question("provenance", "re-encoded or not, positives", positive, recoded)
    yield Question("provenance", "re-encoded or not, positives PA", positive & pa, recoded)
    yield Question("provenance", "re-encoded or not, positives AP", positive & ap, recoded)
    yield Question(
        "provenance", "PNG or DICOM, SIIM negatives", siim & ~positive & ~recoded, ~dicom
    )
    yield Question("source", "SIIM or NIH, negatives", ~positive, siim)
    yield Question("source", "SIIM or NIH, negatives from PNG", ~positive & (source == "png"), siim)
    yield Question("content", "label, SIIM from DICOM only", siim & dicom, positive)
    yield Question("content", "label, SIIM from DICOM only, PA", siim & dicom & pa, positive)
    yield Question("label", "label, SIIM", siim, positive)
    yield Question("label", "label, SIIM, PA", siim & pa, positive)
    yield Question("label", "label, SIIM, AP", siim & ap, positive)
    yield Question("label", "label, negatives NIH", positive | ~siim, positive)
    drawn = siim | positive
    nih = np.flatnonzero(~drawn)
    count = round((siim & ~positive).sum() * DRAWN_SHARE / (1 - DRAWN_SHARE))
    drawn[np.random.default_rng(SEED).permutation(nih)[:count]] = True
    yield Question("label", "label, all, as drawn", drawn, positive)
    yield Question("label", "label, all, as drawn, PA", drawn & pa, positive)
    yield Question("label", "label, all, as drawn, AP", drawn & ap, positive)
    yield Question("label", "label, all", np.ones(len(table), bool), positive)
    yield Question("label", "label, all, PA", pa, positive)
    yield Question("label", "label, all, AP", ap, positive)


def seen_by_the_network(
    examples: Examples, size: int, augmentation: Augmentation | None
) -> NDArray[np.uint8]:
    """What the dataset gives, back from standardised values to 8 bits; (n, size, size)."""
    preprocessing = Preprocessing(size=size, mean=0.0, std=1.0)
    dataset = RadiographDataset(examples, preprocessing, 1, augmentation)
    images = np.empty((len(examples), size, size), np.uint8)
    for i in range(len(examples)):
        images[i] = np.round(dataset[Draw(i, SEED + i, size)]["image"][0].numpy() * 255)
    return images


def classifiers() -> dict[str, ClassifierMixin]:
    return {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500)),
        "boosting": HistGradientBoostingClassifier(
            max_iter=80,
            learning_rate=0.08,
            max_leaf_nodes=10,
            l2_regularization=1.0,
            random_state=0,
        ),
    }


def out_of_fold(
    model: ClassifierMixin, x: NDArray[np.float64], y: NDArray[np.bool_], fold: NDArray[np.int64]
) -> NDArray[np.float64]:
    scores = np.zeros(len(y))
    for k in np.unique(fold):
        held = fold == k
        scores[held] = model.fit(x[~held], y[~held]).predict_proba(x[held])[:, 1]
    return scores


def auc(scores: NDArray[np.float64], y: NDArray[np.bool_], weights: NDArray[np.float64]) -> float:
    """Weighted Mann-Whitney statistic, ties counted half."""
    _, place = np.unique(scores, return_inverse=True)
    ones = np.bincount(place, weights * y)
    zeros = np.bincount(place, weights * ~y)
    below = np.cumsum(zeros) - zeros / 2
    return float((ones * below).sum() / (ones.sum() * zeros.sum()))


def interval(
    scores: NDArray[np.float64], y: NDArray[np.bool_], groups: NDArray[np.object_]
) -> tuple[float, float]:
    """Percentile interval from resampling patients."""
    rng = np.random.default_rng(SEED)
    names, member = np.unique(groups.astype(str), return_inverse=True)
    draws = []
    for _ in range(BOOTSTRAPS):
        counts = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))
        weights = counts[member].astype(float)
        if (weights * y).any() and (weights * ~y).any():
            draws.append(auc(scores, y, weights))
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def answer(
    question: Question, images: str, kind: str, statistics: pd.DataFrame, table: pd.DataFrame
) -> Answer:
    x, y = statistics.to_numpy()[question.chosen], question.target[question.chosen]
    fold = table["fold"].to_numpy(np.int64)[question.chosen]
    groups = table["group"].to_numpy(object)[question.chosen]
    scores = {name: out_of_fold(model, x, y, fold) for name, model in classifiers().items()}
    aucs = {name: auc(values, y, np.ones(len(y))) for name, values in scores.items()}
    best = max(aucs, key=lambda name: aucs[name])
    low, high = interval(scores[best], y, groups)
    return Answer(
        images, kind, question.kind, question.name, len(y), int(y.sum()),
        round(aucs["logistic"], 4), round(aucs["boosting"], 4),
        round(aucs[best], 4), round(low, 4), round(high, 4), aucs[best] <= BOUND,
    )  # fmt: skip


def strongest(
    statistics: pd.DataFrame, table: pd.DataFrame, most: int = 6
) -> list[tuple[str, float]]:
    """The statistics that by themselves tell labels apart best, SIIM images only."""
    siim = (table["label_source"] == "siim-radiologist").to_numpy(bool)
    y = (table["label"] == 1).to_numpy(bool)[siim]
    found = {
        name: auc(statistics[name].to_numpy(float)[siim], y, np.ones(len(y)))
        for name in statistics.columns
    }
    ranked = sorted(found.items(), key=lambda item: -abs(item[1] - 0.5))
    return [(name, round(value, 3)) for name, value in ranked[:most]]


def load_examples(root: Path, cache: Path, cache_size: int) -> tuple[Examples, pd.DataFrame]:
    index = build_index(root)
    table = index.table
    table = table[(table["split"] == "train") & table["fold"].notna()].reset_index(drop=True)
    cached = open_cache(index, table, cache_size, cache)
    table = table.set_index("image_id", drop=False).loc[list(cached.image_ids)]
    nothing = np.zeros(len(table), bool)
    labels = table["label"].to_numpy(np.float32)
    return Examples(
        cached.images,
        cached.masks,
        labels,
        mask_weights=np.ones(len(table), np.float32),
        synthetic=nothing,
        one_sided=nothing,
        taught=nothing,
    ), table.reset_index(drop=True)


def run(
    root: Path, cache: Path, cache_size: int, size: int, settings: Augmentation
) -> dict[str, object]:
    examples, table = load_examples(root, cache, cache_size)
    answers: list[Answer] = []
    leaders: dict[str, list[tuple[str, float]]] = {}
    for images in ("as stored", "augmented"):
        changes = settings if images == "augmented" else None
        seen = seen_by_the_network(examples, size, changes)
        for kind, measure in (("border", border_statistics), ("frequency", frequency_statistics)):
            statistics = pd.DataFrame([measure(image) for image in seen])
            leaders[f"{images}, {kind}"] = strongest(statistics, table)
            answers += [
                answer(question, images, kind, statistics, table) for question in questions(table)
            ]
    return {
        "cache_size": cache_size,
        "size": size,
        "n": len(table),
        "bound": BOUND,
        "augmentation": settings.model_dump(),
        "answers": [asdict(entry) for entry in answers],
        "strongest_single_statistics": leaders,
    }


def show(result: dict[str, object]) -> None:
    answers: list[dict[str, object]] = result["answers"]  # type: ignore[assignment]
    found = {(a["question"], a["images"], a["statistics"]): a for a in answers}
    columns = [(i, s) for i in ("as stored", "augmented") for s in ("border", "frequency")]
    print(f"{'':46}{'n':>6}" + "".join(f"{i + ' ' + s:>25}" for i, s in columns))
    for name in dict.fromkeys(str(a["question"]) for a in answers):
        cells = [found[name, i, s] for i, s in columns]
        values = "".join(
            f"{c['auc']:>9.3f} [{c['low']:.3f}, {c['high']:.3f}]"[:25].rjust(25) for c in cells
        )
        print(f"{cells[0]['kind']!s:12}{name:34}{cells[0]['n']:>6}{values}")
    for name, leaders in result["strongest_single_statistics"].items():  # type: ignore[attr-defined]
        print(f"{name}: " + ", ".join(f"{statistic} {value}" for statistic, value in leaders))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--real-data", type=Path, default=os.environ.get("PLEURA_REAL_DATA"))
    parser.add_argument("--cache", type=Path, default=Path("cache/pixels"))
    parser.add_argument("--cache-size", type=int, default=512)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--augmentation", type=json.loads, default={}, help="JSON, changed ranges")
    parser.add_argument("-o", "--output", type=Path, default=Path("shortcuts.json"))
    options = parser.parse_args()
    if not options.real_data:
        parser.error("give --real-data FOLDER or set PLEURA_REAL_DATA")
    start = time.perf_counter()
    cv2.setNumThreads(1)
    with threadpool_limits(1):
        result = run(
            Path(options.real_data),
            options.cache,
            options.cache_size,
            options.size,
            Augmentation(**options.augmentation),
        )
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    show(result)
    print(f"{time.perf_counter() - start:.0f} s; wrote {options.output}")


if __name__ == "__main__":
    main()
