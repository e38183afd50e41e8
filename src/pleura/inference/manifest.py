"""The manifest that travels with the weights: what a model needs, what it claims, and the proof.

A model is a folder: `manifest.json` and the ONNX files that it names. What was trained is what is
served: preprocessing, calibration and operating points are read from here and from nowhere else.
"""

import hashlib
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    model_validator,
)

from pleura.errors import ModelError
from pleura.quality import FamiliaritySpec, GateSpec

MANIFEST_NAME = "manifest.json"
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimate(_Frozen):
    """A measured figure with its 95 % interval and number of cases."""

    value: float
    low: float
    high: float
    n: int = Field(ge=0)


class Preprocessing(_Frozen):
    """Radiograph -> network input: letterbox to a square by area averaging, then standardise.

    Attributes:
        size: side of the square input in pixels.
        mean: subtracted from pixels in [0, 1].
        std: divides afterwards.
        pad_value: pixel value in [0, 1] around a radiograph that is not square.
    """

    size: int = Field(gt=0)
    mean: float
    std: float = Field(gt=0)
    pad_value: Fraction = 0.0


class Component(_Frozen):
    """One network of the model: a file, with its SHA-256.

    Attributes:
        file: ONNX, or the XML of an OpenVINO IR.
        sha256: of the file, 64 hexadecimal digits.
        weights: the file beside an IR; ONNX holds its own.
    """

    file: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    weights: "Component | None" = None

    @model_validator(mode="after")
    def _stay_in_folder(self) -> Self:
        if Path(self.file).name != self.file:
            raise ValueError(
                f"file must be a plain name inside the model folder, not {self.file!r}"
            )
        return self


class CalibrationScore(_Frozen):
    """What a way of calibrating scored in the cross-validation that chose among them.

    Attributes:
        method: as in `Calibration`.
        log_loss: mean over the cases left out, in nats, weighted to the prevalence; smaller is
            better.
        gain: by how much that is better than the simpler method it was held against; None for the
            simplest.
        gain_error: standard error of the gain, over patients.
    """

    method: Literal["temperature", "platt", "isotonic"]
    log_loss: float = Field(ge=0.0)
    gain: float | None = None
    gain_error: float | None = Field(None, ge=0.0)


class Calibration(_Frozen):
    """From the classifier's logit to a probability, in one of four ways.

    - `none`: sigmoid(logit).
    - `temperature`: sigmoid(slope * logit + intercept). The slope is 1 / temperature and positive
      (Guo et al., 2017); the intercept is not fitted, but the difference of the prior log odds.
    - `platt`: the same with both numbers fitted (Platt, 1999).
    - `isotonic`: a line through the knots, and the first and last probability beyond them
      (Zadrozny and Elkan, 2002; Oron and Flournoy, 2017).

    Attributes:
        slope, intercept: of `platt` and `temperature`.
        knots: of `isotonic`, pairs of logit and probability, both strictly increasing.
        prevalence: share of positives for which the probability is calibrated.
        fitted_on: the cases that it was fitted on, and why this method, in words.
        compared: what each method scored; empty when nothing was compared.
    """

    method: Literal["platt", "temperature", "isotonic", "none"] = "none"
    slope: float = 1.0
    intercept: float = 0.0
    knots: tuple[tuple[FiniteFloat, Fraction], ...] = ()
    prevalence: Fraction | None = None
    fitted_on: str = ""
    compared: tuple[CalibrationScore, ...] = ()

    @model_validator(mode="after")
    def _increasing(self) -> Self:
        if self.method == "temperature" and not self.slope > 0:
            raise ValueError(f"the slope of a temperature must be positive, not {self.slope}")
        if (self.method == "isotonic") != bool(self.knots):
            raise ValueError("knots belong to the method isotonic, and to no other")
        if self.knots and len(self.knots) < 2:
            raise ValueError("isotonic needs two knots")
        for (logit, probability), (next_logit, next_probability) in pairwise(self.knots):
            if not (logit < next_logit and probability < next_probability):
                raise ValueError("logit and probability must increase from knot to knot")
        return self


class OperatingPoint(_Frozen):
    """A named threshold on the calibrated probability, with what it achieved on its cohort."""

    name: str
    threshold: Fraction
    sensitivity: Fraction
    specificity: Fraction
    sensitivity_interval: tuple[Fraction, Fraction] | None = None
    specificity_interval: tuple[Fraction, Fraction] | None = None
    cohort: str = ""


class MaskRule(_Frozen):
    """From the map of probabilities to a mask.

    Attributes:
        method: `threshold`: the same threshold for every image. `expected_dice`: the threshold of
            the image at which the Dice that the map itself expects is the highest, and never one
            below `threshold`; see `pleura.inference.postprocess.dice_threshold`.
        threshold: a pixel belongs to the mask at this probability and above.
        min_area_fraction: regions below this share of the image are dropped; the largest region
            always stays, so that a positive finding is not left without a place.
    """

    method: Literal["threshold", "expected_dice"] = "threshold"
    threshold: Fraction = 0.5
    min_area_fraction: Fraction = 0.0


