"""Codes of DICOM and SNOMED CT that the objects use (PS3.16)."""

from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

PNEUMOTHORAX = codes.SCT.Pneumothorax  # 36118008
CATEGORY = codes.cid7150.MorphologicallyAbnormalStructure  # 49755003
PRESENT = codes.cid240.Present
ABSENT = codes.cid240.Absent
PLEURA = codes.SCT.Pleura
LEFT = codes.cid244.Left
RIGHT = codes.cid244.Right
PROBABILITY = codes.DCM.Probability
THRESHOLD = codes.DCM.ThresholdValue
AREA = codes.SCT.Area
MEAN = codes.SCT.Mean
COMMENT = codes.DCM.Comment
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")  # TID 1500
ARTIFICIAL_INTELLIGENCE = codes.cid7162.ArtificialIntelligence
RADIOGRAPHY = codes.LN.XRUnspecifiedBodyRegion  # CID 100
NO_UNITS = codes.UCUM.NoUnits
SQUARE_MILLIMETER = codes.UCUM.SquareMillimeter
PIXELS = Code("{pixels}", "UCUM", "Pixels")


def coded(code: Code) -> CodedConcept:
    """A code as an item of a code sequence (PS3.3 8.8)."""
    return CodedConcept.from_code(code)
