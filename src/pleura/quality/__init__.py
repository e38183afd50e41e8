"""May the model judge this radiograph, and what should the reader of the result know?"""

from pleura.quality.familiarity import UNFAMILIAR, Familiarity, FamiliaritySpec
from pleura.quality.gate import GateSettings, Strictness, Verdict, judge
from pleura.quality.header import assess
from pleura.quality.picture import PictureGate, PictureScores
from pleura.quality.report import QualityReport
from pleura.quality.spec import GateSpec, Kind, Limit

__all__ = [
    "UNFAMILIAR",
    "Familiarity",
    "FamiliaritySpec",
    "GateSettings",
    "GateSpec",
    "Kind",
    "Limit",
    "PictureGate",
    "PictureScores",
    "QualityReport",
    "Strictness",
    "Verdict",
    "assess",
    "judge",
]
