"""Run-length codecs: SIIM-ACR relative, Kaggle absolute, and COCO counts.

All conventions read the mask down its columns. Work is done on whole arrays, so that a 1024 x 1024
mask costs well under a millisecond (`benchmarks/rle.py`). Runs that touch each other are accepted;
encoding writes them as one.
"""

from collections.abc import Iterable
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from pleura.errors import RunLengthError
from pleura.masks import coco
from pleura.masks.counts import Shape, counts_of, mask_of, pixel_count, set_ones
from pleura.masks.tokens import malformed, parse_numbers

SIIM_EMPTY = "-1"


class RunLengthConvention(StrEnum):
    """How a string of numbers stands for a mask.

    `SIIM_RELATIVE`: pairs of start and length; a start counts from the end of the run before it
    (the first from 0); `"-1"` is the empty mask (SIIM-ACR Pneumothorax Segmentation, 2019).
    `KAGGLE_ABSOLUTE`: pairs of start and length; starts are absolute, the first pixel is 1, in
    rising order; `""` is the empty mask (most Kaggle segmentation challenges).
    `COCO`: lengths of alternating runs of zeros and ones, zeros first (Lin et al., ECCV 2014;
    "uncompressed RLE" of its API), written with blanks between them.
    `COCO_COMPRESSED`: the same numbers in the printable form of COCO annotation files.
    """

    SIIM_RELATIVE = "siim-relative"
    KAGGLE_ABSOLUTE = "kaggle-absolute"
    COCO = "coco"
    COCO_COMPRESSED = "coco-compressed"


def encode(
    mask: NDArray[np.bool_],
    convention: RunLengthConvention = RunLengthConvention.SIIM_RELATIVE,
) -> str:
    """Write a mask as a run-length string.

    Args:
        mask: bool, (rows, columns).
        convention: what the numbers mean.

    Returns:
        The numbers in decimal, one blank between them, or COCO's printable form.

    Raises:
        ValueError: `mask` is not a two-dimensional, non-empty bool array.
    """
    counts = counts_of(mask)
    match RunLengthConvention(convention):
        case RunLengthConvention.COCO_COMPRESSED:
            return coco.compress(counts)
        case RunLengthConvention.COCO:
            numbers = counts
        case RunLengthConvention.SIIM_RELATIVE:
            if counts.size == 1:
                return SIIM_EMPTY
            numbers = counts[: counts.size & ~1]
        case RunLengthConvention.KAGGLE_ABSOLUTE:
            numbers = counts[: counts.size & ~1].copy()
            numbers[0::2] = np.cumsum(numbers)[0::2] + 1
    return " ".join(map(str, numbers.tolist()))


def decode(
    rle: str,
    shape: Shape,
    convention: RunLengthConvention = RunLengthConvention.SIIM_RELATIVE,
) -> NDArray[np.bool_]:
    """Read a run-length string.

    Blanks around and between the numbers do not matter. The empty mask is only what the convention
    says it is: an empty string is malformed in `SIIM_RELATIVE`, and `"-1"` in the others, because
    either is more often a lost cell of a table than a radiograph without pneumothorax.

    Args:
        rle: the string.
        shape: (rows, columns) of the mask.
        convention: what the numbers mean.

    Returns:
        bool, (rows, columns), row-major.

    Raises:
        RunLengthError: the string is malformed; the message names the position of the first
            offending number, counted from 1, and its value.
        ValueError: `shape` is not two positive numbers.
    """
    return mask_of(_read_counts(rle, shape, convention), shape)


def decode_union(
    rles: Iterable[str],
    shape: Shape,
    convention: RunLengthConvention = RunLengthConvention.SIIM_RELATIVE,
) -> NDArray[np.bool_]:
    """Read several run-length strings of one image; a pixel is set when any of them sets it.

    Args:
        rles: the strings; none at all is the empty mask.
        shape: (rows, columns) of the mask.
        convention: what the numbers mean.

    Returns:
        bool, (rows, columns), row-major.

    Raises:
        RunLengthError: a string is malformed; the message names which, and the position in it.
        ValueError: `shape` is not two positive numbers.
    """
    pixel_count(shape)
    union = np.zeros(shape, dtype=np.bool_)
    for index, rle in enumerate(rles, start=1):
        try:
            set_ones(union, _read_counts(rle, shape, convention))
        except RunLengthError as error:
            raise RunLengthError(f"String {index}: {error.message}", error.hint) from error
    return union


