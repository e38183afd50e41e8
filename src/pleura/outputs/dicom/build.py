"""One result as one DICOM file, in one of three kinds. Imports highdicom."""

from datetime import datetime

from pleura.inference.prediction import Prediction
from pleura.outputs.dicom.finish import to_bytes
from pleura.outputs.dicom.options import DicomOptions, Kind
from pleura.outputs.dicom.sc import build_sc
from pleura.outputs.dicom.seg import build_seg, segment_of
from pleura.outputs.dicom.source import source_of
from pleura.outputs.dicom.sr import build_sr


def build(
    kind: Kind, prediction: Prediction, options: DicomOptions, made_at: datetime
) -> bytes | None:
    """Build one object.

    Args:
        kind: of the object.
        prediction: the result.
        options: what the user chose.
        made_at: local time of writing; nothing else of the file depends on when it is written.

    Returns:
        The file's bytes; None for a Segmentation where nothing is segmented.

    Raises:
        NoDicomSourceError: the input has no header that an object can refer to.
    """
    source = source_of(prediction)
    if kind is Kind.SC:
        return to_bytes(build_sc(prediction, source, made_at))
    wanted = kind is Kind.SEG or options.seg_written
    segment = segment_of(prediction, source, options) if wanted else None
    if kind is Kind.SR:
        referenced = None if segment is None else segment.uids
        return to_bytes(build_sr(prediction, source, referenced, made_at))
    return None if segment is None else to_bytes(build_seg(prediction, source, segment, made_at))
