"""From an index to the arrays that training draws from."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pleura.data.cache import open_cache
from pleura.data.dataset import Examples
from pleura.data.index import read_index
from pleura.data.splits import from_two_sided_sources
from pleura.errors import DataError
from pleura.masks import Letterbox
from pleura.training.config import DataConfig, PhantomConfig

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Examples, their split into training and validation, and where they came from.

    Attributes:
        examples: real images first, then phantoms.
        table: rows of the index, one for each real example, in the same order.
        training: positions to train on.
        validation: positions held out and validated on; empty without a validation fold. Held-out
            images of one-sided label sources are neither trained on nor validated on.
        fingerprint: of the index.
        refused: error codes of images that could not be read, by image_id.
    """

    examples: Examples
    table: "pd.DataFrame"
    training: NDArray[np.int64]
    validation: NDArray[np.int64]
    fingerprint: str
    refused: dict[str, str]


def load_examples(config: DataConfig) -> TrainingData:
    """Read the labelled rows of the index's `train` split; the test split is never touched.

    Raises:
        NotFoundError: there is no such index, or an image that it names is not there.
        DataError: no labelled training image, or the validation fold leaves one side empty.
    """
    index = read_index(config.index, root=config.root)
    table = index.table
    table = table[(table["split"] == "train") & table["label"].notna()].reset_index(drop=True)
    if config.limit is not None:
        table = table.head(config.limit)
    if table.empty:
        raise DataError("The index has no labelled image in its split 'train'.")
    cache = open_cache(index, table, config.cache_size, config.cache)
    table = table.set_index("image_id", drop=False).loc[list(cache.image_ids)]
    examples = _real_examples(cache.images, cache.masks, table, config.min_mask_weight)
    if config.phantoms.share > 0:
        examples = _with_phantoms(examples, config.phantoms)
    positions = np.arange(len(examples))
    held_out = np.zeros(len(examples), dtype=bool)
    if config.validation_fold is not None:
        in_fold = table["fold"] == config.validation_fold
        held_out[: len(table)] = in_fold.to_numpy(dtype=bool, na_value=False)
        judged = held_out & ~examples.one_sided
        if not judged.any() or held_out[: len(table)].all():
            raise DataError(f"Validation fold {config.validation_fold} leaves one side empty.")
    return TrainingData(
        examples=examples,
        table=table,
        training=positions[~held_out],
        validation=positions[held_out & ~examples.one_sided],
        fingerprint=index.fingerprint,
        refused=cache.refused,
    )


def _real_examples(
    images: NDArray[np.uint8],
    masks: NDArray[np.uint8],
    table: "pd.DataFrame",
    min_mask_weight: float,
) -> Examples:
    labels = table["label"].to_numpy(dtype=np.float32, na_value=np.nan)
    weights = table["mask_weight"].to_numpy(dtype=np.float32, na_value=0.0)
    weights = np.where(weights < min_mask_weight, 0, weights)
    weights = np.where(labels == 0, 1, weights)  # a negative's empty mask is certain
    return Examples(
        images,
        masks,
        labels,
        weights.astype(np.float32),
        synthetic=np.zeros(len(table), dtype=bool),
        one_sided=~from_two_sided_sources(table),
    )


def _with_phantoms(examples: Examples, config: PhantomConfig) -> Examples:
    from pleura.phantom import draw, spec_for

    side = examples.images.shape[1]
    images, masks, labels = [], [], []
    for number in range(config.count):
        phantom = draw(spec_for(config.first_seed + number, pneumothorax=number % 2 == 0))
        rows, columns = phantom.mask.shape
        letterbox = Letterbox(rows, columns, side)
        pixels = phantom.pixels.astype(np.float32) / np.float32(255)
        images.append(np.rint(letterbox.apply(pixels) * 255).astype(np.uint8))
        masks.append(np.rint(letterbox.apply_mask(phantom.mask) * 255).astype(np.uint8))
        labels.append(np.float32(phantom.mask.any()))
    logger.info("%d phantoms join the training images", config.count)
    return Examples(
        np.concatenate([examples.images, np.stack(images)]),
        np.concatenate([examples.masks, np.stack(masks)]),
        np.concatenate([examples.labels, np.array(labels, dtype=np.float32)]),
        np.concatenate([examples.mask_weights, np.ones(config.count, np.float32)]),
        np.concatenate([examples.synthetic, np.ones(config.count, dtype=bool)]),
        np.concatenate([examples.one_sided, np.zeros(config.count, dtype=bool)]),
    )
