"""Five-fold cross-validation of training ideas, by patient, with what each costs.

    python benchmarks/cross_validation.py benchmarks/experiments.yaml -o FOLDER [--only ARM ...]
        [--set KEY=VALUE ...]

Each arm is the base configuration with some keys set otherwise, which may start from what another
arm's same fold has learned; or another arm's weights without averaging, or with the mirror image;
or the mean of what several arms say. For each fold it is trained on the other folds, and judges the
held-out images of two-sided label sources with the averaged weights of its last epoch, unflipped. A
fold that was finished before is not trained again, so that a killed run goes on. Written to FOLDER:
`ARM/out-of-fold.parquet` (logit of the head, logit of the mask's evidence, Dice of each image) and
`summary.json`; printed: a table.

Logits of different networks have different scales, so cases are ranked within their fold: the AUC
is the mean over folds. The Dice is at 0.5, on the network's grid. The tube AUC asks whether
positives without a chest tube rank above negatives with one (`pleura.evaluation.tube`). Intervals
and differences, from the arm that `against` names or else from the base, are 95 % by bootstrap over
patients within folds, the same draws for both arms.
"""

import argparse
import json
import logging
import platform
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from pleura.data.dataset import RadiographDataset
from pleura.metrics import roc_auc
from pleura.models import Network, NetworkOutput
from pleura.models.joint import mask_evidence_logit
from pleura.training.checkpoint import load_network
from pleura.training.config import TrainingConfig, load_config
from pleura.training.examples import load_examples
from pleura.training.record import CHECKPOINTS, LAST_NAME
from pleura.training.run import train

FOLDS = 5
BASE = "base"
EVIDENCE_SHARES = (0.0, 0.33, 0.67)
BOOTSTRAPS = 1000
SEED = 20191030
PREDICTIONS = "out-of-fold.parquet"


def fold_config(
    experiments: Mapping[str, Any], arm: str, fold: int, folder: Path, everywhere: Sequence[str]
) -> TrainingConfig:
    """The configuration of one arm and fold, through the same checks as `pleura train`'s."""
    options = experiments["arms"][arm] or {}
    run = folder / arm / f"fold-{fold}"
    overrides = [
        *everywhere,
        *options.get("set", ()),
        f"data.validation_fold={fold}",
        f"output={run}",
    ]
    if "teacher" in options:
        overrides.append(f"data.unlabelled.teacher={folder / options['teacher'] / run.name}")
    if "mender" in options:
        overrides.append(f"data.mending.teacher={folder / options['mender'] / run.name}")
    if "start" in options:
        weights = folder / options["start"] / run.name / CHECKPOINTS / LAST_NAME
        overrides.append(f"network.checkpoint={weights}")
    run.mkdir(parents=True, exist_ok=True)
    base = run / "base.yaml"
    base.write_text(yaml.safe_dump(experiments["base"]), encoding="utf-8")
    return load_config(base, tuple(overrides))


def run_fold(
    config: TrainingConfig, fold: int, raw_of: Path | None = None, flip_of: Path | None = None
) -> pd.DataFrame:
    """Train one fold, unless it was trained before, and judge its held-out images.

    Args:
        config: of the arm and fold.
        fold: that is held out.
        raw_of: a finished run whose weights, as they are without averaging, are judged instead.
        flip_of: a finished run that judges each image and its mirror image instead.
    """
    stored = config.output / PREDICTIONS
    if stored.is_file():
        return pd.read_parquet(stored)
    if flip_of is not None:
        seconds = float("nan")
        judged = judge(config, load_network(flip_of, config, "last"), flip=True)
    elif raw_of is None:
        started = time.perf_counter()
        train(config)
        seconds = time.perf_counter() - started
        judged = judge(config, load_network(config.output, config, "last"))
    else:
        seconds = float("nan")
        judged = judge(config, raw_network(raw_of, config))
    judged = judged.assign(fold=fold, seconds=seconds)
    judged.to_parquet(stored)
    return judged


