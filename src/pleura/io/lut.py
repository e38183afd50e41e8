"""Look-up tables of DICOM: Modality LUT Sequence and VOI LUT Sequence (PS3.3 C.11.1 and C.11.2)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pleura.errors import InvalidHeaderError
from pleura.io import tags
from pleura.io.elements import Header
from pleura.radiograph import Notice


@dataclass(frozen=True, slots=True)
class LookupTable:
    """A table from input values to output values.

    Attributes:
        first: input value of the first entry; lower inputs take the first entry, inputs beyond
            the last entry the last.
        entries: float64, the outputs.
        top: largest output that the descriptor allows.
    """

    first: int
    entries: NDArray[np.float64]
    top: int
    notices: tuple[Notice, ...] = ()

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Outputs for input values of any shape; fractions are rounded to the nearest input."""
        index = np.clip(np.rint(values) - self.first, 0, self.entries.size - 1)
        outputs: NDArray[np.float64] = self.entries[index.astype(np.int64)]
        return outputs


def read_lut(item: Header, *, signed_input: bool, name: str) -> LookupTable:
    """Read one item of a LUT sequence.

    Args:
        item: the item with LUT Descriptor (0028,3002) and LUT Data (0028,3006).
        signed_input: whether the table's inputs may be negative, which decides how the second
            value of the descriptor is read (PS3.3 C.11.1.1).
        name: name of the sequence, for messages.

    Raises:
        InvalidHeaderError: the descriptor is not usable, or there are fewer entries than it says.
    """
    descriptor = item.integers(tags.LUT_DESCRIPTOR)
    if len(descriptor) != 3:
        raise InvalidHeaderError(f"The descriptor of the {name} does not have three values.")
    count = descriptor[0] & 0xFFFF or 65536
    first = descriptor[1] & 0xFFFF
    if signed_input and first >= 0x8000:
        first -= 0x10000
    bits = descriptor[2]
    notices: list[Notice] = []
    entries = _entries(item, count, name)
    if not 8 <= bits <= 16:
        raise InvalidHeaderError(f"The descriptor of the {name} gives an impossible depth.")
    if entries.max() >= 1 << bits:
        bits = int(entries.max()).bit_length()
        notices.append(
            Notice("lut_depth", f"The {name} holds larger values than its descriptor allows.")
        )
    return LookupTable(first, entries.astype(np.float64), (1 << bits) - 1, tuple(notices))


def _entries(item: Header, count: int, name: str) -> NDArray[np.uint16]:
    words = item.words(tags.LUT_DATA)
    if isinstance(words, tuple):
        data, order = words
        if len(data) >= 2 * count:
            found = np.frombuffer(data, f"{order}u2", count)
        else:
            # Entries of 8 bits, packed in pairs, the first in the low byte of a word.
            packed = np.frombuffer(data, f"{order}u2", len(data) // 2).astype("<u2")
            found = packed.view(np.uint8)[:count]
    elif words.size >= count:
        found = words[:count]
    else:
        found = words.astype("<u2").view(np.uint8)[:count]
    if found.size < count:
        raise InvalidHeaderError(f"The {name} holds fewer entries than its descriptor says.")
    return found.astype(np.uint16)
