"""Masks: run-length codecs, connected regions, and the way to a square grid and back.

Masks are bool arrays of shape (rows, columns), row-major in memory, on the grid of the
radiograph. Nothing here knows of models.
"""

from pleura.masks.letterbox import Letterbox
from pleura.masks.regions import (
    ImageSide,
    PatientSide,
    Region,
    connected_regions,
    patient_side,
    remove_small,
)
from pleura.masks.rle import RunLengthConvention, area, decode, decode_union, encode

__all__ = [
    "ImageSide",
    "Letterbox",
    "PatientSide",
    "Region",
    "RunLengthConvention",
    "area",
    "connected_regions",
    "decode",
    "decode_union",
    "encode",
    "patient_side",
    "remove_small",
]
