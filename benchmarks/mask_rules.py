"""From probabilities to a mask: rules that draw it, and rules that say whether there is one.

    python benchmarks/mask_rules.py --data INDEX [--model FOLDER] [--fold N]

Judges the fold that the model held out of training. Each rule's numbers are tuned on four fifths of
it, by patient, and measured on the last fifth, in turn; so every image is judged once by numbers
that it had no part in. Printed: two tables with 95 % intervals by bootstrap over patients.

Drawing, on positives with a published mask, as if each were found:
    threshold      the same for every image, and a smallest area
    hysteresis     regions above a low threshold that reach a high one
    expected Dice  the image's own threshold (pleura.inference.postprocess.dice_threshold)
    expected area  as many pixels as the probabilities add up to

Presence, each with the drawing of the threshold rule's 0.3, tuned for the mean Dice with empty on
empty = 1 at a prevalence of 0.22, that of the challenge:
    finding        calibrated probability
    triplet        a share of the image above a high threshold
    mask evidence  the highest part of the map alone
    image head     the image-level head alone (the finding less the mask's evidence)
    both           finding and triplet
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from pleura.data.index import read_index
from pleura.data.sources import open_image
from pleura.data.splits import from_two_sided_sources
from pleura.evaluation.cases import true_mask
from pleura.inference import Predictor
from pleura.inference.manifest import Estimate, MaskRule
from pleura.inference.postprocess import mask_from_map, threshold_for
from pleura.metrics import MEAN, bootstrap_interval, proportion
from pleura.models.joint import mask_evidence_logit

GRID = 512
PREVALENCE = 0.22
PARTS = 5
SHARES = (0.0, 0.0005, 0.001, 0.002, 0.004)
LOW = (0.1, 0.2, 0.3, 0.4, 0.5)
HIGH = (0.5, 0.7, 0.8, 0.9, 0.95)
DRAWN = MaskRule(threshold=0.3, min_area_fraction=0.002)
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Judged:
    """What the model says of the fold; n images, m of them with a published mask.

    Attributes:
        label, group: (n,).
        probability, evidence, head: (n,).
        above: (n, len(HIGH)) share of the image at and above each high threshold.
        place: (m,) which of the n have a mask.
        maps: (m, GRID, GRID) probabilities.
        masks: (m, GRID, GRID) true.
        area: (m,) share of the image.
    """

    label: NDArray[np.bool_]
    group: NDArray[np.str_]
    probability: FloatArray
    evidence: FloatArray
    head: FloatArray
    above: FloatArray
    place: NDArray[np.int64]
    maps: NDArray[np.float32]
    masks: NDArray[np.bool_]
    area: FloatArray


def judge(predictor: Predictor, data: Path, fold: int) -> Judged:
    """Run the model on the held-out fold's images of two-sided label sources."""
    index = read_index(data)
    table = index.table
    labelled = table[((table["split"] == "train") & table["label"].notna()).fillna(False)]
    held_out = (labelled["fold"] == fold).fillna(False).to_numpy(dtype=bool)
    rows = labelled[held_out & from_two_sided_sources(labelled)].to_dict("records")
    options = predictor.manifest.training.get("network", {}).get("options", {})
    share = float(options.get("mask_evidence", 0.0))
    values: dict[str, list[Any]] = {name: [] for name in ("p", "evidence", "head", "above")}
    place, maps, masks = [], [], []
    for number, row in enumerate(rows):
        raw = predictor.predict_raw(open_image(index.root, row["path"]))
        assert raw.network_map is not None
        inside = torch.from_numpy(np.clip(raw.network_map, 1e-6, 1 - 1e-6))
        evidence = float(mask_evidence_logit(torch.logit(inside)[None, None]))
        on_grid = cv2.resize(raw.network_map, (GRID, GRID), interpolation=cv2.INTER_LINEAR)
        values["p"].append(raw.probability)
        values["evidence"].append(evidence)
        values["head"].append((raw.logit - share * evidence) / (1 - share))
        values["above"].append([np.mean(on_grid >= high) for high in HIGH])
        true = true_mask(row)
        if true is not None:
            place.append(number)
            maps.append(on_grid)
            small = cv2.resize(true.astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_AREA)
            masks.append(small >= 0.5)
    return Judged(
        label=np.array([row["label"] == 1 for row in rows]),
        group=np.array([str(row["group"]) for row in rows]),
        probability=np.array(values["p"]),
        evidence=np.array(values["evidence"]),
        head=np.array(values["head"]),
        above=np.array(values["above"]),
        place=np.array(place),
        maps=np.stack(maps),
        masks=np.stack(masks),
        area=np.stack(masks).mean((1, 2)),
    )


