"""From an index and a model to a plain table: one row an image, all that the figures need."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pleura.data.columns import NO_MASK
from pleura.data.index import Index
from pleura.data.sources import open_image
from pleura.errors import DataError, PleuraError, RefusedInputError
from pleura.inference import Predictor, RawPrediction, Stage, Status
from pleura.inference.postprocess import mask_from_map
from pleura.masks import RunLengthConvention, decode
from pleura.metrics import EmptyConvention, dice, iou

MATCHED = "matched"
_NEVER = 2.0  # no probability reaches it
CARRIED_COLUMNS = (
    "view",
    "sex",
    "age_years",
    "chest_tube",
    "pixels_from",
    "label_source",
    "mask_source",
)
LATENCY_PREFIX = "ms_"

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The rows of an index that are evaluated.

    Attributes:
        table: rows with a label.
        rows: rows that were asked for, with and without a label.
    """

    table: pd.DataFrame
    rows: int


def select_rows(
    index: Index, split: str | None, limit: int | None = None, seed: int = 0
) -> Selection:
    """The labelled rows of a split, or a random sample of them, in the order of the index.

    Args:
        index: the data set.
        split: value of the index's column `split`; None for every row that may be used.
        limit: at most so many rows, drawn at random; None for all.
        seed: of the draw.

    Raises:
        DataError: the split holds no row, or no labelled one.
    """
    splits = index.table["split"]
    table = index.table[splits != "" if split is None else splits == split]
    if table.empty and split is None:
        raise DataError("The index has no rows that may be used.")
    if table.empty:
        known = ", ".join(sorted(set(index.table["split"]) - {""})) or "none"
        raise DataError(f"The index has no rows of the split '{split}'.", f"It has: {known}.")
    if limit is not None and limit < len(table):
        drawn = np.random.default_rng(seed).permutation(len(table))[:limit]
        table = table.iloc[np.sort(drawn)]
    labelled = table[table["label"].notna()]
    if labelled.empty:
        where = "index" if split is None else f"split '{split}'"
        raise DataError(f"No row of the {where} has a label.")
    return Selection(labelled.reset_index(drop=True), len(table))


def predict_cases(
    predictor: Predictor,
    index: Index,
    rows: pd.DataFrame,
    progress: Progress | None = None,
    *,
    masks: bool = True,
) -> pd.DataFrame:
    """Judge every row; a file that cannot be judged stays in the table with its code.

    The segmenter runs on every image. `dice` and `iou` compare its mask with the true one, whatever
    the probability, on the true mask's grid; they are NaN for negatives and for positives whose
    mask is unknown or was only matched to the image.

    Args:
        predictor: the model.
        index: where the files lie.
        rows: labelled rows of the index.
        progress: called with (done, total) after each image.
        masks: whether to run the segmenter; without it dice, iou and predicted_area_fraction are
            NaN, and there are no times.

    Returns:
        one row an image: image_id, group, status (`ok`, `refused`, `failed`), error_code,
        error_message, label, logit, probability, uncertainty (spread of the probability over the
        views of the image; NaN if the model looks at one, 0 where it needed one), dice, iou,
        true_area_fraction, predicted_area_fraction (of the forced mask), the columns of
        `CARRIED_COLUMNS`, and milliseconds by stage as `ms_decode` ... `ms_total`.
    """
    records: list[dict[str, Any]] = []
    for done, row in enumerate(rows.to_dict("records"), start=1):
        record = _what_is_known({str(name): value for name, value in row.items()})
        try:
            record |= _judge(predictor, index, row, masks)
        except PleuraError as error:
            refused = isinstance(error, RefusedInputError)
            record |= {
                "status": (Status.REFUSED if refused else Status.FAILED).value,
                "error_code": error.code,
                "error_message": error.message,
            }
        records.append(record)
        if progress is not None:
            progress(done, len(rows))
    return pd.DataFrame.from_records(records)


def true_mask(row: dict[Any, Any]) -> NDArray[np.bool_] | None:
    """The row's mask on its own grid; None when it is unknown or only matched to the image."""
    rle = str(row["rle"])
    if rle in ("", NO_MASK) or row["mask_source"] == MATCHED:
        return None
    shape = int(row["mask_rows"]), int(row["mask_columns"])
    return decode(rle, shape, RunLengthConvention.SIIM_RELATIVE)


def _what_is_known(row: dict[str, Any]) -> dict[str, Any]:
    trusted = row["mask_source"] != MATCHED
    return {
        "image_id": row["image_id"],
        "group": row["group"],
        "status": Status.OK.value,
        "error_code": "",
        "error_message": "",
        "label": int(row["label"]),
        "logit": np.nan,
        "probability": np.nan,
        "uncertainty": np.nan,
        "dice": np.nan,
        "iou": np.nan,
        "true_area_fraction": row["area_fraction"] if trusted else np.nan,
        "predicted_area_fraction": np.nan,
    } | {name: row[name] for name in CARRIED_COLUMNS}


def _spread_of(predictor: Predictor, raw: RawPrediction) -> float:
    """A negative so clear that one view was enough is the least doubtful of all."""
    if raw.uncertainty is not None:
        return raw.uncertainty
    return np.nan if predictor.manifest.mirror_from is None else 0.0


def _judge(predictor: Predictor, index: Index, row: dict[Any, Any], masks: bool) -> dict[str, Any]:
    if not row["path"]:
        raise DataError("The index knows no file for this image.")
    image = open_image(index.root, row["path"])
    raw = predictor.predict_raw(image, segment_from=0.0 if masks else _NEVER)
    figures: dict[str, Any] = {
        "logit": raw.logit,
        "probability": raw.probability,
        "uncertainty": _spread_of(predictor, raw),
    }
    if not masks:
        return figures
    true = true_mask(row)
    predicted = forced_mask(predictor, raw, None if true is None else true.shape)
    timings = predictor.decide(raw).timings_ms
    figures["predicted_area_fraction"] = float(predicted.mean())
    if true is not None:
        convention = EmptyConvention.POSITIVES
        figures["dice"] = float(dice(predicted, true, convention))
        figures["iou"] = float(iou(predicted, true, convention))
    return figures | {f"{LATENCY_PREFIX}{stage}": timings[stage] for stage in Stage}


def forced_mask(
    predictor: Predictor, raw: RawPrediction, shape: tuple[int, ...] | None
) -> NDArray[np.bool_]:
    """The segmenter's mask as if the finding were present, on the wanted grid or the file's.

    Args:
        predictor: whose rule for masks decides.
        raw: what it said, the segmenter run.
        shape: rows and columns of the wanted grid; None for the file's own.

    Raises:
        ValueError: the segmenter was not run.
    """
    if raw.network_map is None:
        raise ValueError("the segmenter was not run")
    probability_map = raw.letterbox.invert(raw.network_map)
    if shape is not None and probability_map.shape != shape:
        # Training copies are smaller than the grid of the published masks.
        resized = cv2.resize(probability_map, shape[::-1], interpolation=cv2.INTER_LINEAR)
        probability_map = np.asarray(resized, dtype=np.float32)
    return mask_from_map(probability_map, predictor.manifest.mask)
