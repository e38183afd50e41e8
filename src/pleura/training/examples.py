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
from pleura.radiograph import Radiograph
from pleura.training.config import DataConfig, PhantomConfig

if TYPE_CHECKING:
    import pandas as pd

    from pleura.data.index import Index

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Examples, their split into training and validation, and where they came from.

    Attributes:
        examples: labelled images first, then those that a teacher labelled, then phantoms.
        table: rows of the index, one for each labelled image, in the same order.
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


def as_radiograph(image: NDArray[np.uint8]) -> Radiograph:
    """A cached image (side, side), for what is given radiographs."""
    return Radiograph(image.astype(np.float32) / np.float32(255))


def load_examples(config: DataConfig) -> TrainingData:
    """Read the labelled rows of the index's `train` split; the test split is never touched.

    With a teacher, the rows of the split `unlabelled` join them, less those of patients of the
    held-out fold. A teacher that mends leaves the held-out masks alone.

    Raises:
        ModelError: the teacher cannot be used.
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
    in_fold = np.zeros(len(table), dtype=bool)
    if config.validation_fold is not None:
        in_fold = (table["fold"] == config.validation_fold).to_numpy(dtype=bool, na_value=False)
    if config.mending.teacher is not None:
        from pleura.training.mending import mend

        content = "\n".join(cache.image_ids)
        examples = mend(examples, ~in_fold, config.mending, config.cache, content)
    if config.unlabelled.teacher is not None:
        examples = examples.joined(_taught_examples(index, table, config))
    if config.phantoms.share > 0:
        examples = examples.joined(_phantoms(examples.images.shape[1], config.phantoms))
    positions = np.arange(len(examples))
    held_out = np.zeros(len(examples), dtype=bool)
    if config.validation_fold is not None:
        held_out[: len(table)] = in_fold
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
        taught=np.zeros(len(table), dtype=bool),
    )


def _taught_examples(index: "Index", labelled: "pd.DataFrame", config: DataConfig) -> Examples:
    """Images without a label, as the teacher sees them."""
    from pleura.training.teacher import teach

    if config.unlabelled.teacher is None:
        raise ValueError("there is no teacher")
    table = index.table[index.table["split"] == "unlabelled"].reset_index(drop=True)
    if config.validation_fold is not None:
        held_out = labelled.loc[labelled["fold"] == config.validation_fold, "group"]
        table = table[~table["group"].isin(set(held_out))].reset_index(drop=True)
    if config.limit is not None:
        table = table.head(config.limit)
    if table.empty:
        raise DataError("The index has no image in its split 'unlabelled'.")
    cache = open_cache(index, table, config.cache_size, config.cache)
    content = "\n".join(cache.image_ids)
    taught = teach(cache.images, config.unlabelled.teacher, config.cache, content)
    count = len(cache.images)
    logger.info(
        "%d unlabelled images join the training images, %.0f positive by the teacher",
        count,
        taught.labels.sum(),
    )
    return Examples(
        cache.images,
        taught.masks(cache.size),
        taught.labels,
        mask_weights=np.ones(count, np.float32),
        synthetic=np.zeros(count, dtype=bool),
        one_sided=np.zeros(count, dtype=bool),
        taught=np.ones(count, dtype=bool),
    )


def _phantoms(side: int, config: PhantomConfig) -> Examples:
    from pleura.phantom import draw, spec_for

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
    nowhere = np.zeros(config.count, dtype=bool)
    return Examples(
        np.stack(images),
        np.stack(masks),
        np.array(labels, dtype=np.float32),
        mask_weights=np.ones(config.count, np.float32),
        synthetic=~nowhere,
        one_sided=nowhere,
        taught=nowhere,
    )
