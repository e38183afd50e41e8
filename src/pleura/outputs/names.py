"""Names of inputs and of the files that are written for them."""

import re
from hashlib import blake2b

from pleura.inference.prediction import Prediction, Refusal, Result
from pleura.io import ARCHIVE_SUFFIXES

# Only these endings are cut off: a file named by its UID has dots, but no suffix.
IMAGE_SUFFIXES = (".dcm", ".dicom", ".dic", ".ima", ".png", ".jpg", ".jpeg", ".tif", ".tiff")
MAX_STEM_BYTES = 180
"""File systems allow 255 bytes a name; a hash and a suffix come after the stem."""
_UNSAFE = re.compile(r"[^\w.-]+")
_SEPARATORS = re.compile(r"[/\\]+")
_ARCHIVE = re.compile(rf"^.*({'|'.join(map(re.escape, ARCHIVE_SUFFIXES))})#", re.IGNORECASE)


def input_name(result: Result) -> str:
    """The input as the user gave it, as valid Unicode whatever bytes its file name holds."""
    name = result.input if isinstance(result, Refusal) else result.radiograph.source
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def stem_of(name: str) -> str:
    """The last part of an input's name (path, or archive#member), without an image suffix."""
    last = _ARCHIVE.sub("", _SEPARATORS.split(name.rstrip("/\\"))[-1])
    for suffix in IMAGE_SUFFIXES:
        if last.lower().endswith(suffix) and len(last) > len(suffix):
            return last[: -len(suffix)]
    return last


def image_id(result: Result) -> str:
    """What a table calls the image: its SOP Instance UID, or the stem of its name."""
    if isinstance(result, Prediction) and result.radiograph.identifiers.sop_instance_uid:
        return result.radiograph.identifiers.sop_instance_uid
    return stem_of(input_name(result))


class FileNamer:
    """File names that stay readable and never collide, on any file system.

    The first input of a stem gets the stem itself, every further one the stem and eight digits of
    its full name's hash. Equal means equal without regard to case.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def name(self, full_name: str) -> str:
        """A new file name, without a suffix, for an input's full name."""
        safe = _UNSAFE.sub("_", stem_of(full_name)).strip("._")
        stem = safe.encode()[:MAX_STEM_BYTES].decode(errors="ignore") or "image"
        candidate, attempt = stem, 0
        while candidate.casefold() in self._taken:
            text = f"{full_name}\0{attempt}".encode()
            candidate = f"{stem}-{blake2b(text, digest_size=4).hexdigest()}"
            attempt += 1
        self._taken.add(candidate.casefold())
        return candidate
