"""A result as a structured report: TID 1500 Measurement Report (PS3.16) in a Comprehensive SR.

Comprehensive SR, not Comprehensive 3D SR: what the latter has more are coordinates in a Frame of
Reference, which a projection does not have, and fewer systems read it.
"""

from datetime import datetime

from highdicom.sr import (
    ComprehensiveSR,
    ContainerContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    MeasurementReport,
    ObservationContext,
    ObserverContext,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage

from pleura.inference.prediction import Prediction
from pleura.outputs.dicom.codes import COMMENT, QUALITATIVE_EVALUATIONS, RADIOGRAPHY, coded
from pleura.outputs.dicom.equipment import (
    ascii_text,
    model_version,
    serial_number,
)
from pleura.outputs.dicom.finish import Plan, finish
from pleura.outputs.dicom.groups import measurement_groups
from pleura.outputs.dicom.marks import MANUFACTURER, MODEL_NAME
from pleura.outputs.dicom.options import Kind
from pleura.outputs.dicom.source import Source
from pleura.outputs.dicom.uids import ObjectUids, object_uids, uid_of
from pleura.outputs.pictures import DISCLAIMER

SERIES_NUMBER = 9902
DESCRIPTION = "Pneumothorax report (research, not a medical device)"


def build_sr(
    prediction: Prediction, source: Source, segmentation: ObjectUids | None, made_at: datetime
) -> Dataset:
    """Build a report.

    Args:
        prediction: the result.
        source: of `prediction`.
        segmentation: of the Segmentation that is written of the same result, or None.
        made_at: local time of writing.

    Returns:
        The object with its file meta information.
    """
    content = b"" if segmentation is None else segmentation.instance.encode()
    uids = object_uids(prediction, source, Kind.SR, content)
    evidence = [source.stand_in]
    if segmentation is not None:
        evidence.append(_reference(source, segmentation))
    made = ComprehensiveSR(
        evidence=evidence,
        content=_report(prediction, source, segmentation, uids)[0],
        series_instance_uid=uids.series,
        series_number=SERIES_NUMBER,
        sop_instance_uid=uids.instance,
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=False,
        is_verified=False,
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    finish(made, source, prediction, Plan(uids, SERIES_NUMBER, DESCRIPTION, made_at))
    return made


def _reference(source: Source, segmentation: ObjectUids) -> Dataset:
    """The Segmentation, as far as a reference needs it."""
    made = Dataset()
    made.SOPClassUID = SegmentationStorage
    made.SOPInstanceUID = segmentation.instance
    made.SeriesInstanceUID = segmentation.series
    made.StudyInstanceUID = source.stand_in.StudyInstanceUID
    return made


def _report(
    prediction: Prediction, source: Source, segmentation: ObjectUids | None, uids: ObjectUids
) -> MeasurementReport:
    report = MeasurementReport(
        observation_context=_observer(prediction),
        procedure_reported=RADIOGRAPHY,
        imaging_measurements=measurement_groups(prediction, source, segmentation, uids),
    )
    report[0].ContentSequence.append(_comments(prediction))
    return report


def _observer(prediction: Prediction) -> ObservationContext:
    """The device that observed (TID 1004); no person has."""
    model = prediction.model
    return ObservationContext(
        observer_device_context=ObserverContext(
            observer_type=coded(codes.cid270.Device),
            observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
                uid=uid_of("device", MODEL_NAME, model.sha256),
                name=model_version(model),
                manufacturer_name=MANUFACTURER,
                model_name=MODEL_NAME,
                serial_number=serial_number(model),
            ),
        )
    )


def _comments(prediction: Prediction) -> ContainerContentItem:
    """What a reader must know, and what the result's warnings say (TID 1500, rows 12 to 14)."""
    sentences = [DISCLAIMER]
    sentences += [notice.message for notice in prediction.quality.warnings]
    container = ContainerContentItem(
        QUALITATIVE_EVALUATIONS,
        is_content_continuous=False,
        relationship_type=RelationshipTypeValues.CONTAINS,
    )
    container.ContentSequence = ContentSequence(
        [
            TextContentItem(
                COMMENT,
                ascii_text(sentence, most=1000),
                relationship_type=RelationshipTypeValues.CONTAINS,
            )
            for sentence in sentences
        ]
    )
    return container
