"""Decoded pixels and masks, memory-mapped: training never waits for decoding.

Every image goes the same way as at inference (`read_radiograph`, letterbox by area averaging), so
that nothing but the picture itself tells where it came from.
"""

import hashlib
import json
import logging
import shutil
import uuid
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pleura.data.columns import NO_MASK
from pleura.data.once import one_builder
from pleura.data.sources import open_image
from pleura.errors import DataError, NotFoundError, RefusedInputError
from pleura.io import read_radiograph
from pleura.masks import Letterbox, RunLengthConvention, decode

if TYPE_CHECKING:
    import pandas as pd

    from pleura.data.index import Index

logger = logging.getLogger(__name__)

_IMAGES, _MASKS, _META = "images.npy", "masks.npy", "cache.json"


@dataclass(frozen=True, eq=False)
class PixelCache:
    """Images and masks of some rows of an index.

    Attributes:
        images: uint8, (n, size, size), memory-mapped; 0 is black.
        masks: uint8, (n, size, size), memory-mapped; 255 where the mask covers the whole pixel.
        image_ids: the n images, in the order of the arrays.
        refused: error codes of images that are there and cannot be decoded, by image_id; they are
            left out.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    image_ids: tuple[str, ...]
    refused: dict[str, str]

    @property
    def size(self) -> int:
        """Side of the square images in pixels."""
        return int(self.images.shape[1])


def open_cache(index: "Index", table: "pd.DataFrame", size: int, folder: Path) -> PixelCache:
    """Open the cache of these rows, building it first when it is not there.

    Several processes may call this at once: one builds, the others wait for it. A build that was
    killed is never mistaken for a finished one.

    Args:
        index: says where the images are.
        table: the rows of `index.table` to hold.
        size: side of the square in pixels.
        folder: a subfolder named by content is made here.

    Raises:
        NotFoundError: a file, an archive or a member of one is not there.
        DataError: an archive is damaged, not one image could be decoded, or the cache was damaged.
    """
    place = folder / f"{_content_name(index, table)}-{size}px"
    if not place.is_dir():
        with one_builder(place):
            if not place.is_dir():
                _build(index, table, size, place)
    try:
        meta = json.loads((place / _META).read_text(encoding="utf-8"))
        images = np.load(place / _IMAGES, mmap_mode="r")
        masks = np.load(place / _MASKS, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"The pixel cache {place} is damaged.", "Delete it.") from error
    count = len(meta["image_ids"])  # refused images leave unused places at the end
    return PixelCache(images[:count], masks[:count], tuple(meta["image_ids"]), meta["refused"])


def _content_name(index: "Index", table: "pd.DataFrame") -> str:
    identifiers = "\n".join(sorted(table["image_id"]))
    return hashlib.sha256(f"{index.fingerprint}\n{identifiers}".encode()).hexdigest()[:16]


def _build(index: "Index", table: "pd.DataFrame", size: int, place: Path) -> None:
    building = place.with_name(f".{place.name}-{uuid.uuid4().hex[:8]}")
    building.mkdir(parents=True)
    logger.info("decoding %d images into the pixel cache %s", len(table), place)
    try:
        _fill(index, table, size, building)
        try:
            building.rename(place)
        except OSError:
            if not place.is_dir():  # else another process was faster, where locks do nothing
                raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _fill(index: "Index", table: "pd.DataFrame", size: int, building: Path) -> None:
    shape = (len(table), size, size)
    images = np.lib.format.open_memmap(building / _IMAGES, "w+", np.uint8, shape)
    masks = np.lib.format.open_memmap(building / _MASKS, "w+", np.uint8, shape)
    image_ids: list[str] = []
    refused: dict[str, str] = {}
    for row in table.itertuples(index=False):
        stored = _stored(index.root, str(row.path))
        try:
            radiograph = read_radiograph(stored, name=str(row.path))
        except RefusedInputError as error:
            refused[str(row.image_id)] = error.code
            continue
        rows, columns = radiograph.shape
        grid = Letterbox(rows, columns, size).apply(radiograph.pixels)
        images[len(image_ids)] = np.rint(np.clip(grid, 0, 1) * 255)
        masks[len(image_ids)] = _mask_on_grid(row, size)
        image_ids.append(str(row.image_id))
    if not image_ids:
        raise DataError("Not one image of the index could be decoded.")
    if refused:
        codes = dict(Counter(refused.values()))
        logger.warning("%d images were refused and are left out: %s", len(refused), codes)
    images.flush()
    masks.flush()
    meta = {"image_ids": image_ids, "refused": refused, "size": size}
    (building / _META).write_text(json.dumps(meta), encoding="utf-8")


def _stored(root: Path, path: str) -> bytes:
    """The bytes of an image; when they are not there the build ends.

    A refusal is kept for good, and a folder that is not mounted today says nothing of the image.
    """
    try:
        return open_image(root, path)
    except (NotFoundError, DataError) as error:
        hint = "Bring the images back, name their folder with data.root, or index it again."
        raise type(error)(error.message, hint) from error


def _mask_on_grid(row: "object", size: int) -> NDArray[np.uint8]:
    rle: str = row.rle  # type: ignore[attr-defined]
    if rle in ("", NO_MASK):
        return np.zeros((size, size), np.uint8)
    rows, columns = int(row.mask_rows), int(row.mask_columns)  # type: ignore[attr-defined]
    mask = decode(rle, (rows, columns), RunLengthConvention.SIIM_RELATIVE)
    coverage = Letterbox(rows, columns, size).apply_mask(mask)
    return np.rint(coverage * 255).astype(np.uint8)
