"""A result as a Secondary Capture (PS3.3 A.8.1): the overlay with its words, for any viewer.

Stored without compression in RGB, at the size of the radiograph: every viewer reads that.
"""

from datetime import datetime

import cv2
import numpy as np
from highdicom.sc import ConversionTypeValues, SCImage
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import DA, DS, TM

from pleura.inference.prediction import Prediction
from pleura.io.elements import Header
from pleura.outputs.dicom.codes import coded
from pleura.outputs.dicom.finish import Plan, finish
from pleura.outputs.dicom.marks import MANUFACTURER
from pleura.outputs.dicom.options import Kind
from pleura.outputs.dicom.source import Source
from pleura.outputs.dicom.uids import object_uids
from pleura.outputs.overlay import draw_overlay
from pleura.outputs.pictures import DISCLAIMER
from pleura.radiograph import SpacingSource

SERIES_NUMBER = 9903
DESCRIPTION = "Pneumothorax overlay (research, not a medical device)"
_NOT_PAIRED = "CHEST"
_CALIBRATION_TYPE = 0x00280A02
_LOSSY = (
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)


def build_sc(prediction: Prediction, source: Source, made_at: datetime) -> Dataset:
    """Build a Secondary Capture of the overlay; see `draw_overlay`.

    Args:
        prediction: the result.
        source: of `prediction`.
        made_at: local time of writing.

    Returns:
        The object with its file meta information.
    """
    picture = cv2.cvtColor(draw_overlay(prediction), cv2.COLOR_BGR2RGB)
    pixels: NDArray[np.uint8] = np.ascontiguousarray(picture, dtype=np.uint8)
    uids = object_uids(prediction, source, Kind.SC, pixels.tobytes())
    stand_in = source.stand_in
    made = SCImage(
        pixel_array=pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=stand_in.StudyInstanceUID,
        series_instance_uid=uids.series,
        series_number=SERIES_NUMBER,
        sop_instance_uid=uids.instance,
        instance_number=1,
        manufacturer=MANUFACTURER,
        patient_orientation=("L", "F"),  # replaced below: it may be unknown, or oblique
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    made.ConversionType = ConversionTypeValues.WSD.value
    made.DateOfSecondaryCapture = DA(made_at.date())
    made.TimeOfSecondaryCapture = TM(made_at.time())
    if prediction.radiograph.body_part == _NOT_PAIRED:
        made.BodyPartExamined = _NOT_PAIRED
    else:
        made.Laterality = ""  # type 2C: of a body part that may be paired
    made.PatientOrientation = list(prediction.radiograph.patient_orientation or ())
    _refer(made, stand_in)
    _take_over(made, prediction, source)
    finish(made, source, prediction, Plan(uids, SERIES_NUMBER, DESCRIPTION, made_at))
    return made


def _refer(made: Dataset, stand_in: Dataset) -> None:
    """Source Image Sequence and derivation (PS3.3 C.12.4)."""
    source = Dataset()
    source.ReferencedSOPClassUID = stand_in.SOPClassUID
    source.ReferencedSOPInstanceUID = stand_in.SOPInstanceUID
    source.PurposeOfReferenceCodeSequence = [
        coded(codes.DCM.SourceImageForImageProcessingOperation)
    ]
    made.SourceImageSequence = [source]
    made.DerivationDescription = f"Overlay of the result over the source image. {DISCLAIMER}"


def _take_over(made: Dataset, prediction: Prediction, source: Source) -> None:
    """What is true of the source's pixels and so of these (PS3.3 C.7.6.1, 10.7.1.1)."""
    for keyword in _LOSSY:
        if keyword in source.stand_in:
            setattr(made, keyword, source.stand_in[keyword].value)
    # The words say nothing of the patient, so this remains a fact about the source (C.7.6.1).
    if source.burned_in:
        made.BurnedInAnnotation = source.burned_in
    spacing = prediction.radiograph.spacing
    # Imager Pixel Spacing measures the detector, not the patient (PS3.3 10.7.1.3).
    if spacing is None or spacing.source is not SpacingSource.PIXEL_SPACING:
        return
    made.PixelSpacing = [DS(mm, auto_format=True) for mm in (spacing.row_mm, spacing.column_mm)]
    kind = Header(source.header).text(_CALIBRATION_TYPE)
    if kind in ("GEOMETRY", "FIDUCIAL"):
        made.PixelSpacingCalibrationType = kind
