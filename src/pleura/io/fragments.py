"""Encapsulated pixel data -> the one compressed stream that it holds (PS3.5 A.4)."""

from pleura.errors import InvalidHeaderError, NoPixelDataError, TooLargeError, TruncatedError

_ITEM = b"\xfe\xff\x00\xe0"
_DELIMITER = b"\xfe\xff\xdd\xe0"
MAX_FRAGMENTS = 100_000
"""Most fragments of a frame; the smallest that a device could write hold some hundred bytes."""


def join_fragments(data: memoryview) -> bytes:
    """Join all fragments of a single frame; the first item is the offset table and is left out.

    Args:
        data: from the first item tag on.

    Raises:
        TruncatedError: an item is longer than what is left.
        InvalidHeaderError: something else than an item.
        NoPixelDataError: no fragment.
        TooLargeError: more than `MAX_FRAGMENTS`.
    """
    fragments: list[memoryview] = []
    position, items = 0, 0
    while position + 8 <= len(data):
        tag = bytes(data[position : position + 4])
        if tag == _DELIMITER:
            break
        if tag != _ITEM:
            raise InvalidHeaderError("The encapsulated pixel data holds something else than items.")
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        position += 8
        if length > len(data) - position:
            raise TruncatedError("The file ends inside a compressed fragment.")
        if items:
            fragments.append(data[position : position + length])
        position += length
        items += 1
        if items > MAX_FRAGMENTS:
            raise TooLargeError(
                f"The pixel data holds more than {MAX_FRAGMENTS} fragments.",
                "Re-send the image uncompressed (Explicit VR Little Endian).",
            )
    if not any(len(fragment) for fragment in fragments):
        if not items:
            raise TruncatedError("The file ends before the compressed pixel data.")
        raise NoPixelDataError("The encapsulated pixel data holds no fragment.")
    return b"".join(fragments)
