"""The printable form of COCO counts: five bits a character, as in COCO annotation files.

From the fourth number on, a number is stored as its difference from the one two
before it. A stored number is cut into groups of five bits, lowest first; bit 6 of a character says
that more follow; the last group's top bit is the sign; 48 is added to each
(cocodataset/cocoapi, common/maskApi.c, rleToString and rleFrString).
"""

import numpy as np
from numpy.typing import NDArray

from pleura.masks.tokens import malformed

_OFFSET = 48
_MORE = 0x20
_GROUP_BITS = 5
_MAX_GROUPS = 12


def compress(counts: NDArray[np.int64]) -> str:
    """Counts to printable characters."""
    stored = counts.copy()
    stored[3:] -= counts[1:-2]
    groups = np.arange(_MAX_GROUPS, dtype=np.int64)
    shifted = stored[:, None] >> (_GROUP_BITS * groups)
    characters = shifted & 0x1F
    # The number is complete once what remains is the sign of the group just written.
    sign = np.where(characters & 0x10, -1, 0)
    complete = (shifted >> _GROUP_BITS) == sign
    last = np.argmax(complete, axis=1)
    characters |= np.where(groups < last[:, None], _MORE, 0)
    written = characters[groups <= last[:, None]] + _OFFSET
    return str(written.astype(np.uint8).tobytes(), "ascii")


def expand(text: str, limit: int) -> NDArray[np.int64]:
    """Printable characters to counts.

    Args:
        text: what `compress` writes; blanks around it do not matter.
        limit: the largest count that makes sense.

    Returns:
        int64 counts in [0, limit].

    Raises:
        RunLengthError: a character outside the alphabet, a number that breaks off or is too long,
            a negative count, or one above `limit`; the message names the number's position.
    """
    # Up to the first character that is not ASCII, and so out of range, a byte is a character.
    raw = np.frombuffer(text.strip().encode("utf-8", "surrogatepass"), dtype=np.uint8)
    bits = raw.astype(np.int64) - _OFFSET
    final = (bits & _MORE) == 0
    number = np.cumsum(final) - final
    odd = np.flatnonzero((bits < 0) | (bits >= 2 * _MORE))
    if odd.size:
        at = int(odd[0])
        raise malformed(int(number[at]) + 1, text.strip()[at], "has a character out of range")
    if raw.size == 0:
        return np.zeros(0, dtype=np.int64)
    if not final[-1]:
        raise malformed(int(number[-1]) + 1, "", "breaks off")
    ends = np.flatnonzero(final)
    starts = np.append(0, ends[:-1] + 1)
    lengths = ends - starts + 1
    if (lengths > _MAX_GROUPS).any():
        raise malformed(int(np.argmax(lengths > _MAX_GROUPS)) + 1, "", "has too many characters")
    group = np.arange(raw.size) - np.repeat(starts, lengths)
    stored = np.add.reduceat((bits & 0x1F) << (_GROUP_BITS * group), starts)
    negative = (bits[ends] & 0x10) != 0
    stored -= np.where(negative, np.int64(1) << (_GROUP_BITS * lengths), 0)
    return _undo_differences(stored, limit)


def _undo_differences(stored: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    # Bounded first, so that the running sums cannot overflow.
    wild = np.flatnonzero(np.abs(stored) > limit)
    if wild.size:
        at = int(wild[0])
        raise malformed(at + 1, "", f"differs by more than the image's {limit} pixels")
    counts = stored.copy()
    counts[1::2] = np.cumsum(stored[1::2])
    counts[2::2] = np.cumsum(stored[2::2])
    outside = np.flatnonzero((counts < 0) | (counts > limit))
    if outside.size:
        at = int(outside[0])
        reason = "is negative" if counts[at] < 0 else f"is more than the image's {limit} pixels"
        raise malformed(at + 1, counts[at], reason)
    return counts
