"""A result as a Segmentation object (PS3.3 A.51): the mask on the grid of the radiograph.

A radiograph is a projection: its pixels have no place in the patient, and so the object has no
Frame of Reference, whatever the source says, and no plane positions. It lies on the source image
pixel by pixel, as Derivation Image and Common Instance Reference say (PS3.3 A.51.5.1).
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from highdicom.color import CIELabColor
from highdicom.seg import (
    SegmentAlgorithmTypeValues,
    Segmentation,
    SegmentationFractionalTypeValues,
    SegmentationTypeValues,
    SegmentDescription,
)
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from pleura.inference.prediction import Prediction
from pleura.outputs.dicom.codes import CATEGORY, PNEUMOTHORAX
from pleura.outputs.dicom.equipment import (
    algorithm_of,
    model_version,
    serial_number,
)
from pleura.outputs.dicom.finish import Plan, finish
from pleura.outputs.dicom.marks import MANUFACTURER, MODEL_NAME
from pleura.outputs.dicom.options import DicomOptions, Kind
from pleura.outputs.dicom.source import Source
from pleura.outputs.dicom.uids import ObjectUids, object_uids
from pleura.outputs.pictures import DISCLAIMER

SERIES_NUMBER = 9901
MAXIMUM_FRACTION = 255
LABEL = "Pneumothorax"
# The orange of the overlay's contour.
_COLOUR = CIELabColor(l_star=74.9, a_star=23.9, b_star=78.9)


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """What a Segmentation of one result holds.

    Attributes:
        pixels: bool, or float32 in [0, 1], (rows, columns) of the source.
        uids: of the object.
    """

    pixels: NDArray[np.bool_] | NDArray[np.float32]
    uids: ObjectUids


def segment_of(prediction: Prediction, source: Source, options: DicomOptions) -> Segment | None:
    """What is segmented in a result, or None where nothing is and nothing empty was asked for.

    A fractional segment is empty where the mask is: below the operating point nothing is shown.
    """
    pixels: NDArray[np.bool_] | NDArray[np.float32] = prediction.mask
    empty = not prediction.mask.any()
    if empty and not options.negatives:
        return None
    if options.fractional:
        pixels = np.clip(prediction.probability_map, 0.0, 1.0)
        if empty:
            pixels = np.zeros_like(pixels)
        content = np.rint(pixels * MAXIMUM_FRACTION).astype(np.uint8).tobytes()
    else:
        content = np.packbits(prediction.mask).tobytes()
    kind = b"fractional" if options.fractional else b"binary"
    uids = object_uids(prediction, source, Kind.SEG, kind + content)
    return Segment(pixels, uids)


def build_seg(
    prediction: Prediction, source: Source, segment: Segment, made_at: datetime
) -> Dataset:
    """Build a Segmentation of one segment in one frame.

    Args:
        prediction: the result.
        source: of `prediction`.
        segment: of `prediction`.
        made_at: local time of writing.

    Returns:
        The object with its file meta information.
    """
    fractional = segment.pixels.dtype != np.bool_
    kind = SegmentationTypeValues.FRACTIONAL if fractional else SegmentationTypeValues.BINARY
    made = Segmentation(
        source_images=[source.stand_in],
        pixel_array=segment.pixels,
        segmentation_type=kind,
        segment_descriptions=[_description(prediction, segment)],
        series_instance_uid=segment.uids.series,
        series_number=SERIES_NUMBER,
        sop_instance_uid=segment.uids.instance,
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL_NAME,
        software_versions=model_version(prediction.model),
        device_serial_number=serial_number(prediction.model),
        fractional_type=SegmentationFractionalTypeValues.PROBABILITY,
        max_fractional_value=MAXIMUM_FRACTION,
        content_label="PNEUMOTHORAX",
        content_description=f"Pneumothorax. {DISCLAIMER}",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        omit_empty_frames=False,
    )
    made.BurnedInAnnotation = "NO"
    made.PatientOrientation = list(prediction.radiograph.patient_orientation or ())
    # highdicom draws this one by lot.
    made.DimensionOrganizationSequence[0].DimensionOrganizationUID = segment.uids.dimensions
    for index in made.DimensionIndexSequence:
        index.DimensionOrganizationUID = segment.uids.dimensions
    # The source's pixel spacing holds; a copy without a slice thickness, which a projection does
    # not have, is more than highdicom can read.
    made.SharedFunctionalGroupsSequence[0].pop("PixelMeasuresSequence", None)
    kind_of = "probability" if fractional else "mask"
    description = f"Pneumothorax {kind_of} (research, not a medical device)"
    finish(made, source, prediction, Plan(segment.uids, SERIES_NUMBER, description, made_at))
    return made


def _description(prediction: Prediction, segment: Segment) -> SegmentDescription:
    return SegmentDescription(
        segment_number=1,
        segment_label=LABEL,
        segmented_property_category=CATEGORY,
        segmented_property_type=PNEUMOTHORAX,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm_of(prediction),
        tracking_uid=segment.uids.tracking,
        tracking_id=LABEL,
        display_color=_COLOUR,
    )
