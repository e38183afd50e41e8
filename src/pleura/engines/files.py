"""Files of a model folder: the bytes whose SHA-256 was checked."""

import hashlib
from pathlib import Path

from pleura.errors import ModelError


def checked_bytes(path: Path, sha256: str) -> bytes:
    """The content of a file.

    Args:
        path: of the file.
        sha256: that the model's manifest gives, 64 hexadecimal digits.

    Raises:
        ModelError: the file cannot be read, or it is not the one of the manifest.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"The model file {path} cannot be read.") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ModelError(f"The SHA-256 of {path} is not the one in the manifest.")
    return content
