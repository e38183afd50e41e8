"""Where the figures come from: model, data, command, machine, date."""

import hashlib
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnxruntime
import pandas as pd

from pleura import __version__
from pleura.data.index import Index
from pleura.evaluation.report import Provenance
from pleura.inference import Predictor

_CPU_INFO = Path("/proc/cpuinfo")


def provenance(
    predictor: Predictor,
    index: Index,
    split: str,
    cases: pd.DataFrame,
    arguments: Sequence[str] | None = None,
) -> Provenance:
    """Write down which model was measured on what, when, how and where.

    Args:
        predictor: the model.
        index: the data set.
        split: the part of it.
        cases: the evaluated table.
        arguments: of the command, without the program; None for those of the process.
    """
    words = sys.argv[1:] if arguments is None else arguments
    return Provenance(
        model_name=predictor.model.name,
        model_version=predictor.model.version,
        model_sha256=predictor.model.sha256,
        data_layout=index.layout,
        data_fingerprint=index.fingerprint,
        cases_fingerprint=cases_fingerprint(cases),
        split=split,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=shlex.join(["pleura", *words]),
        machine=machine() | {"threads": str(predictor.threads)},
        pleura_version=__version__,
    )


def cases_fingerprint(cases: pd.DataFrame) -> str:
    """SHA-256 of identifiers and labels, in the order of the identifiers."""
    pairs = sorted(zip(cases["image_id"].astype(str), cases["label"].astype(int), strict=True))
    text = "".join(f"{image_id},{label}\n" for image_id, label in pairs)
    return hashlib.sha256(text.encode()).hexdigest()


def machine() -> dict[str, str]:
    """Processor, cores, operating system and versions; nothing that names the host."""
    return {
        "processor": _processor(),
        "logical cores": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "numpy": np.__version__,
    }


def _processor() -> str:
    try:
        for line in _CPU_INFO.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