def hysteresis(probability_map: NDArray[np.float32], low: float, high: float) -> NDArray[np.bool_]:
    """Regions above the low threshold that reach the high one; all of them where none does."""
    wide = probability_map >= low
    _, regions = cv2.connectedComponents(wide.view(np.uint8), connectivity=8)
    reached = np.unique(regions[probability_map >= high])
    kept = np.isin(regions, reached[reached > 0])
    return kept if kept.any() else wide


def expected_area(probability_map: NDArray[np.float32], factor: float) -> NDArray[np.bool_]:
    """The highest pixels, as many as the probabilities add up to, times a factor."""
    count = min(probability_map.size - 1, round(factor * float(probability_map.sum())))
    return probability_map > np.partition(probability_map.ravel(), -count - 1)[-count - 1]


def own_threshold(probability_map: NDArray[np.float32], floor: float) -> NDArray[np.bool_]:
    """Cut where the expected Dice is the highest."""
    rule = MaskRule(method="expected_dice", threshold=floor)
    return probability_map >= threshold_for(probability_map, rule)


def drawing_rules() -> dict[str, list[Callable[[NDArray[np.float32]], NDArray[np.bool_]]]]:
    """Every rule with all numbers that it may be tuned to."""
    return {
        "threshold": [
            lambda m, t=t, a=a: mask_from_map(m, MaskRule(threshold=t, min_area_fraction=a))
            for t, a in product((0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5), SHARES)
        ],
        "hysteresis": [
            lambda m, low=low, high=high: hysteresis(m, low, high)
            for low, high in product(LOW, HIGH)
            if low < high
        ],
        "expected Dice": [lambda m, f=f: own_threshold(m, f) for f in (0.05, 0.1, 0.2)],
        "expected area": [lambda m, f=f: expected_area(m, f) for f in (0.7, 0.85, 1.0, 1.2, 1.5)],
    }


def out_of_part(
    scores: FloatArray, groups: NDArray[np.str_], objective: Callable[[FloatArray], FloatArray]
) -> NDArray[np.int64]:
    """For each case the setting (column) that is best on the parts without its patient."""
    chosen = np.zeros(len(scores), dtype=np.int64)
    for rest, part in GroupKFold(PARTS).split(scores, groups=groups):
        chosen[part] = int(np.argmax(objective(rest)))
    return chosen


