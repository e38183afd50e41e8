"""The measurement groups of a report: the finding, what is segmented, each region (PS3.16)."""

from collections.abc import Iterable

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    MeasurementsAndQualitativeEvaluations,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    ReferencedSegmentationFrame,
    SourceImageForMeasurementGroup,
    SourceImageForRegion,
    SourceImageForSegmentation,
    TrackingIdentifier,
)
from numpy.typing import NDArray
from pydicom.uid import SegmentationStorage

from pleura.inference.prediction import Prediction
from pleura.masks import PatientSide, Region
from pleura.outputs.dicom.codes import (
    ABSENT,
    AREA,
    ARTIFICIAL_INTELLIGENCE,
    CATEGORY,
    LEFT,
    MEAN,
    NO_UNITS,
    PIXELS,
    PLEURA,
    PNEUMOTHORAX,
    PRESENT,
    PROBABILITY,
    RIGHT,
    SQUARE_MILLIMETER,
    THRESHOLD,
)
from pleura.outputs.dicom.equipment import algorithm_parameters, ascii_text
from pleura.outputs.dicom.marks import MANUFACTURER
from pleura.outputs.dicom.outline import outlines_of
from pleura.outputs.dicom.source import Source
from pleura.outputs.dicom.uids import ObjectUids, uid_of

Groups = list[
    MeasurementsAndQualitativeEvaluations | PlanarROIMeasurementsAndQualitativeEvaluations
]


def measurement_groups(
    prediction: Prediction, source: Source, segmentation: ObjectUids | None, uids: ObjectUids
) -> Groups:
    """All groups of a report.

    Args:
        prediction: the result.
        source: of `prediction`.
        segmentation: of the Segmentation that is written of the same result, or None.
        uids: of the report.
    """
    groups: Groups = [_finding(prediction, source, uids)]
    if segmentation is not None and prediction.mask.any():
        groups.append(_whole(prediction, source, segmentation))
    outlines = outlines_of(prediction.mask)
    groups += [
        _region(prediction, source, region, outlines[region.box], _region_tracking(uids, number))
        for number, region in enumerate(prediction.regions, start=1)
    ]
    return groups


def _finding(
    prediction: Prediction, source: Source, uids: ObjectUids
) -> MeasurementsAndQualitativeEvaluations:
    """The result for the whole image (TID 1501).

    Whether the finding is present is a coded question with its answer. Only a present finding is
    named as one, so that no reader who takes in half of a negative takes it for a positive.
    """
    point, stand_in = prediction.operating_point, source.stand_in
    measurements = [
        Measurement(PROBABILITY, round(prediction.probability, 6), NO_UNITS),
        Measurement(THRESHOLD, round(point.threshold, 6), NO_UNITS),
    ]
    if prediction.mask.any():
        measurements.append(_area(prediction.area_px, prediction.area_mm2))
    present = prediction.present
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uids.tracking, "Pneumothorax"),
        finding_category=CATEGORY if present else None,
        finding_type=PNEUMOTHORAX if present else None,
        finding_sites=_sites(prediction, prediction.regions),
        algorithm_id=_algorithm(prediction),
        measurements=measurements,
        qualitative_evaluations=[
            QualitativeEvaluation(PNEUMOTHORAX, PRESENT if present else ABSENT)
        ],
        source_images=[
            SourceImageForMeasurementGroup(stand_in.SOPClassUID, stand_in.SOPInstanceUID)
        ],
    )


def _whole(
    prediction: Prediction, source: Source, segmentation: ObjectUids
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    """All that is segmented, by reference to the Segmentation (TID 1410)."""
    stand_in = source.stand_in
    frame = ReferencedSegmentationFrame(
        SegmentationStorage,
        segmentation.instance,
        frame_number=1,
        segment_number=1,
        source_image=SourceImageForSegmentation(stand_in.SOPClassUID, stand_in.SOPInstanceUID),
    )
    # A reference names frames or segments, never both (PS3.3 10.3).
    del frame[0].ReferencedSOPSequence[0].ReferencedSegmentNumber
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(segmentation.tracking, "Pneumothorax segment"),
        referenced_segment=frame,
        finding_category=CATEGORY,
        finding_type=PNEUMOTHORAX,
        finding_sites=_sites(prediction, prediction.regions),
        algorithm_id=_algorithm(prediction),
        measurements=[_area(prediction.area_px, prediction.area_mm2)],
    )


def _region(
    prediction: Prediction,
    source: Source,
    region: Region,
    outline: NDArray[np.float32],
    tracking: TrackingIdentifier,
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    """One connected region, by its outline (TID 1410)."""
    stand_in = source.stand_in
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking,
        referenced_region=ImageRegion(
            GraphicTypeValues.POLYLINE,
            outline,
            SourceImageForRegion(stand_in.SOPClassUID, stand_in.SOPInstanceUID),
        ),
        finding_category=CATEGORY,
        finding_type=PNEUMOTHORAX,
        finding_sites=_sites(prediction, (region,)),
        algorithm_id=_algorithm(prediction),
        measurements=[
            _area(region.area_px, prediction.area_mm2_of(region)),
            Measurement(PROBABILITY, round(region.score, 6), NO_UNITS, derivation=MEAN),
        ],
    )


def _region_tracking(uids: ObjectUids, number: int) -> TrackingIdentifier:
    return TrackingIdentifier(
        uid_of("region", uids.tracking, str(number)), f"Pneumothorax region {number}"
    )


def _area(area_px: int, area_mm2: float | None) -> Measurement:
    """An area in square millimetres, or in pixels where the file states no spacing."""
    if area_mm2 is None:
        return Measurement(AREA, area_px, PIXELS)
    return Measurement(AREA, round(area_mm2, 1), SQUARE_MILLIMETER)


def _sites(prediction: Prediction, regions: Iterable[Region]) -> list[FindingSite] | None:
    """The pleura of each side that is concerned; None where the header states no orientation."""
    sides = {prediction.patient_side_of(region) for region in regions}
    found = [
        FindingSite(PLEURA, laterality=laterality)
        for side, laterality in ((PatientSide.RIGHT, RIGHT), (PatientSide.LEFT, LEFT))
        if side in sides
    ]
    return found or None


def _algorithm(prediction: Prediction) -> AlgorithmIdentification:
    """TID 4019, with the operating point among the parameters."""
    model, parameters = prediction.model, algorithm_parameters(prediction)
    return AlgorithmIdentification(
        name=ascii_text(f"Pleura {model.name}"),
        version=ascii_text(model.version),
        parameters=[f"{name}={value}" for name, value in parameters.items()],
        family=ARTIFICIAL_INTELLIGENCE,
        manufacturer=MANUFACTURER,
    )
