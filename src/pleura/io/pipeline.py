"""The transformations that a header asks for: modality, values of interest, padding, inversion."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pleura.io import tags
from pleura.io.elements import Header
from pleura.io.lut import LookupTable, read_lut
from pleura.io.stored import StoredPixels
from pleura.io.voi import VoiChoice, Window, read_window
from pleura.radiograph import Notice

_LARGEST = 1e100
"""Rescale values from here on are no numbers of a detector, and overflow in what follows."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The transformations that one header asks for.

    Attributes:
        modality: table, or None for `slope` and `intercept`.
        voi: table or window, or None for a range: `full`, else that of the values present.
        padding: smallest and largest stored value that is padding (PS3.3 C.7.5.1.1.2), or None.
    """

    modality: LookupTable | None = None
    slope: float = 1.0
    intercept: float = 0.0
    voi: LookupTable | Window | None = None
    full: bool = False
    padding: tuple[int, int] | None = None
    inverted: bool = False

    def modality_values(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Stored values -> modality values."""
        if self.modality is not None:
            return self.modality.apply(values)
        return values * self.slope + self.intercept

    def display(
        self, values: NDArray[np.float64], bounds: tuple[float, float]
    ) -> NDArray[np.float32]:
        """Modality values -> [0, 1]; `bounds` is the range to take when there is no VOI."""
        if isinstance(self.voi, Window):
            grey = self.voi.apply(values)
        elif self.voi is not None:
            grey = self.voi.apply(values) / self.voi.top
        else:
            low, high = bounds
            grey = np.clip((values - low) / max(high - low, np.finfo(np.float64).tiny), 0.0, 1.0)
        return (1.0 - grey if self.inverted else grey).astype(np.float32)

    def is_padding(self, values: NDArray[np.float64]) -> NDArray[np.bool_] | None:
        """Where stored values are padding; None when the header names none."""
        if self.padding is None:
            return None
        return (values >= self.padding[0]) & (values <= self.padding[1])


def read_pipeline(
    header: Header, stored: StoredPixels, photometric: str, choice: VoiChoice
) -> tuple[Pipeline, tuple[Notice, ...]]:
    """Read the transformations of a header.

    Raises:
        InvalidHeaderError: a look-up table that cannot be used.
    """
    notices: list[Notice] = []
    pipeline = Pipeline(
        padding=_padding(header, stored),
        # Both attributes ask for the same, single inversion (PS3.3 C.8.11.3.1.2).
        inverted=photometric == "MONOCHROME1" or _inverse_shape(header),
    )
    items, said = _tables(header, tags.MODALITY_LUT_SEQUENCE)
    notices.extend(said)
    if items:
        table = read_lut(items[0], signed_input=stored.signed, name="Modality LUT Sequence")
        notices.extend(table.notices)
        pipeline = replace(pipeline, modality=table)
    else:
        slope, intercept, said = _rescale(header)
        notices.extend(said)
        pipeline = replace(pipeline, slope=slope, intercept=intercept)

    tables, said = _tables(header, tags.VOI_LUT_SEQUENCE)
    notices.extend(said)
    if choice is VoiChoice.AUTO and tables:
        signed = pipeline.modality is None and (
            stored.signed or pipeline.intercept < 0 or pipeline.slope < 0
        )
        voi = read_lut(tables[0], signed_input=signed, name="VOI LUT Sequence")
        notices.extend(voi.notices)
        if len(tables) > 1:
            notices.append(
                Notice("several_voi_luts", f"The first of {len(tables)} VOI LUTs was applied.")
            )
        return replace(pipeline, voi=voi), tuple(notices)
    if choice in (VoiChoice.AUTO, VoiChoice.WINDOW):
        window, said = read_window(header)
        notices.extend(said)
        if window is not None:
            return replace(pipeline, voi=window), tuple(notices)
    plain = pipeline.modality is None and (pipeline.slope, pipeline.intercept) == (1.0, 0.0)
    full = choice is VoiChoice.FULL or (
        choice is not VoiChoice.RANGE and plain and stored.bits <= 8
    )
    if not full and choice is not VoiChoice.RANGE:
        notices.append(
            Notice("no_window", "The header has no window; the range of the values was taken.")
        )
    return replace(pipeline, full=full), tuple(notices)


def _tables(header: Header, tag: int) -> tuple[list[Header], tuple[Notice, ...]]:
    """Items of a LUT sequence that are not hollow: some writers leave an item without values."""
    items = header.items(tag)
    whole = [
        item for item in items if item.integers(tags.LUT_DESCRIPTOR) or item.texts(tags.LUT_DATA)
    ]
    if len(whole) < len(items):
        return whole, (Notice("lut_ignored", "A look-up table without any value was ignored."),)
    return whole, ()


def _inverse_shape(header: Header) -> bool:
    return header.text(tags.PRESENTATION_LUT_SHAPE).upper() == "INVERSE"


def _rescale(header: Header) -> tuple[float, float, tuple[Notice, ...]]:
    slopes = header.decimals(tags.RESCALE_SLOPE)
    intercepts = header.decimals(tags.RESCALE_INTERCEPT)
    slope = slopes[0] if slopes else 1.0
    intercept = intercepts[0] if intercepts else 0.0
    # Not a number, or so large that no window could be laid over the values: false either way.
    if not (abs(slope) < _LARGEST and abs(intercept) < _LARGEST) or slope == 0.0:
        said = Notice("rescale_ignored", "Rescale Slope or Intercept is not usable and is ignored.")
        return 1.0, 0.0, (said,)
    return slope, intercept, ()


def _padding(header: Header, stored: StoredPixels) -> tuple[int, int] | None:
    """Smallest and largest padding value on the scale of the stored values."""
    value = header.integer(tags.PIXEL_PADDING_VALUE)
    if value is None:
        return None
    limit = header.integer(tags.PIXEL_PADDING_RANGE_LIMIT)
    ends = [_on_scale(end, stored) for end in (value, value if limit is None else limit)]
    return min(ends), max(ends)


def _on_scale(value: int, stored: StoredPixels) -> int:
    """A value of the header as 16 bits -> signed where the pixels are."""
    value &= 0xFFFF
    if stored.signed and value >= 0x8000:
        return value - 0x10000
    # Some writers give the padding of 12-bit signed pixels as a pattern of 12 bits.
    if stored.signed and value >> stored.bits == 0 and value >> (stored.bits - 1) == 1:
        return value - (1 << stored.bits)
    return value
