"""The fold that a run was not trained on, and what the exported model says of it."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pleura.data.index import Index, read_index
from pleura.data.sources import open_image
from pleura.data.splits import from_two_sided_sources
from pleura.errors import ModelError, RefusedInputError
from pleura.evaluation.cases import true_mask
from pleura.inference import Predictor
from pleura.inference.manifest import Preprocessing
from pleura.inference.preprocess import prepare
from pleura.io import read_radiograph
from pleura.masks import Letterbox
from pleura.training.config import TrainingConfig

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
_NEVER = 2.0  # no probability reaches it


def held_out_rows(config: TrainingConfig, root: Path | None) -> tuple[Index, "pd.DataFrame"]:
    """The index of a run and the rows of its validation fold that it is judged on.

    Rows of label sources that gave labels of one kind only are left out, as in training's own
    validation (`pleura.data.splits.from_two_sided_sources`).

    Args:
        config: of the run.
        root: folder of the images, when it has moved since the index was written.

    Raises:
        ModelError: the run held nothing out.
        NotFoundError: there is no such index.
        DataError: the file is not an index.
    """
    if config.data.validation_fold is None:
        raise ModelError(
            "The run held no fold out: nothing is left to calibrate on.",
            "Train with data.validation_fold, or calibrate on other labelled images.",
        )
    index = read_index(config.data.index, root=root or config.data.root)
    labelled, held_out = _two_sided(index, config)
    return index, labelled[held_out].reset_index(drop=True)


def trained_rows(index: Index, config: TrainingConfig) -> "pd.DataFrame":
    """The rows of the same label sources that a run with a validation fold learned from."""
    labelled, held_out = _two_sided(index, config)
    return labelled[~held_out].reset_index(drop=True)


def _two_sided(index: Index, config: TrainingConfig) -> tuple["pd.DataFrame", NDArray[np.bool_]]:
    """Labelled training images of sources that gave both labels, and which of them are held out."""
    table = index.table
    labelled = table[((table["split"] == "train") & table["label"].notna()).fillna(False)]
    labelled = labelled[from_two_sided_sources(labelled)]
    held_out = labelled["fold"] == config.data.validation_fold
    return labelled, held_out.fillna(False).to_numpy(dtype=bool)


def parity_images(
    index: Index, rows: "pd.DataFrame", preprocessing: Preprocessing, count: int
) -> list[NDArray[np.float32]]:
    """Network inputs (1, 1, size, size) of the first readable images, half of them positive.

    Raises:
        ModelError: no image can be read.
    """
    images: list[NDArray[np.float32]] = []
    refused: Counter[str] = Counter()
    for label in (1, 0):
        wanted = len(images) + count // 2
        for path in rows[rows["label"] == label]["path"]:
            if len(images) == wanted:
                break
            try:
                radiograph = read_radiograph(open_image(index.root, path))
            except RefusedInputError as error:
                refused[error.code] += 1
            else:
                images.append(prepare(radiograph, preprocessing)[0])
    if not images:
        raise ModelError(
            f"No image of the held-out fold can be read ({_counts(refused)}).",
            "Name the folder of the images with --root.",
        )
    return images


@dataclass(frozen=True, eq=False)
class Masked:
    """A positive with a trusted mask; both masks wait in their small form until they are needed.

    Attributes:
        row: of the index, with the run lengths.
        letterbox: the way from the network's grid to the file's.
        network_map: the segmenter's probability of air, float32 in [0, 1], on the network's grid.
    """

    row: dict[Any, Any]
    letterbox: Letterbox
    network_map: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Judged:
    """What the model said of the fold.

    Attributes:
        logits: (n,) before calibration.
        views: (n, 2) the same of the image and of its mirror image; NaN where that was not judged.
        labels: (n,) 1 pneumothorax, 0 none.
        groups: (n,) patients.
        masked: positives with a trusted mask.
        embeddings: (n, d), the classifier's deepest features.
        refused: images that could not be read, by code of the error.
    """

    logits: NDArray[np.float64]
    views: NDArray[np.float64]
    labels: NDArray[np.int64]
    groups: tuple[str, ...]
    masked: tuple[Masked, ...]
    embeddings: NDArray[np.float32]
    refused: Counter[str]

    def mask_pairs(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
        """Map of probabilities on the file's grid and true mask, one pair at a time."""
        for case in self.masked:
            true = true_mask(case.row)
            if true is not None:
                yield case.letterbox.invert(case.network_map), true


def judge_held_out(
    predictor: Predictor, index: Index, rows: "pd.DataFrame", progress: Progress | None = None
) -> Judged:
    """Judge every row; images that cannot be read are left out and counted.

    Raises:
        ModelError: fewer than two positives, two negatives and one trusted mask can be read.
    """
    logits: list[float] = []
    views: list[tuple[float, ...]] = []
    read: list[dict[Any, Any]] = []
    masked: list[Masked] = []
    embeddings: list[NDArray[np.float32]] = []
    refused: Counter[str] = Counter()
    for done, row in enumerate(rows.to_dict("records"), start=1):
        has_mask = true_mask(row) is not None
        try:
            raw = predictor.predict_raw(
                open_image(index.root, row["path"]), segment_from=0.0 if has_mask else _NEVER
            )
        except RefusedInputError as error:
            refused[error.code] += 1
        else:
            logits.append(raw.logit)
            views.append((*raw.view_logits, np.nan)[:2])
            read.append(row)
            if raw.embedding is None:
                raise ModelError("The classifier gives no embedding.")
            embeddings.append(raw.embedding)
            if raw.network_map is not None:
                masked.append(Masked(row, raw.letterbox, raw.network_map))
        if progress is not None:
            progress(done, len(rows))
    if refused:
        logger.warning("images of the held-out fold left out: %s", _counts(refused))
    labels = np.array([int(row["label"]) for row in read], dtype=np.int64)
    positives, negatives = int((labels == 1).sum()), int((labels == 0).sum())
    if min(positives, negatives) < 2 or not masked:
        raise ModelError(
            f"The held-out fold has {positives} positives, {negatives} negatives and"
            f" {len(masked)} trusted masks that can be read: two, two and one are needed.",
            "Hold out another fold, or name the folder of the images with --root.",
        )
    groups = tuple(str(row["group"]) for row in read)
    return Judged(
        logits=np.array(logits),
        views=np.array(views),
        labels=labels,
        groups=groups,
        masked=tuple(masked),
        embeddings=np.stack(embeddings),
        refused=refused,
    )


def _counts(refused: Counter[str]) -> str:
    return ", ".join(f"{code} {count}" for code, count in sorted(refused.items())) or "no rows"
