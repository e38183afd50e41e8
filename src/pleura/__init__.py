"""Pleura finds pneumothorax on frontal chest radiographs.

Research software, not a medical device: nothing it says may guide the care of a patient.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Prediction", "Predictor", "Radiograph", "__version__", "read_radiograph"]

if TYPE_CHECKING:
    from pleura.inference import Prediction, Predictor
    from pleura.io import read_radiograph
    from pleura.radiograph import Radiograph

_HOMES = {
    "Prediction": "pleura.inference",
    "Predictor": "pleura.inference",
    "Radiograph": "pleura.radiograph",
    "read_radiograph": "pleura.io",
}


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that `import pleura` itself costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'pleura' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
