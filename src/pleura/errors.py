"""Every refusal has a stable code, a sentence that says what is wrong, and a hint with the remedy.

Codes are public: they stand in the JSON results and may be counted by a monitoring system. A
message never holds a patient identifier: no name, no patient ID, no UID, no free text of a header.
"""

from typing import ClassVar


class PleuraError(Exception):
    """Base of all typed errors.

    Attributes:
        code: stable, lower-case identifier of the kind of error.
        message: one sentence, free of patient identifiers.
        hint: one sentence that says what the user can do.
    """

    code: ClassVar[str] = "error"
    default_hint: ClassVar[str] = "See the message."

    def __init__(self, message: str, hint: str | None = None) -> None:
        self.message = message
        self.hint = hint or self.default_hint
        super().__init__(message)

    def __str__(self) -> str:
        return f"{self.message} [{self.code}] {self.hint}"

    def __reduce__(self) -> tuple[type["PleuraError"], tuple[str, str]]:
        return type(self), (self.message, self.hint)


class RefusedInputError(PleuraError):
    """The input is understood well enough to know that it must not be judged."""

    code = "refused"


class NotFoundError(RefusedInputError):
    """The named input does not exist or cannot be opened."""

    code = "not_found"
    default_hint = "Check the path and its permissions."


class NotAnImageError(RefusedInputError):
    """The bytes are neither DICOM nor a raster format that Pleura reads."""

    code = "not_an_image"
    default_hint = "Give a DICOM file, PNG, JPEG or TIFF."


class NoPixelDataError(RefusedInputError):
    """A DICOM object without pixel data (PS3.3 C.7.6.3)."""

    code = "no_pixel_data"
    default_hint = (
        "Send the image itself, not a report, a presentation state or a header-only copy."
    )


class UnsupportedSyntaxError(RefusedInputError):
    """The transfer syntax or the raster encoding cannot be decoded here."""

    code = "unsupported_syntax"
    default_hint = "Re-send the image uncompressed (Explicit VR Little Endian)."


class TruncatedError(RefusedInputError):
    """Fewer bytes than the header promises, or a compressed stream that breaks off."""

    code = "truncated"
    default_hint = "Transfer the file again; compare its size with the original."


class InvalidHeaderError(RefusedInputError):
    """A header that contradicts itself or lacks what decoding needs."""

    code = "invalid_header"
    default_hint = "Check the file with a DICOM validator (dciodvfy, dcmdump)."


class NotProjectionRadiographError(RefusedInputError):
    """A DICOM image of another kind: CT, MR, ultrasound, mammography ..."""

    code = "not_projection_radiograph"
    default_hint = "Give a chest radiograph: modality CR, DX, or a Secondary Capture of one."


class MultiFrameError(RefusedInputError):
    """Several frames in one object."""

    code = "multiple_frames"
    default_hint = "Give single-frame images; split the object first."


class ColourImageError(RefusedInputError):
    """Samples that differ between colour channels, or a palette."""

    code = "colour_image"
    default_hint = "Give the original grey-scale radiograph, not a coloured copy."


class TooSmallError(RefusedInputError):
    """Fewer rows or columns than a chest radiograph can be judged on."""

    code = "too_small"
    default_hint = "Give the radiograph at its original size."


class TooLargeError(RefusedInputError):
    """More pixels or bytes than the stated limit."""

    code = "too_large"
    default_hint = "Raise the limit on purpose, or give the image at its original size."


class ConstantImageError(RefusedInputError):
    """Every pixel has the same value."""

    code = "constant_image"
    default_hint = "The exposure or the export failed; check the original."


class LateralPictureError(RefusedInputError):
    """The picture looks like a lateral view."""

    code = "picture_lateral"
    default_hint = "Send the frontal view, or lower the strictness."


class OtherBodyPartError(RefusedInputError):
    """The picture looks like a radiograph of another part of the body."""

    code = "picture_other_part"
    default_hint = "Send a frontal chest radiograph, or lower the strictness."


class NoRadiographError(RefusedInputError):
    """The picture does not look like a radiograph: a slice, a photograph, a drawing."""

    code = "picture_no_radiograph"
    default_hint = "Send a frontal chest radiograph, or lower the strictness."


class CutOffError(RefusedInputError):
    """A large part of the lungs seems to lie outside the picture."""

    code = "picture_cut_off"
    default_hint = "Send the whole radiograph, or lower the strictness."


class PhotographedError(RefusedInputError):
    """The picture looks like a photograph of a screen or a film."""

    code = "picture_photographed"
    default_hint = "Send the file itself, or lower the strictness."


class TurnedPictureError(RefusedInputError):
    """The picture lies on its side or upside down."""

    code = "picture_turned"
    default_hint = "Send it upright, or ask for pictures to be corrected."


class InvertedPictureError(RefusedInputError):
    """Black and white are exchanged in the picture."""

    code = "picture_inverted"
    default_hint = "Send it with air dark and bone bright, or ask for pictures to be corrected."


class LowContrastError(RefusedInputError):
    """The picture has hardly any contrast: exposed far too little or too much, or a bad window."""

    code = "picture_low_contrast"
    default_hint = "Check exposure and window, or lower the strictness."


class RunLengthError(PleuraError, ValueError):
    """A malformed run-length string; the message names the position."""

    code = "malformed_rle"
    default_hint = "Check the row of the table against the published file."


class ModelError(PleuraError):
    """A model folder that is missing, damaged, or does not match its manifest."""

    code = "model_error"
    default_hint = "Run `pleura models list`; reinstall or export the model again."


class DataError(PleuraError):
    """A data set that cannot be indexed or used as asked."""

    code = "data_error"
    default_hint = "Run `pleura data index` on the folder and read its report."


class TooFewCasesError(PleuraError):
    """Fewer labelled cases than a figure or a threshold needs to mean anything."""

    code = "too_few_cases"
    default_hint = "Label more images, of more patients; images of the same patients do not count."


class ConfigError(PleuraError):
    """A configuration that is not valid."""

    code = "config_error"
    default_hint = "Check the key against docs/training.md."


class OutputError(PleuraError):
    """Results cannot be written."""

    code = "output_error"
    default_hint = "Check the folder's permissions and the space that is left; then run it again."


class NoDicomSourceError(OutputError):
    """A result whose input has no header, or one that an object cannot refer to."""

    code = "no_dicom_source"
    default_hint = "Give the original DICOM file; the other formats hold the result all the same."


class StoreError(PleuraError):
    """An object store does not answer, or not as it should, after several tries."""

    code = "store_error"
    default_hint = "Check address, credentials and network; then run the same command again."


class BatchChangedError(PleuraError):
    """A run that cannot be continued: its settings, model or list of inputs are others now."""

    code = "batch_changed"
    default_hint = "Run the command that began it, or name a new output."


class WorkerDiedError(PleuraError):
    """A process died while it judged: memory ran out, or a decoder crashed."""

    code = "worker_died"
    default_hint = (
        "Give each worker more memory, or fewer workers; a file that does it alone is bad."
    )


class MissingDependencyError(PleuraError, ImportError):
    """A part of Pleura whose optional packages are not installed."""

    code = "missing_dependency"
    default_hint = "Install the extra that the message names."
