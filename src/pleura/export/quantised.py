"""A model folder in 8-bit integers, for OpenVINO: weights by channel, activations by tensor.

Post-training quantisation by NNCF (Kozlov et al., 2020; MIXED: symmetric weights, asymmetric
activations), its ranges taken from training radiographs. What loses most by it stays in float: the
first convolutions, which see the grey levels themselves, the last, whose values are the mask and
the finding, and the gates of squeeze-and-excitation, which multiply whole channels. Which these are
was found on the held-out fold by leaving layers out in turn; see docs/performance.md.

The copy is a model of its own: calibration, operating points, mask rule and limits are chosen
again on the held-out fold with what the integers say.
"""

import json
import logging
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from pleura.errors import MissingDependencyError, ModelError
from pleura.export.held_out import (
    Judged,
    Progress,
    held_out_rows,
    judge_held_out,
    parity_images,
    trained_rows,
)
from pleura.export.onnx_file import save, store_whole
from pleura.export.release import SIIM_PREVALENCE, selftest_cases
from pleura.export.tuning import tune
from pleura.inference import Predictor
from pleura.inference.manifest import MANIFEST_NAME, Component, Manifest, sha256_of
from pleura.quality import GateSettings, Strictness
from pleura.training.config import load_config
from pleura.training.record import CONFIG_NAME

logger = logging.getLogger(__name__)

IR_NAME, WEIGHTS_NAME, PARITY_NAME = "classifier.xml", "classifier.bin", "parity.json"
SUFFIX = "-int8"
CALIBRATION_IMAGES = 300
KEPT_FIRST, KEPT_LAST = 20, 8
"""Convolutions that stay in float."""
KEPT_TYPES = ("ReduceMean", "Multiply", "Sigmoid")
_CONVOLUTIONS = ("Convolution", "GroupConvolution")


@dataclass(frozen=True)
class Int8Options:
    """How the copy is made.

    Attributes:
        images: training radiographs that the ranges are taken from, half of them positive.
        prevalence: that the probability is calibrated for.
        root: folder of the images, when it has moved since the index was written.
        seed: of the choice of images.
    """

    images: int = CALIBRATION_IMAGES
    prevalence: float = SIIM_PREVALENCE
    root: Path | None = None
    seed: int = 0


def quantise(
    model: Path, run: Path, output: Path, options: Int8Options, progress: Progress | None = None
) -> Manifest:
    """Write an 8-bit copy of a model folder.

    Args:
        model: folder with ONNX files, exported from the run.
        run: folder that `pleura train` wrote: which images it learned from, and which it held out.
        output: folder of the copy; made if needed.
        options: see `Int8Options`.
        progress: called with (done, total) while the held-out images are judged.

    Returns:
        The copy's manifest.

    Raises:
        MissingDependencyError: OpenVINO or NNCF is not installed.
        ModelError: the model is no ONNX model, or the run held nothing out.
    """
    source = Manifest.read(model)
    if not source.is_onnx:
        raise ModelError(
            f"{source.name} {source.version} is not made of ONNX files.",
            "Give the model that `pleura export` wrote.",
        )
    config = load_config(run / CONFIG_NAME)
    index, rows = held_out_rows(config, options.root)
    learned = trained_rows(index, config).sample(frac=1.0, random_state=options.seed)
    images = parity_images(index, learned, source.preprocessing, options.images)
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".int8-", dir=output) as partial:
        work = Path(partial)
        _write_ir(onnx.load(model / source.classifier.file), images, work)
        bare = _bare(source, model, work)
        bare.write(work)
        # As in `pleura export`, where the model has no gate yet: the fold is what it is.
        open_gate = GateSettings(Strictness.OFF)
        float_said = judge_held_out(Predictor(model, gate=open_gate), index, rows)
        said = judge_held_out(Predictor(work, gate=open_gate), index, rows, progress)
        cohort = source.performance_cohort or f"{len(said.labels)} held-out images"
        tuned = tune(bare, said, work, cohort, options.prevalence)
        cases = selftest_cases(Predictor(work))
        tuned.model_copy(update={"selftest": cases}).write(work)
        report = _compared(source, float_said, said, options)
        (work / PARITY_NAME).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        # The manifest last: it names the others by their SHA-256.
        for file in (*tuned.files, PARITY_NAME, MANIFEST_NAME):
            (work / file).replace(output / file)
    return Manifest.read(output)


