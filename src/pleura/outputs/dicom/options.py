"""Kinds of DICOM objects, and the choices that a user has about them."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Kinds of objects, by the names of their formats and folders."""

    SEG = "seg"
    SR = "sr"
    SC = "sc"


@dataclass(frozen=True, slots=True)
class DicomOptions:
    """How results become DICOM objects.

    Attributes:
        fractional: segmentations hold the probability of air for each pixel, not the mask.
        negatives: write an empty segmentation where nothing is segmented.
        seg_written: segmentations are written in the same run, so that reports refer to them.
        dated: objects say when they were made; a de-identified one must not, because that is near
            the day of the study.
    """

    fractional: bool = False
    negatives: bool = False
    seg_written: bool = False
    dated: bool = True


DEFAULT_OPTIONS = DicomOptions()
