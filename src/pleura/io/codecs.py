"""Compressed streams -> arrays, through imagecodecs; which codec decodes what is decided here."""

import numpy as np
from numpy.typing import NDArray

from pleura.errors import TruncatedError, UnsupportedSyntaxError
from pleura.io.codestream import Coding, StreamInfo, ends_properly
from pleura.io.completeness import check_amount, may_be_filled, with_more_code

_CODEC_NAMES = {
    Coding.JPEG: "JPEG8",
    Coding.JPEG_LS: "JPEGLS",
    Coding.JPEG_2000: "JPEG2K",
}


def decode_stream(stream: bytes, info: StreamInfo) -> NDArray[np.generic]:
    """Decode one compressed image.

    libjpeg-turbo takes JPEG of 8, 12 and 16 bits, sequential, progressive and lossless; CharLS
    takes JPEG-LS; OpenJPEG takes JPEG 2000 with and without high throughput (HTJ2K).

    Returns:
        Integers of 8 or 16 bits, (rows, columns) or (rows, columns, channels).

    Raises:
        UnsupportedSyntaxError: the installed imagecodecs lacks the codec, or an odd encoding.
        TruncatedError: the stream breaks off, lacks a part, or is damaged.
    """
    import imagecodecs

    name = _CODEC_NAMES[info.coding]
    if not getattr(getattr(imagecodecs, name, None), "available", False):
        raise UnsupportedSyntaxError(
            f"Decoding {info.coding} needs an imagecodecs build with {name}.",
            "Install the imagecodecs wheel from PyPI, or re-send the image uncompressed.",
        )
    # libjpeg fills what is missing with grey and only warns, so the end is looked for here.
    if not ends_properly(stream):
        raise TruncatedError(f"The {info.coding} stream breaks off before its end marker.")
    check_amount(stream, info)
    array = _decoded(stream, info.coding)
    if array.dtype.kind not in "iu" or array.dtype.itemsize > 2:
        raise UnsupportedSyntaxError(f"{info.coding} with {array.dtype} samples is not read.")
    if info.coding is Coding.JPEG and may_be_filled(array, info):
        again = _decoded(with_more_code(stream), info.coding)
        if not np.array_equal(array, again):
            raise TruncatedError("The JPEG stream lacks the code of a part of the image.")
    return array


def _decoded(stream: bytes, coding: Coding) -> NDArray[np.generic]:
    import imagecodecs

    decode = {
        Coding.JPEG: imagecodecs.jpeg8_decode,
        Coding.JPEG_LS: imagecodecs.jpegls_decode,
        Coding.JPEG_2000: imagecodecs.jpeg2k_decode,
    }[coding]
    # Each codec has its own error class and some raise ValueError; all say the same thing here.
    try:
        return np.asarray(decode(stream))
    except Exception as error:
        raise TruncatedError(f"The {coding} stream is damaged ({type(error).__name__}).") from error


def decode_rle(
    frame: bytes, *, shape: tuple[int, int], samples: int, width: int
) -> NDArray[np.generic]:
    """Decode one RLE frame (PS3.5 G).

    Args:
        frame: the RLE header of 64 bytes and its segments.
        shape: (rows, columns).
        samples: channels.
        width: bytes a sample.

    Returns:
        Unsigned integers, (rows, columns) or (rows, columns, channels).

    Raises:
        TruncatedError: the segments hold fewer bytes than the image has, or more.
        UnsupportedSyntaxError: the number of segments fits no image of this description.
    """
    import imagecodecs

    if len(frame) < 64:
        raise TruncatedError("The RLE frame is shorter than its header.")
    segments = int.from_bytes(frame[:4], "little")
    if segments != samples * width:
        raise UnsupportedSyntaxError(
            f"An RLE frame of {segments} segments holds no {samples} x {width} bytes a pixel."
        )
    rows, columns = shape
    # Runs expand to 64 times their size; a buffer of the promised size bounds what they may fill.
    room = bytearray(samples * rows * columns * width)
    try:
        data = imagecodecs.dicomrle_decode(frame, f"<u{width}", out=room)
    except Exception as error:
        raise TruncatedError("The RLE frame breaks off or is damaged.") from error
    # What is found may end inside a sample.
    if len(data) != len(room):
        raise TruncatedError(f"The RLE frame holds {len(data)} bytes; {len(room)} were promised.")
    flat: NDArray[np.generic] = np.frombuffer(data, f"<u{width}")
    # Segments hold one channel after the other.
    planes = flat.reshape(samples, rows, columns)
    return planes[0] if samples == 1 else planes.transpose(1, 2, 0)