def dice(predicted: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Dice of a true mask that is not empty."""
    return float(2 * np.sum(predicted & true) / (np.sum(predicted) + np.sum(true)))


def print_drawing(judged: Judged) -> None:
    """Table of the drawing rules."""
    groups = judged.group[judged.place]
    small = judged.area <= np.quantile(judged.area, 1 / 3)
    found: dict[str, FloatArray] = {}
    print("| drawing | Dice `positives` | gain over threshold | Dice, smallest third |")
    print("|---|---|---|---|")
    for name, settings in drawing_rules().items():
        pairs = zip(judged.maps, judged.masks, strict=True)
        scores = np.array([[dice(rule(m), true) for rule in settings] for m, true in pairs])
        chosen = out_of_part(scores, groups, lambda rest, s=scores: s[rest].mean(0))
        found[name] = scores[np.arange(len(scores)), chosen]
        gain = found[name] - found["threshold"]
        cells = [
            text(bootstrap_interval(MEAN, found[name], groups=groups)),
            "-" if name == "threshold" else text(bootstrap_interval(MEAN, gain, groups=groups)),
            text(bootstrap_interval(MEAN, found[name][small], groups=groups[small])),
        ]
        print(f"| {name} | {' | '.join(cells)} |")


def presence_rules(judged: Judged) -> dict[str, NDArray[np.bool_]]:
    """Who is called under each setting: (n, settings)."""
    points = np.linspace(0.02, 0.98, 97)
    by_rank = {
        name: values[:, None] >= np.quantile(values, points)
        for name, values in (
            ("finding", judged.probability),
            ("mask evidence", judged.evidence),
            ("image head", judged.head),
        )
    }
    shares = (0.0, 0.0002, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.008)
    triplet = np.stack([judged.above > share for share in shares], axis=-1)
    triplet = triplet.reshape(len(judged.label), -1)
    few = by_rank["finding"][:, ::4]
    both = (triplet[:, :, None] & few[:, None, :]).reshape(len(judged.label), -1)
    return {
        "finding": by_rank["finding"],
        "triplet": triplet,
        "mask evidence": by_rank["mask evidence"],
        "image head": by_rank["image head"],
        "both": both,
    }


def print_presence(judged: Judged) -> None:
    """Table of the presence rules."""
    counted = ~judged.label
    counted[judged.place] = True
    drawn = np.full(len(judged.label), np.nan)
    pairs = zip(judged.maps, judged.masks, strict=True)
    drawn[judged.place] = [dice(mask_from_map(m, DRAWN), true) for m, true in pairs]
    small = np.zeros(len(judged.label), dtype=bool)
    small[judged.place] = judged.area <= np.quantile(judged.area, 1 / 3)
    positive = counted & judged.label
    print("\n| presence | Dice `kaggle` at 0.22 | Dice `positives`, found or not |", end="")
    print(" small masks lost | normals with a mask |")
    print("|---|---|---|---|---|")
    for name, called in presence_rules(judged).items():
        scores = np.where(judged.label[:, None], drawn[:, None] * called, ~called)
        weights = np.where(judged.label, PREVALENCE / positive.sum(), 0.0)
        weights = np.where(~judged.label, (1 - PREVALENCE) / np.sum(~judged.label), weights)
        weights, scores = weights[counted], scores[counted]
        groups = judged.group[counted]

        def weighted(rest: NDArray[np.int64], s: FloatArray = scores, w: FloatArray = weights):  # type: ignore[no-untyped-def]
            return w[rest] @ s[rest]

        chosen = out_of_part(scores, groups, weighted)
        mine = np.arange(len(scores)), chosen
        shown = called[counted][mine]
        kaggle = bootstrap_interval(
            weighted_mean_of, scores[mine], weights, groups=groups, n_resamples=1000
        )
        truly = judged.label[counted]
        tiny = small[counted]
        cells = [
            text(kaggle),
            text(bootstrap_interval(MEAN, scores[mine][truly], groups=groups[truly])),
            text(proportion(~shown[tiny], groups[tiny])),
            text(proportion(shown[~truly], groups[~truly])),
        ]
        print(f"| {name} | {' | '.join(cells)} |")


def weighted_mean_of(values: FloatArray, weights: FloatArray) -> float:
    """Mean with weights."""
    return float(values @ weights / weights.sum())


def text(estimate: Estimate) -> str:
    """Value and interval."""
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def main(arguments: Sequence[str] | None = None) -> None:
    """Judge, tune, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="index of `pleura data index`")
    parser.add_argument("--model", help="name or folder; the embedded model by default")
    parser.add_argument("--fold", type=int, help="held out; by default the manifest's")
    options = parser.parse_args(arguments)
    predictor = Predictor.load(options.model)
    fold = options.fold
    if fold is None:
        fold = int(predictor.manifest.training["validation_fold"])
    judged = judge(predictor, options.data, fold)
    model = f"{predictor.model.name} {predictor.model.version}"
    print(
        f"{model}, fold {fold}: {len(judged.label)} images, {judged.label.sum()} positive,", end=""
    )
    print(f" {len(judged.place)} with a published mask. Research software, not a medical device.\n")
    print_drawing(judged)
    print_presence(judged)


if __name__ == "__main__":
    main()