def area(
    rle: str,
    shape: Shape,
    convention: RunLengthConvention = RunLengthConvention.SIIM_RELATIVE,
) -> int:
    """Number of pixels that a run-length string sets, without decoding it to a mask.

    Args:
        rle: the string.
        shape: (rows, columns) of the mask.
        convention: what the numbers mean.

    Raises:
        RunLengthError: the string is malformed, as in `decode`.
        ValueError: `shape` is not two positive numbers.
    """
    return int(_read_counts(rle, shape, convention)[1::2].sum())


def _read_counts(rle: str, shape: Shape, convention: RunLengthConvention) -> NDArray[np.int64]:
    """Checked column-major counts; ones may be followed by a count of 0 where runs touch."""
    pixels = pixel_count(shape)
    match RunLengthConvention(convention):
        case RunLengthConvention.COCO_COMPRESSED:
            return _check_coco(coco.expand(rle, pixels), pixels)
        case RunLengthConvention.COCO:
            return _check_coco(parse_numbers(rle, pixels), pixels)
        case RunLengthConvention.SIIM_RELATIVE:
            if rle.strip() == SIIM_EMPTY:
                return np.array([pixels], dtype=np.int64)
            numbers = parse_numbers(rle, pixels)
            if numbers.size == 0:
                raise malformed(1, "", f"is missing; the empty mask is written {SIIM_EMPTY}")
            _check_pairs(numbers)
            return _close(numbers, pixels)
        case RunLengthConvention.KAGGLE_ABSOLUTE:
            numbers = parse_numbers(rle, pixels)
            _check_pairs(numbers)
            return _close(_relative(numbers), pixels, numbers)


def _check_pairs(numbers: NDArray[np.int64]) -> None:
    """Starts and lengths come in pairs, and every length is positive."""
    if numbers.size % 2:
        raise malformed(numbers.size, numbers[-1], "is a start without a length")
    empty = np.flatnonzero(numbers[1::2] == 0)
    if empty.size:
        raise malformed(2 * int(empty[0]) + 2, 0, "is a run of no pixels")


def _relative(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Absolute starts, from 1, to starts that count from the end of the run before."""
    starts = numbers[0::2] - 1
    ends = starts + numbers[1::2]
    gaps = starts.copy()
    gaps[1:] -= ends[:-1]
    early = np.flatnonzero(gaps < 0)
    if early.size:
        run = int(early[0])
        reason = (
            "begins before the end of the run before it" if run else "is below the first pixel, 1"
        )
        raise malformed(2 * run + 1, numbers[2 * run], reason)
    relative = numbers.copy()
    relative[0::2] = gaps
    return relative


def _close(
    relative: NDArray[np.int64], pixels: int, written: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Append the zeros after the last run; `written` holds the numbers as the string has them."""
    reached = np.cumsum(relative)
    beyond = np.flatnonzero(reached > pixels)
    if beyond.size:
        at = int(beyond[0])
        value = (relative if written is None else written)[at]
        raise malformed(at + 1, value, f"reaches beyond the last of {pixels} pixels")
    rest = pixels - (int(reached[-1]) if reached.size else 0)
    return np.append(relative, np.int64(rest))


def _check_coco(counts: NDArray[np.int64], pixels: int) -> NDArray[np.int64]:
    """Only the first count may be 0, and all add up to the number of pixels."""
    empty = np.flatnonzero(counts[1:] == 0)
    if empty.size:
        raise malformed(int(empty[0]) + 2, 0, "is a run of no pixels")
    reached = np.cumsum(counts)
    beyond = np.flatnonzero(reached > pixels)
    if beyond.size:
        at = int(beyond[0])
        raise malformed(at + 1, counts[at], f"reaches beyond the last of {pixels} pixels")
    total = int(reached[-1]) if reached.size else 0
    if total != pixels:
        missing = f"is missing; the counts end at {total} of {pixels} pixels"
        raise malformed(counts.size + 1, "", missing)
    return counts