def _write_ir(
    classifier: onnx.ModelProto, images: Sequence[NDArray[np.float32]], folder: Path
) -> None:
    """Quantise the classifier, and write it as OpenVINO's own files."""
    try:
        import nncf
        import openvino
    except ImportError as error:
        raise MissingDependencyError(
            f"8-bit copies need {error.name}, which is not installed.",
            "Install it: pip install 'pleura[int8]'.",
        ) from error
    logging.getLogger("nncf").setLevel(logging.WARNING)
    whole = save(store_whole(classifier), folder / "whole.onnx")
    network = openvino.convert_model(whole)
    convolutions = [
        node.get_friendly_name()
        for node in network.get_ordered_ops()
        if node.get_type_name() in _CONVOLUTIONS
    ]
    present = {node.get_type_name() for node in network.get_ordered_ops()}
    quantised = nncf.quantize(
        network,
        nncf.Dataset(list(images)),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(images),
        ignored_scope=nncf.IgnoredScope(
            names=[*convolutions[:KEPT_FIRST], *convolutions[-KEPT_LAST:]],
            types=[kind for kind in KEPT_TYPES if kind in present],
        ),
    )
    for key in list(quantised.rt_info):  # notes of the converter: paths of this machine, versions
        del quantised.rt_info[key]
    openvino.save_model(quantised, folder / IR_NAME, compress_to_fp16=True)
    whole.unlink()


def _bare(source: Manifest, model: Path, work: Path) -> Manifest:
    """The manifest before anything is chosen for the integers."""
    beside = [part.file for part in (source.segmenter, source.gate) if part is not None]
    for file in beside:
        shutil.copyfile(model / file, work / file)
    weights = Component(file=WEIGHTS_NAME, sha256=sha256_of(work / WEIGHTS_NAME))
    return source.model_copy(
        update={
            "name": source.name + SUFFIX,
            "description": f"{source.description}, 8-bit integers for OpenVINO",
            "classifier": Component(
                file=IR_NAME, sha256=sha256_of(work / IR_NAME), weights=weights
            ),
            "mirror_from": None,
            "familiarity": None,
            "performance": {},
            "selftest": (),
            "training": {
                **source.training,
                "quantised_from": f"{source.name} {source.version}",
                "quantised_from_sha256": sha256_of(model / MANIFEST_NAME),
            },
        }
    )


def _compared(
    source: Manifest, float_said: Judged, said: Judged, options: Int8Options
) -> dict[str, Any]:
    """How far the integers are from the floats on the held-out images."""
    gaps = said.logits - float_said.logits
    labels = said.labels == 1
    masks = [
        np.abs(ours.network_map - theirs.network_map).mean()
        for ours, theirs in zip(said.masked, float_said.masked, strict=True)
    ]
    report = {
        "reference": f"{source.name} {source.version} in float32, on the held-out fold",
        "calibrated_on": f"{options.images} training radiographs",
        "images": len(gaps),
        "logit_correlation": float(np.corrcoef(said.logits, float_said.logits)[0, 1]),
        "rms_logit_difference": float(np.sqrt(np.mean(gaps**2))),
        "max_logit_difference": float(np.abs(gaps).max()),
        "mean_mask_probability_difference": float(np.mean(masks)),
        "auc_float32": float(roc_auc_score(labels, float_said.logits)),
        "auc_int8": float(roc_auc_score(labels, said.logits)),
    }
    logger.info("8-bit copy: %s", report)
    return report
