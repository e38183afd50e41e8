"""Blank-separated decimal numbers to an array, with the position of the first one that is not."""

import numpy as np
from numpy.typing import NDArray

from pleura.errors import RunLengthError

_PLAIN = b"0123456789 \t\r\n"
_SHOWN = 24


def malformed(position: int, value: object, reason: str) -> RunLengthError:
    """The error for the number at `position`, counted from 1, that the string gives as `value`."""
    text = str(value)
    if len(text) > _SHOWN:
        text = text[:_SHOWN] + "..."
    shown = f" ({text})" if text else ""
    return RunLengthError(f"Malformed run lengths: number {position}{shown} {reason}.")


def parse_numbers(text: str, limit: int) -> NDArray[np.int64]:
    """Read decimal numbers between blanks.

    Args:
        text: digits and blanks.
        limit: the largest number that makes sense; it also keeps later sums from overflowing.

    Returns:
        int64 numbers in [0, limit]; empty for a blank string.

    Raises:
        RunLengthError: a number is not a whole decimal number, negative, or above `limit`.
    """
    if text.encode("ascii", "replace").translate(None, _PLAIN):
        raise _first_odd_token(text)
    if not text.strip():
        return np.zeros(0, dtype=np.int64)
    # Text mode, which stays; what numpy deprecates is the binary mode. It cannot stop half-way,
    # because nothing but digits and blanks is left, and it saturates where int64 overflows.
    numbers = np.fromstring(text, dtype=np.int64, sep=" ")
    above = np.flatnonzero(numbers > limit)
    if above.size:
        at = int(above[0])
        raise malformed(at + 1, text.split()[at], f"is more than the image's {limit} pixels")
    return numbers


def _first_odd_token(text: str) -> RunLengthError:
    for position, token in enumerate(text.split(), start=1):
        if token.isascii() and token.isdecimal():
            continue
        negative = token[0] == "-" and token[1:].isascii() and token[1:].isdecimal()
        return malformed(position, token, "is negative" if negative else "is not a whole number")
    return malformed(1, "", "is preceded by a character that is neither a digit nor a blank")
