"""A data set of twelve images, and a configuration that trains on it in seconds."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import yaml

from pleura.data.columns import COLUMNS, NO_MASK, conform
from pleura.data.index import Index, write_index
from pleura.masks import RunLengthConvention, encode
from pleura.training.config import TrainingConfig, load_config

STORED = 256  # side of the stored files; smaller ones are refused
SIDE = 64  # of the cached pixels
IMAGES = 12  # every second one positive; folds 0, 1, 2 in turn by pairs
_UNKNOWN = {"str": "", "float64": float("nan")}


def write_data(root: Path, **columns: list[Any]) -> Path:
    """Write PNG files and their index; `columns` replace columns of the table."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(IMAGES):
        noise = rng.integers(0, 200, (STORED, STORED), dtype=np.uint8)
        image = cv2.GaussianBlur(noise, (0, 0), 6)
        mask = np.zeros((STORED, STORED), bool)
        positive = number % 2 == 1
        if positive:
            top, left = rng.integers(32, 160, 2)
            mask[top : top + 64, left : left + 64] = True
            image[mask] = 255
        cv2.imwrite(str(root / f"image{number}.png"), image)
        row = {column.name: _UNKNOWN.get(column.dtype, pd.NA) for column in COLUMNS}
        rows.append(
            row
            | {
                "image_id": f"image{number}",
                "path": f"image{number}.png",
                "label": int(positive),
                "rle": encode(mask, RunLengthConvention.SIIM_RELATIVE) if positive else NO_MASK,
                "mask_rows": STORED,
                "mask_columns": STORED,
                "mask_weight": 1.0,
                "group": f"patient{number}",
                "group_known": True,
                "fold": number // 2 % 3,
                "split": "train",
            }
        )
    table = pd.DataFrame(rows)
    for name, values in columns.items():
        table[name] = values
    return write_index(Index(conform(table), root, "test"), root / "index.parquet")


def raw_config(root: Path, output: Path) -> dict[str, Any]:
    """A tiny CheXNet; four batches of two an epoch."""
    return {
        "output": str(output),
        "preprocessing": {"size": 32, "mean": 0.45, "std": 0.23},
        "data": {
            "index": str(root / "index.parquet"),
            "cache": str(root / "cache"),
            "cache_size": SIDE,
        },
        "network": {
            "name": "chexnet",
            "options": {"block_config": [1, 1], "init_features": 8, "growth_rate": 4},
        },
        "schedule": {"epochs": 2, "sizes": [[0, 32]], "batch_size": 2},
        "hardware": {"accelerator": "cpu", "devices": 1, "threads": 1},
    }


def write_config(root: Path, output: Path) -> Path:
    """The configuration as a file in `root`."""
    path = root / f"{output.name}.yaml"
    path.write_text(yaml.safe_dump(raw_config(root, output)))
    return path


def config(root: Path, output: Path, *overrides: str) -> TrainingConfig:
    """The configuration, checked, with overrides."""
    return load_config(write_config(root, output), overrides)
