"""UIDs that follow from what an object says, so that the same result has the same UID everywhere.

A SOP Instance UID stands for one content (PS3.5 9). Hence it is made from all of it: source,
patient and study, model, operating point, result, options, and the software that wrote it. Only the
time of writing is left out: two runs over the same file differ in nothing else.
"""

from dataclasses import dataclass
from hashlib import sha256

from highdicom.version import __version__ as highdicom_version

from pleura import __version__
from pleura.inference.prediction import Prediction
from pleura.outputs.dicom.options import Kind
from pleura.outputs.dicom.source import Source
from pleura.outputs.record import record_of


@dataclass(frozen=True, slots=True)
class ObjectUids:
    """UIDs of one object, which is alone in its series."""

    instance: str
    series: str
    tracking: str
    dimensions: str


def uid_of(*parts: str | bytes) -> str:
    """A UID below 2.25 (PS3.5 B.2): the first 122 bits of a SHA-256, as a UUID of version 8."""
    digest = sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    number = int.from_bytes(digest.digest()[:16], "big")
    number = number & ~(0xF << 76) | 8 << 76
    return f"2.25.{number & ~(3 << 62) | 2 << 62}"


def object_uids(prediction: Prediction, source: Source, kind: Kind, content: bytes) -> ObjectUids:
    """The UIDs of one object.

    Args:
        prediction: the result; its times and the name of its input do not matter.
        source: of `prediction`, with all that is taken over from its header.
        kind: of the object.
        content: what else the object holds: pixels, references.
    """
    record = record_of(prediction).model_dump_json(by_alias=True, exclude={"input", "timings_ms"})
    film = prediction.radiograph
    content_uid = uid_of(
        kind.value,
        repr((film.identifiers, film.patient_orientation, film.spacing, film.encoding)),
        repr((film.modality, film.body_part)),
        record,
        source.header_bytes,
        content,
        f"pleura {__version__}, highdicom {highdicom_version}",
    )
    roles = ("instance", "series", "tracking", "dimensions")
    return ObjectUids(*(uid_of(role, content_uid) for role in roles))
