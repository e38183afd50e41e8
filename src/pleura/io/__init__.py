"""DICOM and raster bytes -> Radiograph; discovery of files in folders and archives."""

from typing import TYPE_CHECKING, Any

from pleura.io.archives import SUFFIXES as ARCHIVE_SUFFIXES
from pleura.io.archives import is_archive
from pleura.io.discover import Input, discover, members
from pleura.io.limits import Limits
from pleura.io.read import read_radiograph

if TYPE_CHECKING:
    from pleura.io.render import render_pixels
    from pleura.io.voi import VoiChoice

__all__ = [
    "ARCHIVE_SUFFIXES",
    "Input",
    "Limits",
    "VoiChoice",
    "discover",
    "is_archive",
    "members",
    "read_radiograph",
    "render_pixels",
]

_HOMES = {"VoiChoice": "pleura.io.voi", "render_pixels": "pleura.io.render"}


def __getattr__(name: str) -> Any:
    """Import what needs pydicom on first use: a folder of PNG files does without it."""
    if name not in _HOMES:
        raise AttributeError(f"module 'pleura.io' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
