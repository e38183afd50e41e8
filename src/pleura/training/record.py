"""The run folder: what was trained, on what, from which source, and how it ended."""

import json
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightning as L
import torch
import yaml

import pleura
from pleura.errors import ConfigError
from pleura.models.weights import LoadReport
from pleura.training.config import TrainingConfig
from pleura.training.examples import TrainingData

CONFIG_NAME, RECORD_NAME, METRICS_NAME = "config.yaml", "run.json", "metrics.json"
CHECKPOINTS, LOGS = "checkpoints", "logs"
BEST_NAME, LAST_NAME = "best.ckpt", "last.ckpt"


def last_checkpoint(output: Path) -> Path | None:
    """The checkpoint to go on from, or None in a fresh run folder."""
    path = output / CHECKPOINTS / LAST_NAME
    return path if path.is_file() else None


def epochs_trained(checkpoint: Path) -> int:
    """How many epochs a `last.ckpt` has behind it; it is written at the end of each."""
    stored = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    return int(stored["epoch"]) + 1


def write_record(config: TrainingConfig, data: TrainingData, starting: LoadReport) -> None:
    """Write `config.yaml` and `run.json`; on going on, add to what stands there.

    Raises:
        ConfigError: the folder holds a checkpoint of another network, of other data, or with other
            images held out.
    """
    plain = config.model_dump(mode="json")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    earlier = _earlier_record(config.output)
    if earlier is None:
        record = _fresh_record(data, starting) | {"started": now, "resumed": []}
    else:
        _check_same_run(config.output, plain, earlier, data.fingerprint)
        record = earlier | {"resumed": [*earlier.get("resumed", []), now]}
    config.output.mkdir(parents=True, exist_ok=True)
    (config.output / CONFIG_NAME).write_text(yaml.safe_dump(plain, sort_keys=False))
    (config.output / RECORD_NAME).write_text(json.dumps(record, indent=2) + "\n")


def _earlier_record(output: Path) -> dict[str, Any] | None:
    path = output / RECORD_NAME
    if last_checkpoint(output) is None or not path.is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def _fresh_record(data: TrainingData, starting: LoadReport) -> dict[str, Any]:
    labels = data.examples.labels
    return {
        "pleura": pleura.__version__,
        "git_revision": git_revision(),
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {platform.system()}, {torch.get_num_threads()} threads",
        "starting_weights": starting.source,
        "starting_sha256": starting.sha256,
        "starting_tensors": {
            "loaded": len(starting.loaded),
            "random": list(starting.missing),
            "unused": list(starting.unused),
            "other_shape": list(starting.mismatched),
        },
        "data_fingerprint": data.fingerprint,
        "training_images": len(data.training),
        "training_positives": int((labels[data.training] == 1).sum()),
        "training_phantoms": int(data.examples.synthetic[data.training].sum()),
        "validation_images": len(data.validation),
        "refused_images": data.refused,
    }


def _check_same_run(
    output: Path, plain: dict[str, Any], earlier: dict[str, Any], fingerprint: str
) -> None:
    stored = yaml.safe_load((output / CONFIG_NAME).read_text(encoding="utf-8"))
    # Fold and limit decide which images are held out: export would calibrate on trained ones.
    pairs = {
        "network.name": (stored["network"]["name"], plain["network"]["name"]),
        "network.options": (stored["network"]["options"], plain["network"]["options"]),
        "preprocessing": (stored["preprocessing"], plain["preprocessing"]),
        "data.index (its content)": (earlier["data_fingerprint"], fingerprint),
    } | {
        f"data.{key}": (stored["data"][key], plain["data"][key])
        for key in ("validation_fold", "limit")
    }
    changed = [name for name, (before, after) in pairs.items() if before != after]
    if changed:
        raise ConfigError(
            f"The run folder {output} was trained with another {', '.join(changed)}.",
            "Choose another output, or go on with the configuration in the folder.",
        )


def git_revision() -> str:
    """The revision of the source tree that this package runs from, or "" outside a checkout."""
    here = Path(__file__)
    try:
        _git(here.parent, "ls-files", "--error-unmatch", here.name)
        return _git(here.parent, "describe", "--always", "--dirty", "--abbrev=12")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()


def write_metrics(output: Path, trainer: L.Trainer) -> None:
    """Write `metrics.json`: the last figures, the best score, and the number of epochs.

    A run that had already ended gives no figures; then the file stays as it is.
    """
    figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
    if not figures:
        return
    for callback in trainer.checkpoint_callbacks:
        best = getattr(callback, "best_model_score", None)
        if getattr(callback, "monitor", None) == "val/score" and best is not None:
            figures["best/score"] = float(best)
    figures["epochs"] = trainer.current_epoch
    (output / METRICS_NAME).write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n")
