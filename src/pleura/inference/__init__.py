"""From a radiograph to a prediction: preprocessing, networks, postprocessing, `Predictor`."""

from pleura.engines import Engine, engine_of
from pleura.inference.manifest import Manifest, OperatingPoint, Preprocessing
from pleura.inference.prediction import (
    ModelReference,
    Prediction,
    QualityReport,
    Refusal,
    Result,
    Stage,
    Status,
)
from pleura.inference.predictor import Predictor
from pleura.inference.preprocess import prepare, standardise, to_network_grid
from pleura.inference.raw import RawPrediction
from pleura.inference.registry import InstalledModel, find_model, installed_models

__all__ = [
    "Engine",
    "InstalledModel",
    "Manifest",
    "ModelReference",
    "OperatingPoint",
    "Prediction",
    "Predictor",
    "Preprocessing",
    "QualityReport",
    "RawPrediction",
    "Refusal",
    "Result",
    "Stage",
    "Status",
    "engine_of",
    "find_model",
    "installed_models",
    "prepare",
    "standardise",
    "to_network_grid",
]
