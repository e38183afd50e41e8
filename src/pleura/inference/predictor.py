"""The one way from an input to a prediction; every adapter walks it."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pleura.engines import Engine, Network
from pleura.inference.agreement import disagreement
from pleura.inference.manifest import (
    MANIFEST_NAME,
    Calibration,
    Manifest,
    MaskRule,
    OperatingPoint,
    Preprocessing,
    sha256_of,
)
from pleura.inference.postprocess import calibrated_probability, mask_from_map
from pleura.inference.prediction import (
    ModelReference,
    Prediction,
    QualityReport,
    Refusal,
    Stage,
)
from pleura.inference.preprocess import prepare
from pleura.inference.raw import RawPrediction
from pleura.inference.registry import find_model
from pleura.inference.session import TwoStageSession
from pleura.inference.source import Source, decode, name_of, read_ahead, refusal_for
from pleura.masks import Letterbox, connected_regions
from pleura.quality import (
    UNFAMILIAR,
    Familiarity,
    GateSettings,
    PictureGate,
    Strictness,
    Verdict,
    assess,
    judge,
)
from pleura.radiograph import Radiograph

DEFAULT_LOOK_AHEAD = 2
DEFAULT_GATE = GateSettings()


class Predictor:
    """A model, loaded once, that judges radiographs one at a time.

    Attributes:
        manifest: the model's manifest.
        model: name, version and SHA-256 of the manifest, which names the files by their SHA-256.
        operating_point: the point that decides unless a call names another.
        gate: how the input gate behaves; it looks at pictures only if the model has one.
    """

    def __init__(
        self,
        folder: Path,
        *,
        threads: int | None = None,
        operating_point: str | None = None,
        gate: GateSettings = DEFAULT_GATE,
        networks: tuple[Network, Network | None] | None = None,
        engine: Engine | None = None,
    ) -> None:
        """Load a model folder; see `load`, and `TwoStageSession` for networks of another engine."""
        self.manifest = Manifest.read(folder)
        self.operating_point = self.manifest.operating_point(operating_point)
        self._session = TwoStageSession(folder, self.manifest, threads, networks, engine)
        self.model = ModelReference(
            self.manifest.name,
            self.manifest.version,
            sha256_of(folder / MANIFEST_NAME),
            self._session.engine,
        )
        self.gate = gate
        self._gate: PictureGate | None = None
        if self.manifest.gate is not None and gate.strictness is not Strictness.OFF:
            self._gate = PictureGate(folder, self.manifest.gate)
        self._familiarity: Familiarity | None = None
        if self.manifest.familiarity is not None:
            self._familiarity = Familiarity(folder, self.manifest.familiarity)

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        *,
        threads: int | None = None,
        operating_point: str | None = None,
        gate: GateSettings = DEFAULT_GATE,
        engine: Engine | None = None,
    ) -> Self:
        """Load the embedded default model, an installed one by name, or a model folder.

        Args:
            model: name or path; None for the embedded default.
            threads: threads of one network run; None for the physical cores, four at most.
            operating_point: name of the point that decides; None for the manifest's default.
            gate: strictness of the input gate, and whether it corrects what it can.
            engine: that runs the networks; None for the one that the model's files are for, ONNX
                Runtime on the processor with ONNX files.

        Raises:
            ModelError: there is no such model or operating point, the folder is damaged, or the
                engine cannot run the model.
            MissingDependencyError: the engine is not installed.
        """
        return cls(
            find_model(model),
            threads=threads,
            operating_point=operating_point,
            gate=gate,
            engine=engine,
        )

    @property
    def threads(self) -> int:
        """Threads of one network run."""
        return self._session.threads

    def predict(
        self,
        source: Source,
        *,
        operating_point: str | None = None,
        always_segment: bool = False,
    ) -> Prediction:
        """Judge one radiograph.

        Args:
            source: path, bytes, file object, pydicom Dataset, Radiograph, or `pleura.io.Input`.
            operating_point: name of the point that decides; None for the predictor's own.
            always_segment: fill `probability_map` below the operating point too; the mask stays
                empty there.

        Raises:
            RefusedInputError: the input cannot or must not be judged; the code says why.
            ModelError: there is no such operating point, or the networks gave no finite numbers.
        """
        point = self._point(operating_point)
        started = time.perf_counter()
        radiograph = decode(source)
        decode_ms = _milliseconds_since(started)
        return self._predict(radiograph, decode_ms, point, always_segment)

    def predict_many(
        self,
        sources: Iterable[Source],
        *,
        operating_point: str | None = None,
        always_segment: bool = False,
        look_ahead: int = DEFAULT_LOOK_AHEAD,
    ) -> Iterator[Prediction | Refusal]:
        """Judge many radiographs lazily, one result for each source, in their order.

        While the networks compute, one thread reads the next images. A source that is refused or
        fails yields its `Refusal` and stops nothing.

        Args:
            sources: taken one by one as the results are taken; see `predict`, and
                `pleura.io.discover` for what lies in folders and archives.
            operating_point: as in `predict`.
            always_segment: as in `predict`.
            look_ahead: images that may be decoded or under way beside the one being judged.

        Raises:
            ModelError: there is no such operating point (at the call, not at the first result).
            ValueError: look_ahead is below 1.
        """
        point = self._point(operating_point)
        if look_ahead < 1:
            raise ValueError(f"look_ahead must be at least 1, not {look_ahead}")
        return self._predict_many(sources, point, always_segment, look_ahead)

    def predict_raw(self, source: Source, *, segment_from: float = 0.0) -> RawPrediction:
        """Run the networks and decide nothing: for evaluation, calibration and tuning.

        Args:
            source: as in `predict`.
            segment_from: probability from which on the segmenter is run; 0 always runs it.

        Raises:
            RefusedInputError: as in `predict`.
            ModelError: the networks gave no finite numbers.
        """
        started = time.perf_counter()
        radiograph = decode(source)
        return self._raw(radiograph, _milliseconds_since(started), segment_from)

    def decide(
        self,
        raw: RawPrediction,
        *,
        operating_point: str | OperatingPoint | None = None,
        mask_rule: MaskRule | None = None,
    ) -> Prediction:
        """Make a decision from what the networks said; cheap, so that points can be compared.

        Args:
            raw: from `predict_raw`.
            operating_point: name of the point that decides, or a point that is not the model's;
                None for the predictor's own.
            mask_rule: None for the manifest's.

        Raises:
            ModelError: there is no such operating point.
            ValueError: the finding is present at this point, but the segmenter was not run.
        """
        if not isinstance(operating_point, OperatingPoint):
            operating_point = self._point(operating_point)
        rule = self.manifest.mask if mask_rule is None else mask_rule
        return self._decide(raw, operating_point, rule)

    def _predict_many(
        self,
        sources: Iterable[Source],
        point: OperatingPoint,
        always_segment: bool,
        look_ahead: int,
    ) -> Iterator[Prediction | Refusal]:
        for item in read_ahead(sources, look_ahead):
            if isinstance(item, Refusal):
                yield item
                continue
            try:
                result = self._predict(item.radiograph, item.decode_ms, point, always_segment)
            except Exception as error:  # one bad image must not stop the batch around it
                yield refusal_for(name_of(item.radiograph, item.index), error)
            else:
                yield result

    def _predict(
        self,
        radiograph: Radiograph,
        decode_ms: float,
        point: OperatingPoint,
        always_segment: bool,
    ) -> Prediction:
        always = always_segment or self.manifest.always_segment
        raw = self._raw(radiograph, decode_ms, 0.0 if always else point.threshold)
        return self._decide(raw, point, self.manifest.mask)

    def _raw(self, radiograph: Radiograph, decode_ms: float, segment_from: float) -> RawPrediction:
        timings = {stage.value: 0.0 for stage in Stage}
        timings[Stage.DECODE] = decode_ms

        started = time.perf_counter()
        quality = assess(radiograph)
        verdict = self._look(radiograph)
        quality = replace(quality, warnings=(*quality.warnings, *verdict.warnings))
        image, letterbox = _prepared(radiograph, self.manifest.preprocessing, verdict)
        timings[Stage.PREPROCESS] = _milliseconds_since(started)

        started = time.perf_counter()
        classified = self._session.classify(image)
        probability = calibrated_probability(classified.logit, self.manifest.calibration)
        uncertainty = spread_of(classified.view_logits, self.manifest.calibration)
        quality = self._compared(quality, classified.embedding)
        timings[Stage.CLASSIFY] = _milliseconds_since(started)

        network_map = None
        if probability >= segment_from:
            started = time.perf_counter()
            apart = None
            if self.manifest.segmenter_preprocessing is not None:
                preprocessing = self.manifest.segmenter_preprocessing
                apart, letterbox = _prepared(radiograph, preprocessing, verdict)
            network_map = self._session.segment(classified, apart)
            # The map lies on the file, however the picture was turned to be judged.
            network_map = np.ascontiguousarray(np.rot90(network_map, verdict.quarter_turns))
            timings[Stage.SEGMENT] = _milliseconds_since(started)
        return RawPrediction(
            radiograph=radiograph,
            quality=quality,
            letterbox=letterbox,
            embedding=classified.embedding,
            logit=classified.logit,
            view_logits=classified.view_logits,
            probability=probability,
            uncertainty=uncertainty,
            network_map=network_map,
            timings_ms=timings,
        )

    def _look(self, radiograph: Radiograph) -> Verdict:
        """What the input gate says of the picture; raises the error that refuses it."""
        if self._gate is None:
            return Verdict()
        scores = self._gate.look(radiograph.pixels)
        verdict = judge(radiograph.pixels, scores, self._gate.spec.limits, self.gate)
        if verdict.refusal is not None:
            raise verdict.refusal
        return verdict

    def _compared(
        self, quality: QualityReport, embedding: NDArray[np.float32] | None
    ) -> QualityReport:
        """The report with the distance from what the model knows, and a warning beyond it."""
        if self._familiarity is None or embedding is None:
            return quality
        distance = self._familiarity.unfamiliarity(embedding)
        warn = distance >= 1 and self.gate.strictness is not Strictness.OFF
        added = (UNFAMILIAR,) if warn else ()
        return replace(quality, warnings=(*quality.warnings, *added), unfamiliarity=distance)

    def _decide(self, raw: RawPrediction, point: OperatingPoint, rule: MaskRule) -> Prediction:
        started = time.perf_counter()
        shape = raw.radiograph.shape
        present = raw.probability >= point.threshold
        quality = raw.quality
        mask = np.zeros(shape, dtype=np.bool_)
        if raw.network_map is not None:
            probability_map = raw.letterbox.invert(raw.network_map)
        elif present:
            raise ValueError("the finding is present, but the segmenter was not run")
        else:
            probability_map = np.zeros(shape, dtype=np.float32)
        if present:
            mask = mask_from_map(probability_map, rule)
        notice = disagreement(present, mask, raw.network_map, rule)
        if notice is not None:
            quality = replace(quality, warnings=(*quality.warnings, notice))
        regions = connected_regions(mask, probability_map) if mask.any() else ()

        timings = dict(raw.timings_ms)
        timings[Stage.POSTPROCESS] = _milliseconds_since(started)
        timings[Stage.TOTAL] = sum(timings[stage] for stage in Stage if stage is not Stage.TOTAL)
        return Prediction(
            radiograph=raw.radiograph,
            probability=raw.probability,
            uncertainty=raw.uncertainty,
            operating_point=point,
            mask=mask,
            probability_map=probability_map,
            segmented=raw.network_map is not None,
            regions=regions,
            quality=quality,
            model=self.model,
            timings_ms=MappingProxyType(timings),
        )

    def _point(self, name: str | None) -> OperatingPoint:
        return self.operating_point if name is None else self.manifest.operating_point(name)


def _prepared(
    radiograph: Radiograph, preprocessing: Preprocessing, verdict: Verdict
) -> tuple[NDArray[np.float32], Letterbox]:
    """The network's input, corrected as the gate says, and the way back to the file's grid."""
    if verdict.invert:
        radiograph = replace(radiograph, pixels=1 - radiograph.pixels)
    image, letterbox = prepare(radiograph, preprocessing)
    if verdict.quarter_turns:
        image = np.ascontiguousarray(np.rot90(image, -verdict.quarter_turns, axes=(2, 3)))
    return image, letterbox


def spread_of(view_logits: tuple[float, ...], calibration: Calibration) -> float | None:
    """How far the views of one image lie apart.

    Returns:
        The population standard deviation of their calibrated probabilities, in [0, 0.5]; None for
        a single view, which says nothing about a spread.
    """
    if len(view_logits) < 2:
        return None
    return float(np.std([calibrated_probability(logit, calibration) for logit in view_logits]))


def _milliseconds_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000.0
