"""The folder layouts that the SIIM-ACR images are known to come in, each read by its own module."""

from pathlib import Path

from pleura.data.layouts import archives, kaggle, mirrors
from pleura.data.layouts.record import LayoutReading
from pleura.errors import DataError


def read_layout(root: Path, salt: str = "") -> LayoutReading:
    """Find out which layout a folder has, and read it.

    Args:
        root: folder of the images and tables.
        salt: mixed into the hash of the patients' identifiers of DICOM files.

    Raises:
        DataError: none of the known layouts, or a table that cannot be read.
    """
    if archives.detect(root):
        return archives.read(root)
    if kaggle.detect(root):
        return kaggle.read(root, salt)
    if mirrors.detect(root):
        return mirrors.read(root)
    raise DataError(
        "The folder has none of the known layouts.",
        "Give the folder that holds the run-length table (train-rle.csv, stage_2_train.csv) or "
        "the folders of images and masks; docs/data.md shows each layout.",
    )
