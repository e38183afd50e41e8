"""Examples of the OpenAPI document, from synthetic images."""

from typing import Any

_ID = "3f0c6a1e9b7d4c58a2e41d0b86f7935c"
_HERE = f"/v1/jobs/{_ID}"

PREDICTION: dict[str, Any] = {
    "schema": "pleura.prediction/1",
    "input": _ID,
    "sop_instance_uid": "2.25.104211",
    "status": "ok",
    "finding": "pneumothorax",
    "probability": 0.9312,
    "uncertainty": 0.012,
    "present": True,
    "operating_point": {
        "name": "balanced",
        "threshold": 0.41,
        "sensitivity": 0.88,
        "specificity": 0.91,
    },
    "mask": {
        "rle": "52163 6 1017 8",
        "rle_convention": "siim-relative",
        "rows": 1024,
        "columns": 1024,
        "area_px": 14,
        "area_mm2": 0.3,
    },
    "regions": [
        {
            "box": [963, 50, 971, 52],
            "area_px": 14,
            "image_side": "left",
            "score": 0.97,
            "area_mm2": 0.3,
            "patient_side": "right",
        }
    ],
    "quality": {"accepted": True, "warnings": [], "unfamiliarity": None},
    "model": {
        "name": "joint-unet",
        "version": "1.5.0",
        "sha256": "0" * 64,
        "engine": "onnxruntime",
    },
    "timings_ms": {"decode": 6.0, "classify": 140.1, "total": 170.9},
}
ERROR: dict[str, Any] = {
    "code": "not_an_image",
    "message": "The bytes are neither DICOM nor PNG, JPEG or TIFF.",
    "hint": "Give a DICOM file, PNG, JPEG or TIFF.",
}
REFUSAL: dict[str, Any] = {
    "schema": "pleura.prediction/1",
    "input": _ID,
    "status": "refused",
    "error": ERROR,
}
JOB: dict[str, Any] = {
    "id": _ID,
    "state": "done",
    "attempts": 1,
    "rank": None,
    "source": "api:ward-7",
    "received_at": "2026-11-28T09:14:07.120000Z",
    "finished_at": "2026-11-28T09:14:07.391000Z",
    "probability": 0.9312,
    "present": True,
    "model": {"name": "joint-unet", "version": "1.5.0"},
    "sop_instance_uid": None,
    "study_instance_uid": None,
    "error": None,
    "links": {
        "self": _HERE,
        "deliveries": f"{_HERE}/deliveries",
        "prediction": f"{_HERE}/prediction",
        "overlay": f"{_HERE}/overlay.png",
        "seg": f"{_HERE}/seg.dcm",
        "sr": f"{_HERE}/sr.dcm",
        "sc": f"{_HERE}/sc.dcm",
    },
}
WAITING_JOB: dict[str, Any] = {
    **JOB,
    "state": "received",
    "attempts": 0,
    "finished_at": None,
    "probability": None,
    "present": None,
    "links": {"self": _HERE, "deliveries": f"{_HERE}/deliveries"},
}
DONE_ITEM: dict[str, Any] = {
    "index": 0,
    "name": "image.dcm",
    "state": "done",
    "job": JOB,
    "prediction": PREDICTION,
    "error": None,
}
WAITING_ITEM: dict[str, Any] = {
    **DONE_ITEM,
    "state": "received",
    "job": WAITING_JOB,
    "prediction": None,
}
REJECTED_ITEM: dict[str, Any] = {
    "index": 1,
    "name": "notes.txt",
    "state": "rejected",
    "job": None,
    "prediction": None,
    "error": {**ERROR, "message": "The file is empty."},
}


def example(value: Any, **more: Any) -> dict[str, Any]:
    """For `responses=`: one example of JSON, or several by name."""
    values = {"example": value, **more}
    named = {name: {"value": shown} for name, shown in values.items()}
    return {"content": {"application/json": {"examples": named}}}
