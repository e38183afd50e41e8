"""Synthetic frontal chest radiographs with known masks: for tests, demo and self-test."""

from pleura.phantom.dicom import Photometric, to_dicom, write_dicom
from pleura.phantom.projection import draw
from pleura.phantom.spec import (
    Kind,
    Phantom,
    PhantomSpec,
    Pneumothorax,
    Sex,
    Side,
    View,
    spec_for,
)

__all__ = [
    "Kind",
    "Phantom",
    "PhantomSpec",
    "Photometric",
    "Pneumothorax",
    "Sex",
    "Side",
    "View",
    "draw",
    "spec_for",
    "to_dicom",
    "write_dicom",
]
