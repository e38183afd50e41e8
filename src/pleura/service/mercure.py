"""A module of mercure: DICOM files in one folder, results in another (mercure-imaging.org).

mercure starts the container with `MERCURE_IN_DIR` and `MERCURE_OUT_DIR`. In the first lie the
images of a series or study as `SERIES#IMAGE.dcm`, and `task.json` with the module's settings under
`process.settings`. The second gets DICOM objects, which mercure sends on, and `result.json`, which
it logs and shows, and whose `__mercure_notification` it sends to whom its rule names.
"""

import json
import shutil
from collections.abc import Iterator
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pleura.errors import (
    InvalidHeaderError,
    NoDicomSourceError,
    NotAnImageError,
    NotFoundError,
    PleuraError,
    TruncatedError,
    UnsupportedSyntaxError,
)
from pleura.inference import Prediction, Predictor, Refusal, Status
from pleura.io import Input
from pleura.outputs import DISCLAIMER, DicomOptions, Kind, dicom_objects
from pleura.service.errors import SettingsError
from pleura.service.recipe import load_predictor
from pleura.service.settings.work import ModelSettings

SCHEMA = "pleura.mercure/1"
RESULT_NAME = "result.json"
TASK_NAME = "task.json"
NOTIFICATION = "__mercure_notification"

_UNREADABLE = frozenset(
    error.code
    for error in (
        NotFoundError,
        NotAnImageError,
        TruncatedError,
        InvalidHeaderError,
        UnsupportedSyntaxError,
    )
)


class ModuleSettings(BaseModel):
    """What can be set for the module or the rule; settings of other modules are passed over.

    Attributes:
        model, operating_point, gate, correct, threads: as in the service's section `model`.
        write: DICOM objects.
        seg_negatives: an empty segmentation where nothing is segmented.
        pass_through: the images themselves as well.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str | None = None
    operating_point: str | None = None
    gate: Literal["refuse", "warn", "off"] = "refuse"
    correct: bool = False
    threads: int | None = None
    write: tuple[Kind, ...] = tuple(Kind)
    seg_negatives: bool = False
    pass_through: bool = False


def run_module(incoming: Path, outgoing: Path) -> bool:
    """Judge all images of a folder, and write what mercure takes on.

    Args:
        incoming: folder of the images and `task.json`.
        outgoing: folder of the results; it exists.

    Returns:
        Whether anything could be done: an image was judged, or was read and is none that the model
        may judge. Where it could not, `result.json` says why.

    Raises:
        OSError: the results cannot be written.
    """
    try:
        settings = read_settings(incoming / TASK_NAME)
        predictor = _load(settings)
    except PleuraError as error:
        _write(outgoing, {"error": _described(error)})
        return False
    made_at = datetime.now()
    images = [
        _image(number, result, settings, outgoing, made_at)
        for number, result in enumerate(_results(predictor, incoming), 1)
    ]
    if settings.pass_through:
        for path in _images_in(incoming):
            shutil.copyfile(path, outgoing / path.name)
    point = predictor.operating_point
    positive = [image["probability"] for image in images if image.get("present")]
    result: dict[str, Any] = {
        "model": {"name": predictor.model.name, "version": predictor.model.version},
        "operating_point": {"name": point.name, "threshold": point.threshold},
        "images": images,
        "positive": len(positive),
    }
    if positive:
        text = (
            f"Pneumothorax on {len(positive)} of {len(images)} images, probability up to"
            f" {max(positive):.2f}. {DISCLAIMER}"
        )
        result[NOTIFICATION] = {"text": text, "requested": True}
    _write(outgoing, result)
    return any(_is_answer(image) for image in images)


def read_settings(path: Path) -> ModuleSettings:
    """The module's settings in mercure's task file; the defaults where there are none.

    Raises:
        SettingsError: the file cannot be read, or a setting is wrong.
    """
    try:
        task = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ModuleSettings()
    except (OSError, ValueError) as error:
        raise SettingsError(f"{TASK_NAME} cannot be read ({type(error).__name__}).") from error
    process = task.get("process") if isinstance(task, dict) else None
    given = process.get("settings") if isinstance(process, dict) else None
    try:
        return ModuleSettings.model_validate(given or {})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SettingsError(
            f"process.settings.{place}: {first['msg']}.",
            "Correct the settings of the module or of the rule in mercure.",
        ) from None


def _load(settings: ModuleSettings) -> Predictor:
    shared = settings.model_dump(include=set(ModelSettings.model_fields))
    return load_predictor(ModelSettings.model_validate(shared))


def _images_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.dcm") if path.is_file())


def _results(predictor: Predictor, folder: Path) -> Iterator[Prediction | Refusal]:
    """Results in the order of the files, whose names hold UIDs and go no further."""
    sources = (Input(f"{number}", path) for number, path in enumerate(_images_in(folder), 1))
    return predictor.predict_many(sources)


def _image(
    number: int,
    result: Prediction | Refusal,
    settings: ModuleSettings,
    outgoing: Path,
    made_at: datetime,
) -> dict[str, Any]:
    """Write the objects of one image; what `result.json` says of it."""
    if isinstance(result, Refusal):
        error = {"code": result.code, "message": result.message, "hint": result.hint}
        return {"image": number, "status": result.status.value, "error": error}
    said: dict[str, Any] = {
        "image": number,
        "status": Status.OK.value,
        "probability": round(result.probability, 6),
        "present": result.present,
        "area_mm2": None if result.area_mm2 is None else round(result.area_mm2, 1),
        "warnings": [notice.code for notice in result.quality.warnings],
    }
    options = DicomOptions(negatives=settings.seg_negatives)
    try:
        made = dicom_objects(result, settings.write, made_at, options)
    except NoDicomSourceError as error:
        return said | {"written": [], "error": _described(error)}
    for content in made.values():
        (outgoing / _file_name(content)).write_bytes(content)
    return said | {"written": [kind.value for kind in made]}


def _file_name(content: bytes) -> str:
    """As mercure names files: `SERIES#IMAGE.dcm`."""
    from pydicom import dcmread

    uids = ["SeriesInstanceUID", "SOPInstanceUID"]
    header = dcmread(BytesIO(content), stop_before_pixels=True, specific_tags=uids)
    return f"{header.SeriesInstanceUID}#{header.SOPInstanceUID}.dcm"


def _is_answer(image: dict[str, Any]) -> bool:
    """Judged, or read and refused with good reason: nothing that mercure should call an error."""
    if image["status"] == Status.REFUSED:
        return image["error"]["code"] not in _UNREADABLE
    return bool(image["status"] == Status.OK)


def _described(error: PleuraError) -> dict[str, str]:
    return {"code": error.code, "message": error.message, "hint": error.hint}


def _write(outgoing: Path, result: dict[str, Any]) -> None:
    whole = {"schema": SCHEMA, **result, "note": DISCLAIMER}
    (outgoing / RESULT_NAME).write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