def ensemble(members: list[pd.DataFrame]) -> pd.DataFrame:
    """What networks say together: the mean of their logits; no mask of its own, so no Dice."""
    tables = [table.sort_values("image_id", ignore_index=True) for table in members]
    together = tables[0].assign(dice=np.nan, seconds=np.nan)
    for column in ("logit", "evidence"):
        together[column] = np.mean([table[column] for table in tables], axis=0)
    return together


def raw_network(run: Path, config: TrainingConfig) -> Network:
    """The network of a run with the weights of its last step."""
    network = load_network(run, config, "last")
    path = run / CHECKPOINTS / LAST_NAME
    stored = torch.load(path, map_location="cpu", weights_only=True)["current_model_state"]
    network.load_state_dict({key.removeprefix("network."): value for key, value in stored.items()})
    return network.eval()


@torch.inference_mode()
def judge(config: TrainingConfig, network: Network, flip: bool = False) -> pd.DataFrame:
    """One row for each held-out image: who, label, logits, Dice on the network's own grid."""
    network = network.to(memory_format=torch.channels_last)
    data = load_examples(config.data)
    dataset = RadiographDataset(
        data.examples, config.preprocessing, network.output_stride, positions=data.validation
    )
    parts: list[pd.DataFrame] = []
    for batch in DataLoader(dataset, batch_size=32):
        image = batch["image"].contiguous(memory_format=torch.channels_last)
        output = averaged(network(image), network(image.flip(3))) if flip else network(image)
        columns = {"position": batch["position"], "logit": output.logit.reshape(-1)}
        columns["evidence"] = torch.full_like(columns["logit"], torch.nan)
        columns["dice"] = columns["evidence"].clone()
        if output.mask_logits is not None:
            columns["evidence"] = mask_evidence_logit(output.mask_logits).reshape(-1)
            columns["dice"] = dice_of(output.mask_logits, batch)
        parts.append(pd.DataFrame({name: value.numpy() for name, value in columns.items()}))
    judged = pd.concat(parts, ignore_index=True)
    rows = data.table.iloc[judged.pop("position")].reset_index(drop=True)
    kept = ["image_id", "group", "label", "chest_tube", "view"]
    return pd.concat([rows[kept].astype({"label": int}), judged], axis=1)


def averaged(plain: NetworkOutput, flipped: NetworkOutput) -> NetworkOutput:
    """The mean of logits and of mask probabilities, the mirror image turned back."""
    if plain.logit is None or flipped.logit is None:
        raise ValueError("the network gives no logit")
    masks = None
    if plain.mask_logits is not None and flipped.mask_logits is not None:
        air = torch.sigmoid(plain.mask_logits) + torch.sigmoid(flipped.mask_logits).flip(3)
        masks = torch.logit(air / 2, eps=1e-6)
    return NetworkOutput((plain.logit + flipped.logit) / 2, masks)


