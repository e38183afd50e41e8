"""What readers say of the results, in a file of its own, for training and calibration later."""

import hashlib
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from pleura.app.cases import Case
from pleura.app.outline import filled
from pleura.app.patient import patient_number
from pleura.app.session import Points
from pleura.errors import OutputError
from pleura.masks import RunLengthConvention, encode
from pleura.outputs import PredictionRecord
from pleura.radiograph import Radiograph

NO_MASK = "-1"
UNKNOWN = ""
_VERSION = 1
_BUSY_SECONDS = 5.0


class Verdict(StrEnum):
    """What a reader says of a result."""

    AGREE = "agree"
    DISAGREE = "disagree"
    CORRECTED = "corrected"


@dataclass(frozen=True, slots=True)
class Feedback:
    """What one reader said of one result.

    Attributes:
        at: when, UTC, ISO 8601.
        reader: who.
        verdict: on the finding, or a corrected outline.
        label: 1 for a pneumothorax, 0 for none, as the reader sees it.
        rle: the mask as the reader sees it, SIIM-ACR relative run lengths on the film's own grid;
            `-1` for none, empty where the reader did not say.
        rows, columns: of the film.
        sha256: of the file.
        sop_instance_uid: of a DICOM file, else empty.
        path: of the file; empty where it was sent by a browser and is not kept.
        patient: a salted hash; empty where the file names no patient.
        view, age_years, sex, encoding: as in `Radiograph`.
        probability, present, operating_point, threshold: what the model said.
        model, version, model_sha256: which model.
    """

    at: str
    reader: str
    verdict: str
    label: int
    rle: str
    rows: int
    columns: int
    sha256: str
    sop_instance_uid: str
    path: str
    patient: str
    view: str
    age_years: float | None
    sex: str
    encoding: str
    probability: float
    present: int
    operating_point: str
    threshold: float
    model: str
    version: str
    model_sha256: str


COLUMNS = tuple(column.name for column in fields(Feedback))


class FeedbackStore:
    """An SQLite file; safe for many sessions. It is made for its owner's eyes alone.

    Args:
        path: of the file; its folder must exist.
        keep_images: the films themselves are kept, in the folder `NAME-images` beside it.

    Raises:
        OutputError: it cannot be opened, or is another kind of file.
    """

    def __init__(self, path: Path, keep_images: bool = False) -> None:
        self.path = path
        self.images = path.with_name(f"{path.stem}-images") if keep_images else None
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            if self.images is not None:
                self.images.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise OutputError("The file for feedback cannot be written.") from error
        columns = ", ".join(f"{name} NOT NULL" for name in COLUMNS if name != "age_years")
        with self._open() as database:
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if version not in (0, _VERSION):
                raise OutputError("The file for feedback is of another version of Pleura.")
            database.execute(f"CREATE TABLE IF NOT EXISTS feedback ({columns}, age_years)")
            database.execute("CREATE TABLE IF NOT EXISTS salt (value NOT NULL)")
            if database.execute("SELECT count(*) FROM salt").fetchone() == (0,):
                database.execute("INSERT INTO salt VALUES (?)", (secrets.token_hex(16),))
            database.execute(f"PRAGMA user_version = {_VERSION}")

    def add(self, feedback: Feedback, content: bytes) -> None:
        """Write it down; it is on the disk when this returns.

        Args:
            feedback: what was said.
            content: the bytes of the film, which are kept if that was asked for.

        Raises:
            OutputError: it cannot be written.
        """
        path = feedback.path
        if self.images is not None:
            path = str(self._keep(feedback.sha256, feedback.encoding, content).resolve())
        values = dict(zip(COLUMNS, astuple(feedback), strict=True)) | {"path": path}
        marks = ", ".join(f":{name}" for name in COLUMNS)
        with self._open() as database:
            database.execute(
                f"INSERT INTO feedback ({', '.join(COLUMNS)}) VALUES ({marks})", values
            )

    def all(self) -> list[Feedback]:
        """Everything that was said, in its order."""
        with self._open() as database:
            rows = database.execute(f"SELECT {', '.join(COLUMNS)} FROM feedback ORDER BY rowid")
            return [Feedback(*row) for row in rows]

    def patient(self, radiograph: Radiograph) -> str:
        """A name for the patient that does not lead back to them without this file."""
        number = patient_number(radiograph)
        if not number:
            return ""
        with self._open() as database:
            (salt,) = database.execute("SELECT value FROM salt").fetchone()
        return hashlib.sha256(f"{salt}:{number}".encode()).hexdigest()[:16]

    def _keep(self, sha256: str, encoding: str, content: bytes) -> Path:
        assert self.images is not None
        suffix = {"PNG": ".png", "JPEG": ".jpg", "TIFF": ".tif"}.get(encoding, ".dcm")
        path = self.images / f"{sha256}{suffix}"
        try:
            if not path.exists():
                partial = path.with_suffix(f".{secrets.token_hex(4)}")
                partial.write_bytes(content)
                partial.replace(path)
        except OSError as error:
            raise OutputError("The film cannot be kept.") from error
        return path

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            database = sqlite3.connect(self.path, timeout=_BUSY_SECONDS)
            try:
                with database:
                    yield database
            finally:
                database.close()
        except sqlite3.Error as error:
            raise OutputError("The file for feedback cannot be read or written.") from error


def feedback_on(
    case: Case,
    said: PredictionRecord,
    radiograph: Radiograph,
    content: bytes,
    *,
    reader: str,
    verdict: Verdict,
    outline_right: bool = False,
    drawn: Points | None = None,
    path: str = "",
    patient: str = "",
) -> Feedback:
    """What a reader's verdict means for label and mask.

    Who agrees with a finding has not looked at every pixel of its outline: the mask is unknown
    unless they say that it is right, or draw one.

    Args:
        case: the film.
        said: what the model said of it, at the operating point that the reader saw.
        radiograph: the film, decoded.
        content: its bytes.
        reader: who judges.
        verdict: what they say.
        outline_right: with `AGREE`: so is the outline.
        drawn: with `CORRECTED`: the corners of what was drawn.
        path: of the file on this machine, if it has one.
        patient: see `FeedbackStore.patient`.

    Raises:
        ValueError: `CORRECTED` without a shape that encloses a pixel.
    """
    if verdict is Verdict.CORRECTED:
        mask = filled(drawn or [], case.shape) if drawn else None
        if mask is None or not mask.any():
            raise ValueError("a corrected outline must enclose something")
        label, rle = 1, encode(mask, RunLengthConvention.SIIM_RELATIVE)
    else:
        label = int(said.present == (verdict is Verdict.AGREE))
        rle = UNKNOWN if label else NO_MASK
        if label and outline_right and said.present and said.mask.area_px:
            rle = said.mask.rle
    return Feedback(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        reader=reader,
        verdict=verdict.value,
        label=label,
        rle=rle,
        rows=case.shape[0],
        columns=case.shape[1],
        sha256=hashlib.sha256(content).hexdigest(),
        sop_instance_uid=radiograph.identifiers.sop_instance_uid,
        path=path,
        patient=patient,
        view=radiograph.view,
        age_years=radiograph.age_years,
        sex=radiograph.sex,
        encoding=radiograph.encoding,
        probability=said.probability,
        present=int(said.present),
        operating_point=said.operating_point.name,
        threshold=said.operating_point.threshold,
        model=said.model.name,
        version=said.model.version,
        model_sha256=said.model.sha256,
    )
