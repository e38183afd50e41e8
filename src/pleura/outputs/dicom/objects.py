"""The DICOM objects of one result as bytes, for those who keep them elsewhere than in a folder."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from pleura.inference.prediction import Prediction
from pleura.outputs.dicom.options import DEFAULT_OPTIONS, DicomOptions, Kind


def dicom_objects(
    prediction: Prediction,
    kinds: Iterable[Kind],
    made_at: datetime,
    options: DicomOptions = DEFAULT_OPTIONS,
) -> dict[Kind, bytes]:
    """Build the objects of one result.

    Args:
        prediction: the result.
        kinds: which; reports refer to the segmentation if it is among them.
        made_at: local time.
        options: what the user chose.

    Returns:
        The files' bytes; without a Segmentation where nothing is segmented.

    Raises:
        NoDicomSourceError: the input has no header that an object can refer to.
    """
    from pleura.outputs.dicom.build import build  # highdicom, half a second

    wanted = tuple(dict.fromkeys(kinds))
    options = replace(options, seg_written=Kind.SEG in wanted)
    built = {kind: build(kind, prediction, options, made_at) for kind in wanted}
    return {kind: content for kind, content in built.items() if content is not None}
