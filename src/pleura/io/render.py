"""Stored values -> what a viewer shows: the greyscale pipeline of DICOM, as one table.

Modality transformation, VOI transformation, inversion; in this order, once (PS3.3 C.11.1, C.11.2,
C.7.6.3.1.2; PS3.4 N.2). All of it is a function of one pixel's value, so for cells of 8 and 16
bits it is evaluated once for each possible cell and looked up for each pixel.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from pleura.io.dicom_dataset import object_of
from pleura.io.dicom_file import DicomObject
from pleura.io.layout import read_layout
from pleura.io.limits import DEFAULT_LIMITS, Limits
from pleura.io.lookup import look_up
from pleura.io.pipeline import Pipeline, read_pipeline
from pleura.io.stored import StoredPixels, require_pixels, stored_pixels
from pleura.io.voi import VoiChoice
from pleura.radiograph import Notice


@dataclass(frozen=True, slots=True)
class Rendering:
    """Rendered pixels, float32 (rows, columns) in [0, 1], and what had to be assumed."""

    pixels: NDArray[np.float32]
    notices: tuple[Notice, ...]


def render_pixels(
    dataset: Dataset, *, voi: VoiChoice = VoiChoice.AUTO, limits: Limits = DEFAULT_LIMITS
) -> NDArray[np.float32]:
    """Render any single-frame greyscale DICOM image, whatever its modality.

    Args:
        dataset: a data set with pixel data, decoded or not.
        voi: which VOI transformation to apply.
        limits: bounds on the size.

    Returns:
        float32, (rows, columns), in [0, 1]: 0 is black and 1 is white on a display.

    Raises:
        RefusedInputError: one of its kinds, as for `read_radiograph`, without the check of the
            modality and of the smallest size.
    """
    return render(object_of(dataset), voi=voi, limits=limits).pixels


def render(
    source: DicomObject, *, voi: VoiChoice = VoiChoice.AUTO, limits: Limits = DEFAULT_LIMITS
) -> Rendering:
    """Render a parsed DICOM object; see `render_pixels`."""
    require_pixels(source)
    layout = read_layout(source.header, limits)
    stored = stored_pixels(source, layout)
    pipeline, notices = read_pipeline(source.header, stored, layout.photometric, voi)
    if stored.cells.dtype.itemsize > 2:
        pixels = _render_wide(stored, pipeline)
    else:
        pixels = _render_by_table(stored, pipeline)
    return Rendering(pixels, (*layout.notices, *stored.notices, *notices))


def _limits_of(stored: StoredPixels) -> tuple[int, int]:
    """Smallest and largest value that the stored bits can express."""
    if stored.signed:
        return -(1 << (stored.bits - 1)), (1 << (stored.bits - 1)) - 1
    return 0, (1 << stored.bits) - 1


def values_of(cells: NDArray[np.int64], stored: StoredPixels) -> NDArray[np.float64]:
    """Stored value in each cell: shifted, freed of foreign bits, with its sign."""
    values: NDArray[np.int64] = cells >> stored.shift
    if stored.coded_bits:
        if stored.signed:
            values = _signed(values, stored.coded_bits)
        return np.clip(values, *_limits_of(stored)).astype(np.float64)
    if stored.signed:
        return _signed(values, stored.bits).astype(np.float64)
    return (values & ((1 << stored.bits) - 1)).astype(np.float64)


def _signed(values: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """Two's complement over the lowest `bits` bits."""
    values = values & ((1 << bits) - 1)
    return values - ((values >> (bits - 1)) << bits)


def _bounds(
    stored: StoredPixels, pipeline: Pipeline, present: NDArray[np.float64]
) -> tuple[float, float]:
    """Range of modality values that becomes black to white when there is no VOI."""
    if pipeline.full:
        present = np.array(_limits_of(stored), np.float64)
    if present.size == 0:
        return 0.0, 0.0
    outputs = pipeline.modality_values(present)
    return float(outputs.min()), float(outputs.max())


def _render_by_table(stored: StoredPixels, pipeline: Pipeline) -> NDArray[np.float32]:
    cells = stored.cells
    values = values_of(np.arange(1 << (8 * cells.dtype.itemsize), dtype=np.int64), stored)
    padding = pipeline.is_padding(values)
    bounds = (0.0, 0.0)
    if pipeline.voi is None:
        found = np.ones(values.size, np.bool_)
        if not pipeline.full:
            found = np.bincount(cells.ravel(), minlength=values.size) > 0
            if padding is not None:
                found &= ~padding
        bounds = _bounds(stored, pipeline, values[found])
    table = pipeline.display(pipeline.modality_values(values), bounds)
    if padding is not None:
        table[padding] = 0.0
    return look_up(table, cells)


def _render_wide(stored: StoredPixels, pipeline: Pipeline) -> NDArray[np.float32]:
    """Cells of 32 bits, band by band: no table is possible, and no wide copy is made."""
    low, high = np.inf, -np.inf
    bands = _bands(stored.cells.shape)
    for band in bands if pipeline.voi is None else ():
        values = values_of(stored.cells[band].astype(np.int64), stored)
        padding = pipeline.is_padding(values)
        present = values if padding is None else values[~padding]
        if present.size:
            bounds = _bounds(stored, pipeline, present)
            low, high = min(low, bounds[0]), max(high, bounds[1])
    if low > high:
        low = high = 0.0
    pixels = np.empty(stored.cells.shape, np.float32)
    for band in bands:
        values = values_of(stored.cells[band].astype(np.int64), stored)
        pixels[band] = pipeline.display(pipeline.modality_values(values), (low, high))
        padding = pipeline.is_padding(values)
        if padding is not None:
            pixels[band][padding] = 0.0
    return pixels


def _bands(shape: tuple[int, ...]) -> list[slice]:
    """Rows in groups of about 64 Ki pixels: few enough to be quick, small enough for the cache."""
    rows, columns = shape
    height = max(1, (1 << 16) // columns)
    return [slice(start, start + height) for start in range(0, rows, height)]