class SelftestCase(_Frozen):
    """A synthetic radiograph by its seed and kind, and what the model said of it when released."""

    seed: int
    pneumothorax: bool
    probability: Fraction
    area_px: int = Field(ge=0)


class Manifest(_Frozen):
    """Everything that a consumer of the weights must know.

    The classifier takes `image` (n, 1, size, size) float32 and gives `logit` (n, 1), and may give
    features under other names; `embedding` (n, d) is the one by which a model with `familiarity`
    knows what is unlike all that it has seen. The segmenter takes `image` or any of these
    features, by name, and gives `mask_logits` (n, 1, h, w), a stride coarser than the input or
    equal to it. A model whose mask is evidence for its logit needs none: its classifier gives
    `mask_logits` itself.

    With `always_segment` the segmenter is run below the operating point, too: where it costs next
    to nothing after the classifier, a mask that contradicts the finding is noticed for free.

    With `flip_average` each radiograph and its mirror image are judged, and averaged; with
    `mirror_from` only where the image alone gives this logit or more, because a clear negative
    stays one (see `pleura.export.mirror`).

    A segmenter of another network than the classifier's has `segmenter_preprocessing`, takes
    `image` alone, prepared in that way, and never sees the classifier's features.

    A model with a `gate` asks it first whether the picture is one that the model may judge.
    """

    schema_: Literal["pleura.model/1"] = Field("pleura.model/1", alias="schema")
    name: str
    version: str
    description: str = ""
    preprocessing: Preprocessing
    segmenter_preprocessing: Preprocessing | None = None
    classifier: Component
    segmenter: Component | None = None
    flip_average: bool = False
    mirror_from: FiniteFloat | None = None
    always_segment: bool = False
    gate: GateSpec | None = None
    familiarity: FamiliaritySpec | None = None
    calibration: Calibration = Calibration()
    operating_points: tuple[OperatingPoint, ...]
    default_operating_point: str
    mask: MaskRule = MaskRule()
    training: dict[str, Any] = {}
    performance: dict[str, Estimate] = {}
    performance_cohort: str = ""
    selftest: tuple[SelftestCase, ...] = ()
    licence: str = ""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="after")
    def _default_exists(self) -> Self:
        names = [point.name for point in self.operating_points]
        if len(set(names)) != len(names):
            raise ValueError("operating points must have distinct names")
        if self.default_operating_point not in names:
            raise ValueError(f"default_operating_point must be one of {names}")
        if self.mirror_from is not None and not self.flip_average:
            raise ValueError("mirror_from belongs to a model with flip_average")
        if self.segmenter_preprocessing is not None and self.segmenter is None:
            raise ValueError("segmenter_preprocessing belongs to a model with a segmenter")
        return self

    @property
    def is_onnx(self) -> bool:
        """Whether the networks are ONNX files: such can be learned from, joined and quantised."""
        return self.classifier.file.endswith(".onnx")

    @property
    def files(self) -> tuple[str, ...]:
        """The files of the model folder beside the manifest, each once."""
        networks = (self.classifier, self.classifier.weights, self.segmenter)
        parts = (*networks, self.gate, self.familiarity)
        return tuple(dict.fromkeys(part.file for part in parts if part is not None))

    def operating_point(self, name: str | None = None) -> OperatingPoint:
        """The named operating point, or the default one.

        Raises:
            ModelError: the model has no operating point of that name.
        """
        wanted = self.default_operating_point if name is None else name
        for point in self.operating_points:
            if point.name == wanted:
                return point
        known = ", ".join(point.name for point in self.operating_points)
        raise ModelError(f"The model has no operating point '{wanted}'.", f"Use one of: {known}.")

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read `manifest.json` of a model folder.

        Raises:
            ModelError: it is missing or not valid.
        """
        path = folder / MANIFEST_NAME
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise ModelError(
                f"There is no {MANIFEST_NAME} in the model folder {folder}."
            ) from error
        except OSError as error:
            raise ModelError(f"The manifest {path} cannot be read: {error.strerror}.") from error
        except ValidationError as error:
            raise ModelError(f"The manifest {path} is not valid: {error}") from error

    def write(self, folder: Path) -> Path:
        """Write `manifest.json` into a model folder, and return its path."""
        path = folder / MANIFEST_NAME
        path.write_text(self.model_dump_json(indent=2, by_alias=True) + "\n", encoding="utf-8")
        return path


def sha256_of(path: Path) -> str:
    """SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
