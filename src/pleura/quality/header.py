"""What the header says against judging a radiograph. Rules on the header warn; they refuse nothing.

The model was made for frontal chest radiographs of adults. Headers are often wrong or empty, so an
empty value says nothing, and a value outside this scope is passed on as a warning.
"""

from pleura.quality.report import QualityReport
from pleura.radiograph import Notice, Radiograph

ADULT_YEARS = 18.0
# View Position (0018,5101): LL and RL are the lateral projections (PS3.3 C.8.11.5, C.8.1.1).
LATERAL_VIEWS = frozenset({"LL", "RL", "LLD", "RLD", "LATERAL", "LAT"})
# Body Part Examined (0018,0015), defined terms of PS3.16 annex L, and what vendors write instead.
CHEST_TERMS = ("CHEST", "THORAX", "LUNG", "RIB", "CLAVICLE", "STERNUM", "PORT")


def _lateral(radiograph: Radiograph) -> Notice | None:
    if radiograph.view not in LATERAL_VIEWS:
        return None
    return Notice(
        "lateral_view", "The header states a lateral view; the model judges frontal ones."
    )


def _not_chest(radiograph: Radiograph) -> Notice | None:
    part = radiograph.body_part
    if not part or any(term in part for term in CHEST_TERMS):
        return None
    return Notice("not_chest", "The header states a body part other than the chest.")


def _child(radiograph: Radiograph) -> Notice | None:
    if radiograph.age_years is None or radiograph.age_years >= ADULT_YEARS:
        return None
    return Notice("child", "The header states an age below 18; the model was made on adults.")


def assess(radiograph: Radiograph) -> QualityReport:
    """The reader's own notices, then what the header says against judging this radiograph."""
    found = (rule(radiograph) for rule in (_lateral, _not_chest, _child))
    warnings = (*radiograph.notices, *(notice for notice in found if notice is not None))
    return QualityReport(accepted=True, warnings=warnings)
