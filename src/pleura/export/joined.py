"""One model's finding and another model's mask in one folder: classifier and segmenter apart.

The classifier's folder gives the finding with its calibration and operating points, and the input
gate; the segmenter's folder gives the mask with its rule. Nothing is trained and nothing is
measured here; what the two are worth together, `pleura evaluate` says, and `pleura models record`
writes it down.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import onnx
from onnx import compose

from pleura.errors import ModelError, OutputError
from pleura.export.onnx_file import save
from pleura.export.stages import IMAGE, MASK_LOGITS
from pleura.inference import Manifest, Predictor
from pleura.inference.manifest import MANIFEST_NAME, Component, sha256_of
from pleura.inference.selftest import measure

CLASSIFIER_NAME, SEGMENTER_NAME = "classifier.onnx", "segmenter.onnx"
_PREFIX = "classifier/"
_AGREED = ("split", "validation_fold", "data_fingerprint")
_SELFTEST = ((1, True), (2, False), (3, True), (4, False))


def join(classifier: Path, segmenter: Path, output: Path, name: str, version: str) -> Manifest:
    """Write a model folder whose finding is one model's and whose mask is another's.

    Both files of the segmenter's folder become one network, from an image of its own size to the
    mask; what served its image-level logit alone is left out. It is run where the finding is
    present, and not below the operating point, because it shares no work with the classifier.

    Args:
        classifier: folder of the model that gives the finding.
        segmenter: folder of the model that gives the mask; one that was joined gives its own.
        output: folder to write; made if needed.
        name: of the joined model.
        version: of the joined model.

    Returns:
        The manifest. It claims no measured figure; the training record names both models by the
        SHA-256 of their manifests, and the split, fold and data on which they agree.

    Raises:
        ModelError: a folder is damaged, or one model averages mirror images and the other does
            not: calibration and rule were chosen with what the model does.
        OutputError: the output holds a model already, or cannot be written.
    """
    finding, place = Manifest.read(classifier), Manifest.read(segmenter)
    for manifest in (finding, place):
        if not manifest.is_onnx:
            raise ModelError(
                f"{_said(manifest)} is not made of ONNX files.",
                "Join the models that 8-bit copies were made of.",
            )
    if finding.flip_average != place.flip_average:
        raise ModelError(
            f"{_said(finding)} and {_said(place)} do not agree on averaging mirror images.",
            "Export both with --flip-average, or neither.",
        )
    if (output / MANIFEST_NAME).exists():
        raise OutputError(
            f"The folder {output} holds a model already.", "Name a folder that does not exist yet."
        )
    # Loading them checks the files against the SHA-256 in the manifests.
    Predictor(classifier), Predictor(segmenter)
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".join-", dir=output) as partial:
            work = Path(partial)
            shutil.copyfile(classifier / finding.classifier.file, work / CLASSIFIER_NAME)
            beside = [spec.file for spec in (finding.gate, finding.familiarity) if spec is not None]
            for file in beside:
                shutil.copyfile(classifier / file, work / file)
            save(_whole_segmenter(segmenter, place), work / SEGMENTER_NAME)
            update = {
                "name": name,
                "version": version,
                "description": f"finding: {finding.description}; mask: {place.description}",
                "segmenter_preprocessing": place.segmenter_preprocessing or place.preprocessing,
                "classifier": _component(work / CLASSIFIER_NAME),
                "segmenter": _component(work / SEGMENTER_NAME),
                "always_segment": False,
                "mask": place.mask,
                "training": _record(classifier, finding, segmenter, place),
                "performance": {},
                "performance_cohort": "",
                "selftest": (),
                "licence": _licence(finding, place),
            }
            joined = finding.model_copy(update=update)
            joined.write(work)
            predictor = Predictor(work)
            cases = tuple(measure(predictor, seed, pneumothorax=sick) for seed, sick in _SELFTEST)
            joined.model_copy(update={"selftest": cases}).write(work)
            # The manifest last: it names the others by their SHA-256.
            for file in (CLASSIFIER_NAME, SEGMENTER_NAME, *beside, MANIFEST_NAME):
                (work / file).replace(output / file)
    except OSError as error:
        raise OutputError(f"The folder {output} cannot be written: {error.strerror}.") from error
    return Manifest.read(output)


def _whole_segmenter(folder: Path, manifest: Manifest) -> onnx.ModelProto:
    """Image -> mask logits, from both files of a model folder."""
    if manifest.segmenter is None:
        return _mask_alone(onnx.load(folder / manifest.classifier.file))
    second = onnx.load(folder / manifest.segmenter.file)
    wanted = [value.name for value in second.graph.input]
    if wanted == [IMAGE]:
        return second
    if IMAGE in wanted:
        raise ModelError(
            f"The segmenter of {_said(manifest)} takes the image beside the classifier's features.",
            "Only one that takes either the image or features can be joined.",
        )
    first = onnx.load(folder / manifest.classifier.file)
    # The first network's names are set apart, but for those that the two share.
    first = compose.add_prefix(first, _PREFIX)
    first.ir_version = second.ir_version = max(first.ir_version, second.ir_version)
    whole: onnx.ModelProto = compose.merge_models(
        first, second, io_map=[(_PREFIX + name, name) for name in wanted], outputs=[MASK_LOGITS]
    )
    return _renamed_input(whole, _PREFIX + IMAGE)


def _mask_alone(model: onnx.ModelProto) -> onnx.ModelProto:
    """A classifier that gives the mask itself, without its other outputs."""
    masks = [value for value in model.graph.output if value.name == MASK_LOGITS]
    del model.graph.output[:]
    model.graph.output.extend(masks)
    onnx.checker.check_model(model)
    return model


def _renamed_input(model: onnx.ModelProto, old: str) -> onnx.ModelProto:
    for value in model.graph.input:
        if value.name == old:
            value.name = IMAGE
    for node in model.graph.node:
        for i, given in enumerate(node.input):
            if given == old:
                node.input[i] = IMAGE
    onnx.checker.check_model(model)
    return model


def _record(
    classifier: Path, finding: Manifest, segmenter: Path, place: Manifest
) -> dict[str, Any]:
    """Which two models, and the facts of their training that are the same for both."""
    agreed = {
        key: finding.training[key]
        for key in _AGREED
        if key in finding.training and finding.training[key] == place.training.get(key)
    }
    return {
        **agreed,
        "joined_classifier": _said(finding),
        "joined_classifier_sha256": sha256_of(classifier / MANIFEST_NAME),
        "joined_segmenter": _said(place),
        "joined_segmenter_sha256": sha256_of(segmenter / MANIFEST_NAME),
    }


def _licence(finding: Manifest, place: Manifest) -> str:
    if finding.licence == place.licence:
        return finding.licence
    return f"classifier: {finding.licence}; segmenter: {place.licence}"


def _said(manifest: Manifest) -> str:
    return f"{manifest.name} {manifest.version}"


def _component(path: Path) -> Component:
    return Component(file=path.name, sha256=sha256_of(path))
