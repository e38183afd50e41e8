"""What the header of a film says of the patient: only for a reader who asks, and for hashes."""

from pleura.radiograph import Radiograph


def patient_in_words(radiograph: Radiograph) -> str:
    """Name, number and study date, for a reader who asked for them."""
    parts = [_text(radiograph, word) for word in ("PatientName", "PatientID", "StudyDate")]
    return ", ".join(part for part in parts if part) or "The file names no patient."


def patient_number(radiograph: Radiograph) -> str:
    """What tells one patient from another; empty where the file does not say."""
    return _text(radiograph, "PatientID")


def _text(radiograph: Radiograph, keyword: str) -> str:
    try:
        value = "" if radiograph.header is None else radiograph.header.get(keyword, "")
        return str(value or "").strip()
    except Exception:  # a header's values may break every rule; this one says nothing then
        return ""
