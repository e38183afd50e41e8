"""Who judges the films: this process, or a service; the page does not know which."""

from dataclasses import dataclass, replace
from time import perf_counter
from typing import Protocol

import numpy as np

from pleura.app.cases import Case, Entry, Refused, Source
from pleura.app.rendering import thumbnail
from pleura.app.settings import AppSettings
from pleura.app.takeaway import Kind, made_from
from pleura.inference import (
    Manifest,
    OperatingPoint,
    Prediction,
    Predictor,
    RawPrediction,
    Stage,
    find_model,
)
from pleura.inference.source import refusal_for
from pleura.io import read_radiograph
from pleura.outputs import PredictionRecord, RefusalRecord, record_of
from pleura.quality import GateSettings, Strictness
from pleura.radiograph import Radiograph

PICTURES = (Kind.OVERLAY, Kind.HEATMAP)
TRIED = "tried"
"""Name of a threshold that is none of the model's."""


@dataclass(frozen=True, slots=True)
class Model:
    """Who judges.

    Attributes:
        name: of the model.
        version: of the model.
        points: its operating points; empty where a service does not tell.
        chosen: name of the one that is chosen at first, under which cases have their results.
        manifest: everything that it says of itself; None where a service does not tell.
        place: where it runs, in words.
    """

    name: str
    version: str
    points: tuple[OperatingPoint, ...]
    chosen: str
    manifest: Manifest | None
    place: str

    def point_of(self, record: PredictionRecord) -> OperatingPoint:
        """The operating point that decided a result, with all that is known of it."""
        said = record.operating_point
        found = {point.name: point for point in self.points}
        return found.get(said.name) or OperatingPoint.model_validate(said.model_dump())


class Engine(Protocol):
    """Judges films, and gives what can be taken away of them. Safe for many sessions at once."""

    @property
    def model(self) -> Model:
        """Who judges."""

    @property
    def switchable(self) -> bool:
        """Other operating points and thresholds can be tried without running the model."""

    def judge(self, case_id: str, number: int, source: Source) -> Entry:
        """Judge one film; one that is refused or fails is an entry like every other."""

    def radiograph(self, case: Case) -> Radiograph:
        """Read the film again, for the eye."""

    def tried(self, case: Case, radiograph: Radiograph, threshold: float) -> PredictionRecord:
        """What would be said of a film at any threshold, without running the model."""

    def kinds(self, case: Case) -> tuple[Kind, ...]:
        """What can be taken away of this film."""

    def take(self, case: Case, point: str, kind: Kind) -> bytes:
        """One of these, as the bytes of a file; raises a typed error when it cannot be made."""

    def work_list(self) -> list[Source] | None:
        """Films that a service received from elsewhere; None where there is no service."""


class LocalEngine:
    """Judges in this process. The model is loaded once; the films stay in memory.

    Args:
        settings: which model, and how strict its input gate is.

    Raises:
        ModelError: there is no such model, or it is damaged.
    """

    def __init__(self, settings: AppSettings) -> None:
        gate = GateSettings(Strictness(settings.gate), settings.correct)
        self._predictor = Predictor.load(
            find_model(settings.model),
            threads=settings.threads,
            operating_point=settings.operating_point,
            gate=gate,
        )
        self._limits = settings.limits
        manifest = self._predictor.manifest
        self.model = Model(
            manifest.name,
            manifest.version,
            manifest.operating_points,
            self._predictor.operating_point.name,
            manifest,
            "in this process",
        )

    @property
    def switchable(self) -> bool:
        """Yes: the networks' words are kept."""
        return True

    @property
    def predictor(self) -> Predictor:
        """The loaded model, for the page that measures it."""
        return self._predictor

    def judge(self, case_id: str, number: int, source: Source) -> Entry:
        """Judge one film at every operating point; the networks run once."""
        try:
            started = perf_counter()
            radiograph = self._read(source)
            decode_ms = (perf_counter() - started) * 1000
            raw = self._predictor.predict_raw(radiograph)
            raw = replace(raw, timings_ms={**raw.timings_ms, Stage.DECODE: decode_ms})
            results = {
                point.name: self._said(raw, point)
                for point in self._predictor.manifest.operating_points
            }
            small = thumbnail(radiograph.pixels)
        except Exception as error:  # whatever one film does, the next must be judged
            refusal = refusal_for(source.readable.name, error)
            return Refused(case_id, number, source, refusal)
        return Case(
            case_id, number, source, results, small, radiograph.shape, raw=_without_pixels(raw)
        )

    def radiograph(self, case: Case) -> Radiograph:
        """Read the film again."""
        return self._read(case.source)

    def tried(self, case: Case, radiograph: Radiograph, threshold: float) -> PredictionRecord:
        """What would be said at any threshold. Its figures were never measured and stay 0."""
        point = OperatingPoint(name=TRIED, threshold=threshold, sensitivity=0, specificity=0)
        return self._said(_with_pixels(case, radiograph), point)

    def kinds(self, case: Case) -> tuple[Kind, ...]:
        """All of them where a DICOM object can refer to the film; else pictures."""
        if case.raw is None or case.raw.radiograph.header is None:
            return PICTURES
        uids = case.raw.radiograph.identifiers
        named = uids.sop_instance_uid and uids.series_instance_uid and uids.study_instance_uid
        return tuple(Kind) if named else PICTURES

    def take(self, case: Case, point: str, kind: Kind) -> bytes:
        """Make one file of a film, at a named operating point."""
        raw = _with_pixels(case, self._read(case.source))
        return made_from(self._predictor.decide(raw, operating_point=point), kind)

    def work_list(self) -> list[Source] | None:
        """There is no service."""
        return None

    def _read(self, source: Source) -> Radiograph:
        readable = source.readable
        return read_radiograph(readable.read(), name=readable.name, limits=self._limits)

    def _said(self, raw: RawPrediction, point: OperatingPoint) -> PredictionRecord:
        return record_of_prediction(self._predictor.decide(raw, operating_point=point))


def record_of_prediction(prediction: Prediction) -> PredictionRecord:
    """The record of a film that was judged."""
    record = record_of(prediction)
    assert not isinstance(record, RefusalRecord)
    return record


def _without_pixels(raw: RawPrediction) -> RawPrediction:
    """Forty films of 20 MB each would fill the memory; their bytes are there to be read again."""
    nothing = np.zeros((1, 1), dtype=np.float32)
    return replace(raw, radiograph=replace(raw.radiograph, pixels=nothing))


def _with_pixels(case: Case, radiograph: Radiograph) -> RawPrediction:
    assert case.raw is not None, "the film was judged elsewhere"
    return replace(case.raw, radiograph=radiograph)