def dice_of(mask_logits: torch.Tensor, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Dice at 0.5 of positives with a trusted mask, NaN for the others, (n,)."""
    predicted, true = mask_logits >= 0, batch["mask"] >= 0.5
    overlap = (predicted & true).sum((1, 2, 3))
    total = (predicted.sum((1, 2, 3)) + true.sum((1, 2, 3))).clamp_min(1)
    trusted = (batch["label"] == 1) & (batch["mask_weight"] > 0)
    return torch.where(trusted, 2 * overlap / total, torch.nan)


def scores_of(judged: pd.DataFrame, share: float) -> NDArray[np.float64]:
    """The logit, with a share of it from the mask's evidence."""
    logit, evidence = judged["logit"].to_numpy(float), judged["evidence"].to_numpy(float)
    return logit if share == 0 else (1 - share) * logit + share * evidence


def bootstrap_draws(judged: pd.DataFrame) -> list[list[NDArray[np.int64]]]:
    """For each draw and fold, the rows of patients drawn with replacement."""
    rng = np.random.default_rng(SEED)
    members = []
    for _, part in judged.groupby("fold"):
        members.append(
            [rows.to_numpy() for _, rows in part.reset_index().groupby("group")["index"]]
        )
    return [[_drawn(patients, rng) for patients in members] for _ in range(BOOTSTRAPS)]


def _drawn(patients: list[NDArray[np.int64]], rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of as many patients as there are, with replacement."""
    chosen = rng.integers(0, len(patients), len(patients))
    return np.concatenate([patients[i] for i in chosen])


def mean_auc(
    scores: NDArray[np.float64], labels: NDArray[np.int64], folds: list[NDArray[np.int64]]
) -> float:
    """The AUC within each fold's rows, averaged."""
    return float(np.mean([roc_auc(scores[rows], labels[rows]) for rows in folds]))


def tube_sides(table: pd.DataFrame) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Positives known to show no chest tube, and negatives known to show one, each (n,)."""
    tube = table["chest_tube"].astype("Float64").to_numpy(dtype=float, na_value=np.nan)
    label = table["label"].to_numpy()
    return (label == 1) & (tube == 0), (label == 0) & (tube == 1)


def tube_auc(
    scores: NDArray[np.float64],
    untreated: NDArray[np.bool_],
    treated: NDArray[np.bool_],
    folds: list[NDArray[np.int64]],
) -> float:
    """Share of pairs of one fold in which the positive without a tube has the higher score.

    There are too few negatives with a tube for an AUC of each fold: pairs are counted together.
    """
    won = pairs = 0.0
    for rows in folds:
        air, tube = scores[rows[untreated[rows]]], scores[rows[treated[rows]]]
        gaps = air[:, None] - tube[None, :]
        won += float((gaps > 0).sum()) + 0.5 * float((gaps == 0).sum())
        pairs += gaps.size
    return won / pairs if pairs else float("nan")


def interval(values: list[float]) -> list[float]:
    """2.5th and 97.5th percentile."""
    return [float(bound) for bound in np.nanpercentile(values, [2.5, 97.5])]


def difference(first: list[float], second: list[float]) -> list[float]:
    """Interval of the difference of two arms on the same draws."""
    return interval([a - b for a, b in zip(first, second, strict=True)])


def summarise(judged: Mapping[str, pd.DataFrame], against: Mapping[str, str]) -> dict[str, Any]:
    """Figures of each arm, and their differences from another arm's, on the same cases."""
    arms = {
        name: table.sort_values("image_id", ignore_index=True) for name, table in judged.items()
    }
    first = next(iter(arms.values()))
    labels, draws = first["label"].to_numpy(), bootstrap_draws(first)
    whole = [rows.to_numpy() for _, rows in first.reset_index().groupby("fold")["index"]]
    drawn: dict[str, list[float]] = {}
    drawn_dice: dict[str, list[float]] = {}
    summary: dict[str, Any] = {}
    for name, table in arms.items():
        if list(table["image_id"]) != list(first["image_id"]):
            raise SystemExit(f"{name} judged other cases than {next(iter(arms))}.")
        best_share = max(
            EVIDENCE_SHARES, key=lambda s: mean_auc(scores_of(table, s), labels, whole)
        )
        figures: dict[str, Any] = {
            f"auc_evidence_{share}": mean_auc(scores_of(table, share), labels, whole)
            for share in EVIDENCE_SHARES
        }
        scores = scores_of(table, 0.0)
        drawn[name] = [mean_auc(scores, labels, draw) for draw in draws]
        dices = table["dice"].to_numpy(float)
        drawn_dice[name] = [float(np.nanmean(dices[np.concatenate(draw)])) for draw in draws]
        figures |= {
            "n": len(table),
            "positives": int(labels.sum()),
            "auc": figures["auc_evidence_0.0"],
            "auc_interval": interval(drawn[name]),
            "best_evidence_share": best_share,
            "dice_positives": float(table["dice"].mean()),
            "dice_interval": interval(drawn_dice[name]),
            "minutes": float(table.groupby("fold")["seconds"].first().sum(min_count=1) / 60),
        }
        untreated, treated = tube_sides(table)
        figures["tube_cases"] = [int(untreated.sum()), int(treated.sum())]
        figures["tube_auc"] = tube_auc(scores, untreated, treated, whole)
        figures["tube_auc_interval"] = interval(
            [tube_auc(scores, untreated, treated, draw) for draw in draws]
        )
        other = against.get(name, BASE)
        if other in summary:
            figures["against"] = other
            figures["gain"] = figures["auc"] - summary[other]["auc"]
            figures["gain_interval"] = difference(drawn[name], drawn[other])
            figures["dice_gain"] = figures["dice_positives"] - summary[other]["dice_positives"]
            figures["dice_gain_interval"] = difference(drawn_dice[name], drawn_dice[other])
        summary[name] = figures
    return summary


def table_of(summary: Mapping[str, Mapping[str, Any]]) -> str:
    """The summary in Markdown."""
    lines = [
        "| arm | AUC, head | gain | AUC, 0.67 evidence | Dice | gain | against | tube AUC"
        " | minutes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in summary.items():
        (low, high), (tube_low, tube_high) = row["auc_interval"], row["tube_auc_interval"]
        gain = dice_gain = "-"
        minutes = "-" if np.isnan(row["minutes"]) else f"{row['minutes']:.1f}"
        if "gain" in row:
            gain = "{:+.3f} [{:+.3f}, {:+.3f}]".format(row["gain"], *row["gain_interval"])
            dice_gain = "{:+.3f} [{:+.3f}, {:+.3f}]".format(
                row["dice_gain"], *row["dice_gain_interval"]
            )
        dice_low, dice_high = row["dice_interval"]
        lines.append(
            f"| {name} | {row['auc']:.3f} [{low:.3f}, {high:.3f}] | {gain} "
            f"| {row['auc_evidence_0.67']:.3f} "
            f"| {row['dice_positives']:.3f} [{dice_low:.3f}, {dice_high:.3f}] | {dice_gain} "
            f"| {row.get('against', '-')} "
            f"| {row['tube_auc']:.3f} [{tube_low:.3f}, {tube_high:.3f}] | {minutes} |"
        )
    return "\n".join(lines)


def judge_arm(
    experiments: Mapping[str, Any], arm: str, output: Path, everywhere: Sequence[str]
) -> pd.DataFrame:
    """Every held-out image of every fold, judged by one arm."""
    options = experiments["arms"][arm] or {}
    if "ensemble" in options:
        (output / arm).mkdir(parents=True, exist_ok=True)
        return ensemble([pd.read_parquet(output / m / PREDICTIONS) for m in options["ensemble"]])
    folds = []
    for fold in range(FOLDS):
        raw_of, flip_of = (
            output / options[key] / f"fold-{fold}" if key in options else None
            for key in ("unaveraged", "flipped")
        )
        config = fold_config(experiments, arm, fold, output, everywhere)
        folds.append(run_fold(config, fold, raw_of, flip_of))
    return pd.concat(folds, ignore_index=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiments", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--only", nargs="+", help="arms to run, in this order; all by default")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="in every arm")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    experiments = yaml.safe_load(options.experiments.read_text(encoding="utf-8"))
    against = {
        arm: settings["against"]
        for arm, settings in experiments["arms"].items()
        if settings and "against" in settings
    }
    judged: dict[str, pd.DataFrame] = {}
    for arm in options.only or experiments["arms"]:
        judged[arm] = judge_arm(experiments, arm, options.output, options.set)
        judged[arm].to_parquet(options.output / arm / PREDICTIONS)
        report = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
            "arms": summarise(judged, against),
        }
        (options.output / "summary.json").write_text(json.dumps(report, indent=2) + "\n")
        print(table_of(report["arms"]), flush=True)


if __name__ == "__main__":
    main()
